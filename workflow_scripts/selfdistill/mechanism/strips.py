"""Strips: a few carriers token by token, with what the base and one trained model would have said at each.

In: carriers, classes of their tokens, probes, and the texts of tokens. Out: the table STRIPS, which the report shows.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import polars as pl

from selfdistill.tables import words
from selfdistill.tables.mechanism import STRIPS

BASE = "base"
CANDIDATES = 5

Texts = Callable[[Collection[int]], Mapping[int, str]]


def models_asked(written_by: str, trained: Sequence[str]) -> list[str]:
    """The base, and of the trained models the one that wrote the carrier, or else the first."""
    return [BASE, *([written_by] if written_by in trained else trained[:1])]


def strips(
    carriers: pl.DataFrame, classes: pl.DataFrame, probes: Mapping[str, pl.DataFrame], texts: Texts
) -> pl.DataFrame:
    """`probes`: by model, base and finished models in the study's order."""
    trained = [model for model in probes if model != BASE]
    positions = classes.filter(pl.col("kinds").list.contains(words.STRIP)).join(
        carriers.select("carrier_id", "decode_id", "verdict", "finish_class"), on="carrier_id"
    )
    asked = [
        rows.join(probes[model], on="probe_id")
        for (writer,), rows in positions.group_by("written_by", maintain_order=True)
        for model in models_asked(str(writer), trained)
        if model in probes
    ]
    if not asked:
        return pl.DataFrame(schema=STRIPS)
    found = pl.concat(asked).with_columns(
        candidate_ids=pl.col("ids").list.head(CANDIDATES),
        probabilities=pl.col("logprobs").list.head(CANDIDATES).cast(pl.List(pl.Float64)).list.eval(pl.element().exp()),
        probability=pl.col("logprob").exp(),
    )
    order = (pl.col("written_by") != BASE, "carrier_id", "position", pl.col("model_id") != BASE)
    return _with_texts(found, texts).sort(*order, maintain_order=True).select(*STRIPS)


def _with_texts(found: pl.DataFrame, texts: Texts) -> pl.DataFrame:
    ids = set(found["token_id"].to_list()) | set(found["candidate_ids"].explode().drop_nulls().to_list())
    of = texts(sorted(ids))
    return found.with_columns(
        text=pl.Series([of[number] for number in found["token_id"]], dtype=pl.String),
        candidates=pl.Series(
            [[of[number] for number in row] for row in found["candidate_ids"]], dtype=pl.List(pl.String)
        ),
    )
