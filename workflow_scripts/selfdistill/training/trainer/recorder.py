"""What happens around each optimiser step of a run, and the lines that tell of it."""

import json
import sys
import time
from typing import Any

from transformers import TrainerCallback

from selfdistill.training.processes import ranks
from selfdistill.training.trainer.measured import Measured

TELL_EVERY = 10.0  # seconds without a word about progress, at most


class StepRecorder(TrainerCallback):
    """Measure, journal, export, save, tell, stop."""

    def __init__(self, trainer: Measured) -> None:
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
        control.should_save = not last and trainer.saves_after(step, stopping)
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
            **{key: round(share, 4) for key, share in (shares | self.trainer.shown()).items()},
            "tokens_per_second": round(row["tokens"] / max(self.trainer.seconds_learning(), 1e-9)),
            "gib": round(row["device_bytes"] / 2**30, 2),
            "seconds_left": round(pace * (total - step)),
        }
        signal = f"{shares['signal_fraction']:.0%}" if "signal_fraction" in shares else "unknown"
        more = "".join(f"{name} {value:.3g}  " for name, value in self.trainer.shown().items())
        print(
            f"step {step}/{total}  loss {row['loss']:.4f}  lr {row['learning_rate']:.2e}  |g| {row['grad_norm']:.3g}  "
            f"signal {signal} of |g|²  changed {shares['changed_fraction']:.1%}  {more}"
            f"{facts['tokens_per_second']} tokens/s  {facts['gib']} GiB  {facts['seconds_left']} s left\n"
            + json.dumps({"event": "progress", "label": self.trainer.settings.arm, **facts}),
            file=sys.stderr,
            flush=True,
        )
