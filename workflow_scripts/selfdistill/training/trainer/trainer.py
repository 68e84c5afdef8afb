"""TRL's SFTTrainer with instruments: faithful tokens in, every measurement, journal row and checkpoint out."""

import json
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from selfdistill.foundation.errors import UserError
from selfdistill.study.training import Recipe
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import write_table
from selfdistill.training.examples.rows import IGNORED
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.handover.exports import export_model, trained_logprobs
from selfdistill.training.instruments.gradients import GradientMeter
from selfdistill.training.instruments.path import PathMeter
from selfdistill.training.instruments.weights import WeightMeter
from selfdistill.training.processes import ranks
from selfdistill.training.settings import RunSettings
from selfdistill.training.trainer.memory import activations

TELL_EVERY = 10.0  # seconds without a word about progress, at most


def trainer_config(settings: RunSettings, work: Path, parameters: int) -> SFTConfig:
    """The study's training settings in the words of TRL, with every default that would change the data turned off."""
    training, cuda = settings.training, settings.device == "cuda"
    kept = activations(training.activations, settings.device, parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL's own defaults use names that transformers deprecates
        config = SFTConfig(
            output_dir=str(work),
            num_train_epochs=1,  # the order of rows already holds every epoch
            per_device_train_batch_size=training.micro_batch,
            gradient_accumulation_steps=training.batch // (training.micro_batch * settings.ranks),
            learning_rate=training.lr,
            optim="adamw_torch_fused" if cuda else "adamw_torch",
            adam_beta1=training.beta1,
            adam_beta2=training.beta2,
            weight_decay=training.weight_decay,
            max_grad_norm=training.max_grad_norm,
            max_length=None,  # TRL's default cuts at 1024 tokens without a word; too long is refused before we get here
            packing=False,
            padding_free=False,  # where the study asks for it, the collator does it
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,  # the collator takes what it needs
            train_sampling_strategy="sequential",
            bf16=cuda and training.precision == "float32",  # autocast; weights and optimiser stay in float32
            use_cpu=not cuda,
            gradient_checkpointing=kept != "keep",
            gradient_checkpointing_kwargs={"use_reentrant": False, "selective": kept == "recompute-all-but-attention"},
            activation_offloading=kept == "offload",
            dataloader_pin_memory=cuda,
            logging_strategy="no",  # the journal holds every step
            logging_nan_inf_filter=False,
            save_strategy="no",  # saved by StepRecorder, atomically
            report_to=list(training.trackers) or "none",
            disable_tqdm=True,
            seed=settings.seed("training"),
            data_seed=settings.seed("training"),
            **(spread() if settings.ranks > 1 else {}),
        )
    if settings.ranks > 1:
        # accelerate would gather and reduce in bf16; what is cast, and where, is autocast's business, as on one GPU.
        config.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    if cuda:
        config._n_gpu = (
            1  # several visible GPUs would make the trainer wrap the model in DataParallel, which TRL refuses
        )
    return config


def spread() -> dict[str, Any]:
    """Weights, gradients and moments lie in parts on the ranks, and no rank ever holds a whole gradient of the model."""
    return {
        "fsdp": True,
        "fsdp_config": ranks.sharding(),
        "accelerator_config": {"gradient_accumulation_kwargs": {"sync_each_batch": True}},
    }


def learning_rate(step: int, steps: int, training: Recipe) -> float:
    """The rate of the step after `step` others. It rises to the peak in the last step of the warm-up and falls to the
    floor in the last step of all; no step has a rate of 0, for that would lose its examples."""
    peak = max(training.warm_up(steps), 1) - 1
    if step < peak:
        return training.lr * (step + 1) / (peak + 1)
    done = min(1.0, (step - peak) / max(1, steps - 1 - peak))
    left = 1 - done if training.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return training.lr_floor + (training.lr - training.lr_floor) * left


class MeasuredTrainer(SFTTrainer):
    """The trainer of a run. Everything measured is read before clipping: afterwards it says nothing about noise."""

    gradients: GradientMeter
    weights_meter: WeightMeter
    path_meter: PathMeter

    def __init__(
        self,
        *args: Any,
        settings: RunSettings,
        work: WorkFolder,
        source: Path,
        exports: dict[str, int],
        check_examples: pl.DataFrame,
        total_steps: int,
        request_ids: Sequence[str],
        stop_requested: Callable[[], bool],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # What composite models deny of their own loss holds for ours: it counts the tokens of the whole step.
        self.model_accepts_loss_kwargs = True
        self.settings, self.work, self.source, self.exports = settings, work, source, exports
        self.total_steps, self.request_ids, self.stop_requested = total_steps, request_ids, stop_requested
        self.check_examples = check_examples
        self.so_far = SoFar()
        self._micro: list[tuple[torch.Tensor, ...]] = []
        self._row: dict[str, Any] = {}
        self.remove_callback(PrinterCallback)
        self.add_callback(StepRecorder(self))
        if not self.args.fsdp:
            self.measure_from_here()

    def measure_from_here(self) -> None:
        """Once the model is where it will be trained, and before a checkpoint replaces the base's weights."""
        if not hasattr(self, "gradients"):
            assert self.model is not None
            self.gradients, self.weights_meter = GradientMeter(self.model), WeightMeter(self.model)
            self.path_meter = PathMeter(self.model, self.settings.training.measure_every)

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

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        optimizer, recipe = optimizer or self.optimizer, self.settings.training
        assert optimizer is not None
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(
                optimizer, lambda step: learning_rate(step, self.total_steps, recipe) / recipe.lr
            )
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The sum over this backward pass, divided by the supervised tokens of the whole step on all ranks."""
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        self._entropy = outputs.entropy.detach().sum() / num_items_in_batch
        loss = -outputs.log_probs.sum() / num_items_in_batch
        # Gradients are averaged over ranks, each of which holds a part of the sum.
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        lengths = supervised_lengths(inputs)
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._micro.append((self.gradients.take_micro_batch(), loss, self._entropy, lengths))
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """The last moment at which the step's gradient is whole. `on_pre_optimizer_step` would see it clipped."""
        assert self.lr_scheduler is not None
        norms, losses, entropies, by_sequence = self._micro_batches()
        step_norms = self.gradients.step_norms()
        self.gradients.weigh_with(None)
        self.weights_meter.before_step()
        grad_norm = float(ranks.whole(super()._clip_grad_norm(model)))
        loss = sum(losses)
        self._refuse_not_finite(loss, grad_norm)
        tokens, squares = (sum(length**power for each in by_sequence for length in each) for power in (1, 2))
        self._row = {
            "step": self.state.global_step + 1,
            "loss": loss,
            "entropy": sum(entropies),
            "learning_rate": float(self.lr_scheduler.get_last_lr()[0]),
            "grad_norm": grad_norm,
            "clip_coefficient": min(1.0, self.args.max_grad_norm / (grad_norm + 1e-6)),
            "tokens": tokens,
            "sequences": sum(len(each) for each in by_sequence),
            "effective_sequences": tokens**2 / squares,
            "noise": {
                "tokens": [sum(each) for each in by_sequence],
                "sequences": [len(each) for each in by_sequence],
                "micro": norms,
                "step": step_norms.tolist(),
            },
        }
        return grad_norm

    def _micro_batches(self) -> tuple[list[Any], ...]:
        """What was seen of each micro-batch of the step, of all ranks, in the order of the data.

        The last step of a run has rows without a supervised token, so that no rank waits for another: they count as none.
        """
        norms, losses, entropies, lengths = zip(*self._micro, strict=True)
        self._micro = []
        mine = zip(
            torch.stack(norms).tolist(),
            (torch.stack(losses).double() / ranks.world()).tolist(),
            torch.stack(entropies).double().tolist(),
            [each[each > 0].tolist() for each in lengths],
            strict=True,
        )
        seen = [micro for micro in ranks.taking_turns(list(mine)) if micro[-1]]
        return tuple(list(column) for column in zip(*seen, strict=True))

    def _refuse_not_finite(self, loss: float, grad_norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(grad_norm):
            return
        batch = self.settings.training.batch
        rows = self.request_ids[self.state.global_step * batch :][:batch]
        kept = f"the run is kept up to step {self.work.last_checkpoint()}" if self.work.last_checkpoint() else ""
        raise UserError(
            f"step {self.state.global_step + 1}: loss {loss} and gradient norm {grad_norm} are not finite "
            f"(rows of the step: {', '.join(rows)}): lower training.lr, or look at these rows"
            + (f"; {kept}." if kept else ".")
        )

    def measures_now(self, step: int) -> bool:
        return step % self.settings.training.measure_every == 0 or step == self.total_steps

    def measure_weights(self) -> None:
        step = int(self._row["step"])
        self._row["weights"] = self.weights_meter.after_step(self.optimizer).tolist()
        before = self.path_meter.state["last"]
        self._row["windows"] = self.path_meter.after_step(step)
        now = self.measures_now(step)
        self._row["since_start"] = self.path_meter.since_start() if now else None
        self._row["histograms"] = self.path_meter.histograms(before, self.optimizer) if now else None

    def finish_row(self, seconds: float) -> dict[str, Any]:
        self._row |= {"seconds": seconds, "device_bytes": max(ranks.gather(self.memory()))}
        ranks.by_first(lambda: self.work.journal.append(self._row))
        self.so_far.add(self._row, sum(self.weights_meter.weights))
        if self.settings.training.trackers:
            shown = ("loss", "entropy", "learning_rate", "grad_norm", "tokens")
            self.log({key: self._row[key] for key in shown} | self.so_far.shares())
        return self._row

    def memory(self) -> int:
        if self.args.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated())
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB

    def device_name(self) -> str:
        return torch.cuda.get_device_name() if self.args.device.type == "cuda" else "cpu"

    def write_base_logprobs(self) -> None:
        """Before the first step, when the model still is the base: what the exports are told apart from it by."""
        base = self.example_logprobs()
        ranks.by_first(lambda: write_table(base, self.work.base_logprobs, TRAINED_LOGPROBS))

    def export(self, name: str) -> None:
        """The model as it is now, and what it gives a few examples: the sampling engine must give them the same."""
        model, trained = self.accelerator.unwrap_model(self.model), self.example_logprobs()
        export_model(model, self.source, self.work.exports / name, trained, self.work.base_logprobs)

    def example_logprobs(self) -> pl.DataFrame:
        float32 = self.settings.training.precision == "float32" and not self.args.bf16
        with self.compute_loss_context_manager():
            return trained_logprobs(
                self.accelerator.unwrap_model(self.model), self.check_examples, "float32" if float32 else "bfloat16"
            )

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.work.unfinished)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The trainer's own checkpoint, written aside and then named: its files are not written atomically."""
        from safetensors.torch import save_file

        super(SFTTrainer, self)._save_checkpoint(model, trial)  # TRL's would add a model card
        written = self.work.unfinished / f"checkpoint-{self.state.global_step}"
        save_file(self.path_meter.state, written / f"path-{ranks.rank()}.safetensors")
        ranks.gather("written")
        ranks.by_first(lambda: self.work.seal_checkpoint(written))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """And what the trainer's own resumption does not know: where the instruments stood."""
        from safetensors.torch import load_file

        self.measure_from_here()
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        state = load_file(Path(resume_from_checkpoint) / f"path-{ranks.rank()}.safetensors")
        self.path_meter.state = {name: tensor.to(self.args.device) for name, tensor in state.items()}
        for row in self.work.journal.rows():
            self.so_far.add(row, sum(self.weights_meter.weights))


def supervised_lengths(inputs: dict[str, Any]) -> torch.Tensor:
    """Supervised tokens of each sequence of a backward pass. The first token of a sequence never is one."""
    supervised = inputs["labels"] != IGNORED
    if "cu_seq_lens_q" not in inputs:
        return supervised.sum(-1)
    sequence = (inputs["position_ids"] == 0).cumsum(-1)[0] - 1
    lengths = torch.zeros(len(inputs["cu_seq_lens_q"]) - 1, dtype=torch.int64, device=supervised.device)
    return lengths.index_add_(0, sequence, supervised[0].long())


class SoFar:
    """What the steps up to now say together, for the progress line: the signal's share, and the share of weights moved."""

    def __init__(self) -> None:
        self.pairs = self.pair_weights = self.loudness = 0.0
        self.steps = 0
        self.changed = math.nan

    def add(self, row: dict[str, Any], weights: int) -> None:
        noise = row["noise"]
        big = sum(group[0] for group in noise["step"])
        small = sum(group[0] for micro in noise["micro"] for group in micro)
        self.pairs += row["tokens"] ** 2 * (big - small)
        self.pair_weights += row["tokens"] ** 2 - sum(tokens**2 for tokens in noise["tokens"])
        self.loudness += big
        self.steps += 1
        self.changed = sum(group[0] for group in row["weights"]) / weights

    def shares(self) -> dict[str, float]:
        if not self.pair_weights or not self.loudness:
            return {"changed_fraction": self.changed}
        signal = self.pairs / self.pair_weights / (self.loudness / self.steps)
        return {"signal_fraction": signal, "changed_fraction": self.changed}


class StepRecorder(TrainerCallback):
    """What happens around each optimiser step: measure, journal, export, save, tell, stop."""

    def __init__(self, trainer: MeasuredTrainer) -> None:
        self.trainer = trainer
        self._started = self._first_started = self._told = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.measure_from_here()
        if not state.global_step:
            self.trainer.write_base_logprobs()
        self._first_started, self._first_step = time.monotonic(), state.global_step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started = time.monotonic()
        if self.trainer.measures_now(state.global_step + 1):
            self.trainer.gradients.weigh_with(self.trainer.optimizer)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.measure_weights()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trainer, step = self.trainer, state.global_step
        row = trainer.finish_row(time.monotonic() - self._started)
        for name, made in trainer.exports.items():
            if made == step:
                trainer.export(name)
        last = step >= trainer.total_steps
        stopping = not last and any(ranks.gather(trainer.stop_requested()))
        control.should_save = not last and (stopping or step % trainer.settings.training.save_every == 0)
        control.should_training_stop = control.should_training_stop or stopping
        due = step % max(1, trainer.total_steps // 20) == 0 or time.monotonic() - self._told > TELL_EVERY
        if last or stopping or due:
            self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        """A line that is readable in a log file, where a moving bar is not; and the same for machines."""
        self._told = time.monotonic()
        total, step = self.trainer.total_steps, row["step"]
        pace = (self._told - self._first_started) / max(1, step - self._first_step)
        shares = self.trainer.so_far.shares()
        facts = {
            "step": step,
            "steps": total,
            "loss": round(row["loss"], 5),
            "grad_norm": float(f"{row['grad_norm']:.3g}"),
            "learning_rate": float(f"{row['learning_rate']:.3g}"),
            **{key: round(share, 4) for key, share in shares.items()},
            "tokens_per_second": round(row["tokens"] / max(row["seconds"], 1e-9)),
            "gib": round(row["device_bytes"] / 2**30, 2),
            "seconds_left": round(pace * (total - step)),
        }
        signal = f"{shares['signal_fraction']:.0%}" if "signal_fraction" in shares else "unknown"
        print(
            f"step {step}/{total}  loss {row['loss']:.4f}  lr {row['learning_rate']:.2e}  |g| {row['grad_norm']:.3g}  "
            f"signal {signal} of |g|²  changed {shares['changed_fraction']:.1%}  "
            f"{facts['tokens_per_second']} tokens/s  {facts['gib']} GiB  {facts['seconds_left']} s left\n"
            + json.dumps({"event": "progress", "label": self.trainer.settings.arm, **facts}),
            file=sys.stderr,
            flush=True,
        )
