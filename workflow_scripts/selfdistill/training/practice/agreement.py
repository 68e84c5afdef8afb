"""Whether the engine answers with the student's weights: what it gave the tokens must be what the trainer's model gives them.

The check of exports asks the same of a checkpoint before anything is sampled from it; here the rollouts themselves are the
examples. An engine that kept old weights, or a part of them, shows here, and only here: its answers look as they always do.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.training.handover.distances import LIMITS, MEAN_SHARE
from selfdistill.training.handover.exports import stored_precisions
from selfdistill.training.practice.objective import Batch
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.processes import ranks

MOST_UNKNOWN = 0.01  # share of tokens that the engine may have given no probability for


def refuse_other_law(
    batches: Iterable[Batch], generation: int, settings: PracticeSettings, source: Path, set_aside: Callable[[], str]
) -> None:
    """Of this rank's micro-batches; all ranks ask together. `source` is the base's folder, for how weights are stored.

    What is refused must not be learnt from by the next run either: `set_aside` moves it, and says where it is.
    """
    total, known, tokens = 0.0, 0, 0
    for batch in batches:  # of which only what the trainer computed lies on its device
        told = batch.completion_mask.bool() & ~batch.engine_logps.isnan()
        apart = (batch.old_plain_logps.cpu() - batch.engine_logps).abs().where(told, 0)
        total += float(apart.double().sum())
        known += int(told.sum())
        tokens += int(batch.completion_mask.sum())
    total, known, tokens = (sum(parts) for parts in zip(*ranks.gather((total, known, tokens)), strict=True))
    mean, most = total / max(1, known), limit_of(settings, source) * MEAN_SHARE
    if tokens - known > MOST_UNKNOWN * tokens:
        happened = f"the engine gave {tokens - known:,} of {tokens:,} tokens no log-probability"
        mend = "Take another sampling.engine"
    elif not mean <= most:  # also where it is no number
        happened = (
            f"the engine's log-probabilities are {mean:.2g} nats a token from the trainer's, and at most {most:.2g} is "
            "expected: it did not answer with the student's weights"
        )
        mend = (
            "Set practice.turns: apart, which starts the engine anew for each generation, or take another sampling.engine; "
            "sampling.export_limit sets the limit"
        )
    else:
        return
    aside = ranks.by_first(set_aside)
    raise UserError(
        f"generation {generation}: {happened}. Its answers were set aside ({aside}), and the next run asks anew. {mend}. Where "
        "only the limit was too strict, put what was set aside back under its old name."
    )


def limit_of(settings: PracticeSettings, source: Path) -> float:
    """As for exports. On a GPU the trainer computes in bfloat16, whatever its weights are."""
    if settings.sampling.export_limit is not None:
        return settings.sampling.export_limit
    exact = settings.device == "cpu" and stored_precisions(source) == {"float32"}
    exact = exact and settings.training.precision == settings.sampling.precision == "float32"
    return LIMITS["float32" if exact else "bfloat16"]
