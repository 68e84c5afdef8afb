"""What training takes from the insides of TRL, transformers, accelerate and torch is still there, and stands in one file."""

import ast
import inspect
import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import torch
from accelerate.state import PartialState
from accelerate.utils import FullyShardedDataParallelPlugin
from transformers import Trainer
from transformers.core_model_loading import revert_weight_conversion
from trl import GRPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

from conftest import ROOT
from selfdistill.training.trainer.stock import PINS, StockHooks, is_compiled, use_one_gpu

WRITTEN_FOR = "written for " + ", ".join(f"{name} {pin}" for name, pin in PINS.items())
TRAINING = ROOT / "workflow_scripts/selfdistill/training"
# Whose underscore is no secret: what ends a process, and what named tuples offer.
NOT_PRIVATE = {"_exit", "_replace", "_asdict", "_fields"}


def test_the_pins_are_those_that_the_file_was_written_for() -> None:
    assert {name: version(name).split("+")[0] for name in PINS} == PINS, "look through stock.py, then name the new ones"


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Trainer._clip_grad_norm, ["self", "model"]),
        (Trainer._get_output_dir, ["self", "trial"]),
        (Trainer._save_checkpoint, ["self", "model", "trial"]),
        (SFTTrainer._save_checkpoint, ["self", "model", "trial"]),
        (Trainer._load_from_checkpoint, ["self", "resume_from_checkpoint", "model"]),
        (Trainer.create_accelerator_and_postprocess, ["self"]),
        (Trainer.compute_loss_context_manager, ["self"]),
        (revert_weight_conversion, ["model", "state_dict"]),
    ],
    ids=lambda each: each.__qualname__ if callable(each) else "",
)
def test_what_is_overridden_or_called_has_the_signature_it_had(
    function: Callable[..., Any], parameters: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == parameters, WRITTEN_FOR


def test_the_trainer_still_calls_what_is_overridden() -> None:
    """A method under a new name would be overridden in vain and nothing would say so."""
    source = inspect.getsource(Trainer)
    for method in vars(StockHooks):
        overridden = hasattr(Trainer, method) and inspect.isfunction(vars(StockHooks)[method])
        assert not overridden or f"self.{method}(" in source, f"{method}: {WRITTEN_FOR}"
    clipped, stepped = (source.index(call) for call in ("self._clip_grad_norm(model)", "on_pre_optimizer_step("))
    assert clipped < stepped, f"the gradient is whole before it is clipped; {WRITTEN_FOR}"
    assert "model_accepts_loss_kwargs" in source, f"which loss counts the tokens of the whole step; {WRITTEN_FOR}"


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (GRPOTrainer._compute_loss, ["self", "model", "inputs"]),
        (GRPOTrainer._get_train_sampler, ["self", "dataset"]),
        (GRPOTrainer._prepare_inputs, ["self", "generation_batch"]),
        (GRPOTrainer.get_train_dataloader, ["self"]),
        (add_fused_lm_head, ["model", "temperature", "cast_lm_head_to_fp32", "outputs"]),
    ],
    ids=lambda each: each.__qualname__ if callable(each) else "",
)
def test_what_practice_overrides_or_calls_has_the_signature_it_had(
    function: Callable[..., Any], parameters: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == parameters, WRITTEN_FOR


def test_trls_loss_still_asks_for_what_practice_gives_it() -> None:
    """A key under another name would be missed in silence: `get` gives none, and old log-probabilities are then the new."""
    source = inspect.getsource(GRPOTrainer._compute_loss)
    asked = set(re.findall(r'inputs(?:\.get\(|\[)"(\w+)"', source))
    images = {"pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes", "num_tiles"}
    images |= {"image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids", "tool_mask"}
    other_losses = {"ref_per_token_logps", "sampling_per_token_logps", "num_items_in_batch"}
    given = {"prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages", "old_per_token_logps"}
    assert asked - images - other_losses == given | {"importance_sampling_ratio"}, WRITTEN_FOR
    assert "self.use_vllm and self.vllm_importance_sampling_correction" in source, WRITTEN_FOR
    assert source.count("self.current_gradient_accumulation_steps") and "self._metrics[mode]" in source, WRITTEN_FOR
    summed = re.findall(r"self\.accelerator\.(reduce|gather)\(", source)
    assert summed and "loss = self.accelerator" not in source, f"sums over ranks are for TRL's log alone; {WRITTEN_FOR}"
    scored = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)[:5]
    assert scored == ["self", "model", "input_ids", "attention_mask", "logits_to_keep"], WRITTEN_FOR
    assert GRPOTrainer.loss_is_scaled_for_ga is True, f"the loss is divided by the passes of a step here; {WRITTEN_FOR}"
    assert "self._train_batch_size" in inspect.getsource(Trainer.get_train_dataloader), WRITTEN_FOR


def test_what_is_set_is_still_read(tmp_path: Any) -> None:
    config = SFTConfig(output_dir=str(tmp_path), use_cpu=True)
    assert hasattr(config, "_n_gpu") and "_n_gpu" in inspect.getsource(
        inspect.getattr_static(type(config), "n_gpu").fget
    ), WRITTEN_FOR
    use_one_gpu(config)
    assert config.n_gpu == 1
    assert isinstance(PartialState._shared_state, dict) and "distributed_type" in inspect.getsource(PartialState)
    assert "mixed_precision_policy" in inspect.signature(FullyShardedDataParallelPlugin).parameters, WRITTEN_FOR
    assert {"log_probs", "entropy", "label_mask"} <= set(FusedCausalLMOutput.__dataclass_fields__), WRITTEN_FOR


def test_a_compiled_function_is_known_as_one() -> None:
    assert is_compiled(torch.compile(abs)) and not is_compiled(abs)


def test_private_names_of_others_stand_in_a_file_for_each_of_trls_trainers() -> None:
    wrong = []
    for file in TRAINING.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
                continue
            ours = isinstance(node.value, ast.Name) and node.value.id == "self"
            if not ours and node.attr not in NOT_PRIVATE:
                wrong.append(f"{file.relative_to(TRAINING)}:{node.lineno}: {ast.unparse(node)}")
    assert {line.split(":")[0] for line in wrong} == {"trainer/stock.py", "practice/stock.py"}, wrong
