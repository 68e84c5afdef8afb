"""TRL's SFTTrainer on token ids exactly as sampled, with the two meters, atomic checkpoints and one row per step.

The loss is TRL's: Σ -log p over the supervised tokens of the whole optimiser step, divided by their number T. So each
micro-batch adds δ_k = s_k / T to the gradient, whatever its share of the tokens. Import this module late: TRL is slow.
"""

import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from selfdistill.config.study import Recipe
from selfdistill.errors import UserError
from selfdistill.training.checkpoints import WorkFolder, export_model
from selfdistill.training.instruments import GradientMeter, WeightMeter

IGNORED = -100  # label of a token without loss
LARGE_MODEL = 100_000_000  # parameters; from here activations are recomputed to save memory


def trainer_config(training: Recipe, work: Path, seed: int, parameters: int, cuda: bool) -> SFTConfig:
    """The study's training settings in the words of TRL, with every default that would change the data turned off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL's own defaults use names that transformers deprecates
        config = SFTConfig(
            output_dir=str(work),
            num_train_epochs=1,  # the order of rows already holds every epoch
            per_device_train_batch_size=training.micro_batch,
            gradient_accumulation_steps=training.batch // training.micro_batch,
            learning_rate=training.lr,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr": training.lr_floor},
            warmup_steps=training.warmup_steps,
            optim="adamw_torch",
            adam_beta1=training.beta1,
            adam_beta2=training.beta2,
            weight_decay=training.weight_decay,
            max_grad_norm=training.max_grad_norm,
            max_length=None,  # TRL's default cuts at 1024 tokens without a word; too long is refused before we get here
            packing=False,
            padding_free=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            train_sampling_strategy="sequential",
            bf16=cuda,  # autocast; the weights and the optimiser's state stay in float32
            use_cpu=not cuda,
            gradient_checkpointing=cuda and parameters >= LARGE_MODEL,
            dataloader_pin_memory=cuda,
            logging_strategy="no",  # the journal holds every step
            logging_nan_inf_filter=False,
            save_strategy="no",  # saved by StepRecorder, atomically
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            data_seed=seed,
        )
    if cuda:
        config._n_gpu = (
            1  # several visible GPUs would make the trainer wrap the model in DataParallel, which TRL refuses
        )
    return config


class MeasuredTrainer(SFTTrainer):
    """The trainer of a run. Everything measured is read before clipping: afterwards it says nothing about noise."""

    def __init__(
        self,
        *args: Any,
        work: WorkFolder,
        source: Path,
        exports: dict[str, int],
        total_steps: int,
        request_ids: Sequence[str],
        save_every: int,
        stop_requested: Callable[[], bool],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.work, self.source, self.exports = work, source, exports
        self.total_steps, self.request_ids, self.save_every = total_steps, request_ids, save_every
        self.stop_requested = stop_requested
        assert self.model is not None
        self.gradients, self.weights_meter = GradientMeter(self.model), WeightMeter(self.model)
        self._micro: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]] = []
        self._row: dict[str, Any] = {}
        self.remove_callback(PrinterCallback)
        self.add_callback(StepRecorder(self))

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        tokens, sequences = (inputs["labels"][..., 1:] != IGNORED).sum(), inputs["input_ids"].shape[0]
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._micro.append((self.gradients.take_micro_batch(), loss, tokens, sequences))
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """The last moment at which the step's gradient is whole. `on_pre_optimizer_step` would see it clipped."""
        assert self.lr_scheduler is not None
        norms, losses, tokens, sequences = zip(*self._micro, strict=True)
        self._micro = []
        step_norms = self.gradients.step_norms()
        self.weights_meter.before_step()
        grad_norm = float(super()._clip_grad_norm(model))
        loss = float(torch.stack(losses).double().sum())
        self._refuse_not_finite(loss, grad_norm)
        token_counts = torch.stack(tokens).tolist()
        self._row = {
            "step": self.state.global_step + 1,
            "loss": loss,
            "learning_rate": float(self.lr_scheduler.get_last_lr()[0]),
            "grad_norm": grad_norm,
            "clip_coefficient": min(1.0, self.args.max_grad_norm / (grad_norm + 1e-6)),
            "tokens": sum(token_counts),
            "sequences": sum(sequences),
            "noise": {
                "tokens": token_counts,
                "sequences": list(sequences),
                "micro": torch.stack(norms).tolist(),
                "step": step_norms.tolist(),
            },
        }
        return grad_norm

    def _refuse_not_finite(self, loss: float, grad_norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(grad_norm):
            return
        batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        rows = self.request_ids[self.state.global_step * batch :][:batch]
        raise UserError(
            f"step {self.state.global_step + 1}: loss {loss} and gradient norm {grad_norm} are not finite "
            f"(rows of the step: {', '.join(rows)}): lower training.lr, or look at these rows."
        )

    def finish_row(self, seconds: float) -> dict[str, Any]:
        self._row["seconds"] = seconds
        self.work.journal.append(self._row)
        return self._row

    def measure_weights(self) -> None:
        self._row["weights"] = self.weights_meter.after_step().tolist()

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.work.unfinished)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The trainer's own checkpoint, written aside and then named: its files are not written atomically."""
        super(SFTTrainer, self)._save_checkpoint(model, trial)  # TRL's would add a model card
        self.work.seal_checkpoint(self.work.unfinished / f"checkpoint-{self.state.global_step}")


class StepRecorder(TrainerCallback):
    """What happens around each optimiser step: measure, journal, export, save, tell, stop."""

    def __init__(self, trainer: MeasuredTrainer) -> None:
        self.trainer = trainer
        self._started = self._first_started = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._first_started, self._first_step = time.monotonic(), state.global_step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started = time.monotonic()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.measure_weights()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trainer, step = self.trainer, state.global_step
        row = trainer.finish_row(time.monotonic() - self._started)
        for name, made in trainer.exports.items():
            if made == step:
                export_model(
                    trainer.accelerator.unwrap_model(trainer.model), trainer.source, trainer.work.exports / name
                )
        last = step >= trainer.total_steps
        stopping = not last and trainer.stop_requested()
        control.should_save = not last and (stopping or step % trainer.save_every == 0)
        control.should_training_stop = control.should_training_stop or stopping
        if last or stopping or step % max(1, trainer.total_steps // 20) == 0:
            self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        """A line that is readable in a log file, where a moving bar is not."""
        total, step = self.trainer.total_steps, row["step"]
        pace = (time.monotonic() - self._first_started) / max(1, step - self._first_step)
        print(
            f"step {step}/{total}  loss {row['loss']:.4f}  grad norm {row['grad_norm']:.3g}  "
            f"lr {row['learning_rate']:.2e}  "
            f"{row['tokens'] / max(row['seconds'], 1e-9):.0f} tokens/s  {pace * (total - step):.0f} s left",
            file=sys.stderr,
            flush=True,
        )
