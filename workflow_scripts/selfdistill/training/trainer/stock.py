"""All that rests on the insides of TRL, transformers, accelerate and torch: private names, and public ones without a promise.

`PINS` are the versions it was written for, and `tests/unit/training/test_stock.py` holds the signatures. After a change of
pins look here: the rest of the room uses what their documentation names.
"""

from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from transformers import Trainer, TrainingArguments
from transformers.core_model_loading import revert_weight_conversion
from trl.trainer.utils import FusedCausalLMOutput

PINS = {"trl": "1.16.0", "transformers": "5.23.0", "accelerate": "1.15.0", "torch": "2.13.0"}

__all__ = ["FusedCausalLMOutput", "StockHooks", "is_compiled", "revert_weight_conversion", "use_one_gpu"]


def use_one_gpu(config: TrainingArguments) -> None:
    """Several visible GPUs would make the trainer wrap the model in DataParallel, which TRL refuses."""
    config._n_gpu = 1


def is_compiled(function: Any) -> bool:
    return hasattr(function, "_torchdynamo_orig_callable")


class StockHooks(Trainer):
    """A trainer whose private moments have names of ours: whoever trains fills them in. Comes before TRL's in a class's bases."""

    def unclipped_gradient(self) -> None:
        """The last moment at which the step's gradient is whole. `on_pre_optimizer_step` would see it clipped."""
        raise NotImplementedError

    def clipped_gradient(self, norm: torch.Tensor) -> float:
        """`norm` is that of before. What is answered goes into the trainer's own log."""
        raise NotImplementedError

    def checkpoint_folder(self) -> Path:
        raise NotImplementedError

    def checkpoint_written(self, checkpoint: Path) -> None:
        raise NotImplementedError

    def before_checkpoint_is_read(self) -> None:
        raise NotImplementedError

    def checkpoint_read(self, checkpoint: Path) -> None:
        raise NotImplementedError

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.args.fsdp and self.args.use_cpu:
            # accelerate spreads models over GPUs alone; torch's FSDP2 runs on CPUs as well, and there it is tested.
            self.accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            self.accelerator.state.distributed_type = DistributedType.FSDP
            self.is_fsdp_enabled = True

    def compute_loss_context_manager(self) -> Any:
        """accelerate leaves out autocast when it spreads a model. Its cache would hold casts of all weights."""
        if not self.args.fsdp:
            return super().compute_loss_context_manager()
        return torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.args.bf16, cache_enabled=False)

    def _clip_grad_norm(self, model: Any) -> Any:
        self.unclipped_gradient()
        return self.clipped_gradient(super()._clip_grad_norm(model))

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.checkpoint_folder())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        Trainer._save_checkpoint(self, model, trial)  # TRL's would add a model card
        self.checkpoint_written(self.checkpoint_folder() / f"checkpoint-{self.state.global_step}")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.before_checkpoint_is_read()
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.checkpoint_read(Path(resume_from_checkpoint))
