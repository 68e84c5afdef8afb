"""Which samples an arm's filter keeps: what happens to truncated samples. Jobs that train rest on it, too."""

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import Reference, in_a_line, offered, reference_in
from selfdistill.tables.endings import CORRECT, EMPTY, FINISHED_WITH_TEXT

KEPT = {
    "finished": pl.col("finish_class").is_in(FINISHED_WITH_TEXT),
    "everything": pl.col("finish_class") != EMPTY,
    "correct": pl.col("verdict") == CORRECT,  # which no unfinished answer is
}


def kept_samples(sampled: pl.DataFrame, keep: str | None) -> pl.DataFrame:
    if keep and (reference := reference_in(keep)):
        return _kept_by(reference, sampled)
    if keep not in KEPT:
        raise UserError("an arm that trains needs keep: finished, everything or correct.")
    return sampled.filter(KEPT[keep])


def expression_of(reference: Reference) -> pl.Expr:
    found = offered(reference).KEEP[reference.name]
    if not isinstance(found, pl.Expr):
        raise UserError(
            f"plugins: {reference.file}: KEEP[{reference.name!r}] must be a polars expression over the columns of a graded "
            f"sample, as pl.col('n_tokens') < 500, but is a {type(found).__name__}."
        )
    return found


def _kept_by(reference: Reference, sampled: pl.DataFrame) -> pl.DataFrame:
    """A filter of the user's. An empty completion teaches nothing, whatever a filter says of it."""
    try:
        chosen = sampled.select(kept=expression_of(reference))["kept"]
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # what an expression maps with is the user's own code
        raise UserError(f"plugins: {reference.file}: KEEP[{reference.name!r}] fails ({in_a_line(error)}).") from error
    if chosen.dtype != pl.Boolean or len(chosen) != sampled.height:
        raise UserError(
            f"plugins: {reference.file}: KEEP[{reference.name!r}] must say true or false of every sample, but gives "
            f"{len(chosen)} values of type {chosen.dtype} for {sampled.height}."
        )
    return sampled.filter(chosen.fill_null(value=False) & (sampled["finish_class"] != EMPTY))
