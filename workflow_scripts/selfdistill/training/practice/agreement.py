"""Whether the engine answers with the student's weights: what it gave the tokens must be what the trainer's model gives them.

The check of exports asks the same of a checkpoint before anything is sampled from it; here the rollouts themselves are the
examples. An engine that kept old weights, or a part of them, shows here, and only here: its answers look as they always do.
"""

from collections.abc import Iterable
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.training.handover.distances import LIMITS, MEAN_SHARE
from selfdistill.training.handover.exports import stored_precisions
from selfdistill.training.practice.objective import Batch
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.processes import ranks


def refuse_other_law(batches: Iterable[Batch], generation: int, settings: PracticeSettings, source: Path) -> None:
    """Of this rank's micro-batches; all ranks ask together. `source` is the base's folder, for how weights are stored."""
    total, tokens = 0.0, 0
    for batch in batches:  # of which only what the trainer computed lies on its device
        apart = (batch.old_plain_logps.cpu() - batch.engine_logps).abs() * batch.completion_mask
        total += float(apart.double().sum())
        tokens += int(batch.completion_mask.sum())
    parts = ranks.gather((total, tokens))
    mean = sum(part[0] for part in parts) / max(1, sum(part[1] for part in parts))
    most = limit_of(settings, source) * MEAN_SHARE
    if not mean <= most:  # also where it is no number
        raise UserError(
            f"generation {generation}: the engine's log-probabilities are {mean:.2g} nats a token from the trainer's, and at most "
            f"{most:.2g} is expected: it did not answer with the student's weights. Set practice.turns: apart, which starts it "
            "anew for each generation, or another sampling.engine; sampling.export_limit sets the limit."
        )


def limit_of(settings: PracticeSettings, source: Path) -> float:
    """As for exports. On a GPU the trainer computes in bfloat16, whatever its weights are."""
    if settings.sampling.export_limit is not None:
        return settings.sampling.export_limit
    exact = settings.device == "cpu" and stored_precisions(source) == {"float32"}
    exact = exact and settings.training.precision == settings.sampling.precision == "float32"
    return LIMITS["float32" if exact else "bfloat16"]
