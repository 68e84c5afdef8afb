"""Which completions a reader is shown: chosen by rule before anyone read them, so that none is picked for its looks.

For one trained model and one decode: problems gained and lost against the base, and answers that were cut, looped or are not in the asked format.
Within a kind, by problem id: a hash of the text, so an order that knows nothing of the answers.
"""

from typing import Any

import polars as pl

from selfdistill.reporting.select import lead_decode
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT, CUT, LOOP, NO_ANSWER, WRONG

SHOWN = (
    "kind",
    "model_id",
    "decode_id",
    "problem_id",
    "problem",
    "gold",
    "extracted",
    "reason",
    "finish_class",
    "n_tokens",
    "text",
)


def choose_examples(
    graded: pl.DataFrame, problems: pl.DataFrame, study: dict[str, Any], per_kind: int = 3
) -> pl.DataFrame:
    """Graded evaluation rows in, a few rows of the lead arm out, with the problem's text."""
    graded = graded.filter(pl.col("split") == "test") if "test" in graded["split"].unique().to_list() else graded
    model = lead_model(graded, study)
    trained, base = (graded.filter(pl.col("model_id") == name) for name in (model, "base"))
    shared = sorted(set(trained["decode_id"].unique()) & set(base["decode_id"].unique()))
    if trained.is_empty() or not shared:
        return pl.DataFrame(schema=dict.fromkeys(SHOWN, pl.String))
    here = pl.col("decode_id") == lead_decode(study, shared)
    was = base.filter(here).select("problem_id", "draw", pl.col("verdict").alias("base_verdict"))
    paired = trained.filter(here).join(was, on=["problem_id", "draw"], how="left")
    right, base_right = pl.col("verdict") == CORRECT, pl.col("base_verdict") == CORRECT
    ended = pl.col("finish_class")
    kinds = {
        words.GAINED: right & ~base_right,
        words.LOST: (pl.col("verdict") == WRONG) & base_right,
        CUT: ended == CUT,
        LOOP: ended == LOOP,
        NO_ANSWER: ended == NO_ANSWER,
    }
    chosen = [
        paired.filter(rule)
        .sort("problem_id", "draw")
        .unique("problem_id", keep="first", maintain_order=True)
        .head(per_kind)
        .with_columns(kind=pl.lit(kind))
        for kind, rule in kinds.items()
    ]
    texts = problems.select("problem_id", "problem").unique("problem_id")
    return pl.concat(chosen).join(texts, on="problem_id", how="left", maintain_order="left").select(SHOWN)


def lead_model(graded: pl.DataFrame, study: dict[str, Any]) -> str:
    """The finished model of the first hypothesis's arm, else of the first arm there is."""
    planned = [hypothesis["arm"] for hypothesis in study.get("hypotheses", {}).values()]
    models = graded["model_id"].unique().sort().to_list()
    for arm in [*planned, *study.get("arms", {})]:
        for model in models:
            if model.startswith(f"{arm}/") and model.endswith("/at-100"):
                return str(model)
    return ""
