"""The instruments of a training, for any of TRL's trainers: every measurement, journal row and checkpoint."""

import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback

from selfdistill.foundation.errors import UserError
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import write_table
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.handover.exports import export_model, trained_logprobs
from selfdistill.training.instruments.gradients import GradientMeter
from selfdistill.training.instruments.path import PathMeter
from selfdistill.training.instruments.weights import WeightMeter
from selfdistill.training.processes import ranks
from selfdistill.training.settings import RunSettings
from selfdistill.training.trainer.configuration import learning_rate
from selfdistill.training.trainer.so_far import SoFar
from selfdistill.training.trainer.stock import StockHooks


class MicroBatch(NamedTuple):
    """What is seen of a backward pass: tensors at first, numbers when the step is over."""

    norms: Any  # norms² of its gradient: group × geometry
    loss: Any  # its part of the step's
    entropy: Any
    lengths: Any  # supervised tokens of each of its sequences


class Measured(StockHooks):
    """Half of a run's trainer. Everything measured is read before clipping: afterwards it says nothing about noise.

    Whoever trains says how many tokens of each sequence a backward pass learns from, and what the loss made of them.
    """

    gradients: GradientMeter
    weights_meter: WeightMeter
    path_meter: PathMeter
    check_examples: pl.DataFrame  # what exports are compared on
    weighing: Literal["tokens", "sequences"] = "tokens"  # what the loss is a mean over

    def __init__(
        self,
        *args: Any,
        settings: RunSettings,
        work: WorkFolder,
        source: Path,
        exports: dict[str, int],
        total_steps: int,
        stop_requested: Callable[[], bool],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.settings, self.work, self.source, self.exports = settings, work, source, exports
        self.total_steps, self.stop_requested = total_steps, stop_requested
        self.so_far = SoFar(self.weighing)
        self._micro: list[MicroBatch] = []
        self._row: dict[str, Any] = {}
        self.remove_callback(PrinterCallback)
        if not self.args.fsdp:
            self.measure_from_here()

    def measure_from_here(self) -> None:
        """Once the model is where it will be trained, and before a checkpoint replaces the base's weights."""
        if not hasattr(self, "gradients"):
            assert self.model is not None
            self.gradients, self.weights_meter = GradientMeter(self.model), WeightMeter(self.model)
            self.path_meter = PathMeter(self.model, self.settings.training.measure_every)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        optimizer, recipe = optimizer or self.optimizer, self.settings.training
        assert optimizer is not None
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(
                optimizer, lambda step: learning_rate(step, self.total_steps, recipe) / recipe.lr
            )
        return self.lr_scheduler

    def learnt_tokens(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Of each sequence of a backward pass."""
        raise NotImplementedError

    def seen_entropy(self) -> torch.Tensor:
        """Of the last backward pass: its part of the step's mean over tokens."""
        raise NotImplementedError

    def learnt_rows(self, step: int) -> list[str]:
        """The requests that a step learns from."""
        raise NotImplementedError

    def shown(self) -> dict[str, float]:
        """What else of the last step is told on the way."""
        return {}

    def tracked(self) -> dict[str, float]:
        """What else of it trackers are told."""
        return self.shown()

    def seconds_learning(self) -> float:
        """Of the last step's time what tokens a second are told by."""
        return float(self._row["seconds"])

    def saves_after(self, step: int, stopping: bool) -> bool:
        """Whether a checkpoint is made after this step, which is not the last."""
        return stopping or step % self.settings.training.save_every == 0

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        lengths = self.learnt_tokens(inputs)
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._micro.append(MicroBatch(self.gradients.take_micro_batch(), loss, self.seen_entropy(), lengths))
        return loss

    def unclipped_gradient(self) -> None:
        assert self.lr_scheduler is not None
        seen, whole = self._micro_batches(), self.gradients.step_norms()
        self.gradients.weigh_with(None)
        self.weights_meter.before_step()
        tokens, squares = (sum(length**power for each in seen for length in each.lengths) for power in (1, 2))
        sequences = sum(len(each.lengths) for each in seen)
        self._row = {
            "step": self.state.global_step + 1,
            "loss": sum(each.loss for each in seen),
            "entropy": sum(each.entropy for each in seen),
            "learning_rate": float(self.lr_scheduler.get_last_lr()[0]),
            "tokens": tokens,
            "sequences": sequences,
            "effective_sequences": tokens**2 / squares if self.weighing == "tokens" else float(sequences),
            "noise": {
                "tokens": [sum(each.lengths) for each in seen],
                "sequences": [len(each.lengths) for each in seen],
                "micro": [each.norms for each in seen],
                "step": whole.tolist(),
            },
        }

    def clipped_gradient(self, norm: torch.Tensor) -> float:
        grad_norm = float(ranks.whole(norm))
        self._refuse_not_finite(self._row["loss"], grad_norm)
        clip = min(1.0, self.args.max_grad_norm / (grad_norm + 1e-6))
        self._row |= {"grad_norm": grad_norm, "clip_coefficient": clip}
        return grad_norm

    def _micro_batches(self) -> list[MicroBatch]:
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
        return [each for each in ranks.taking_turns([MicroBatch(*micro) for micro in mine]) if each.lengths]

    def _refuse_not_finite(self, loss: float, grad_norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(grad_norm):
            return
        rows = self.learnt_rows(self.state.global_step + 1)
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
            self.log({key: self._row[key] for key in shown} | self.so_far.shares() | self.tracked())
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

    def checkpoint_folder(self) -> Path:
        return self.work.unfinished

    def checkpoint_written(self, checkpoint: Path) -> None:
        """Written aside, with where the instruments stand, and then named: its files are not written atomically."""
        from safetensors.torch import save_file

        save_file(self.path_meter.state, checkpoint / f"path-{ranks.rank()}.safetensors")
        ranks.gather("written")
        ranks.by_first(lambda: self.work.seal_checkpoint(checkpoint))

    def before_checkpoint_is_read(self) -> None:
        self.measure_from_here()

    def checkpoint_read(self, checkpoint: Path) -> None:
        """And what the trainer's own resumption does not know: where the instruments stood."""
        from safetensors.torch import load_file

        state = load_file(checkpoint / f"path-{ranks.rank()}.safetensors")
        self.path_meter.state = {name: tensor.to(self.args.device) for name, tensor in state.items()}
        for row in self.work.journal.rows():
            self.so_far.add(row, sum(self.weights_meter.weights))
