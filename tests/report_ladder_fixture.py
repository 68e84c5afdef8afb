"""Made-up tables of the ladder for a report: answers are invented, what is said of them is the analysis's own."""

from functools import cache

import numpy as np
import polars as pl

from climbed_ladders import CONTEXTS, MARKERS, PAPER, Law, climbed
from selfdistill.analysis.information import information
from selfdistill.analysis.ladder import ladder, side_by_side
from selfdistill.tables import words
from selfdistill.tables.ladder import INFORMATION_TEXTS, LOGPROBS

CLIMBERS = ("base", "ssd/seed-0/at-100")
SURER: Law = {context: (score, 2000.0, 10.0) for context, (score, *_) in PAPER.items()}
NATS = {words.TOLD_INFORMATION: 12.0, words.ANSWER_PROBE: 2.0, words.STYLE_COST: 15.0}


@cache
def tables(text: str = "Perhaps 4. Wait, no.") -> dict[str, pl.DataFrame]:
    """`text` is what every example says, was told and asks."""
    answers = pl.concat(climbed(law, 20, 2, model=model) for model, law in zip(CLIMBERS, (PAPER, SURER), strict=True))
    found = ladder(answers, CONTEXTS, MARKERS)
    examples = answers.with_columns(
        pl.lit(text).alias("text"), pl.lit(text).alias("gold"), pl.lit(0).alias("draw"),
        pl.col("problem_id").rank("dense").cast(pl.Int32).alias("rank"),
    )  # fmt: skip
    problems = answers.select("problem_id").unique().with_columns(pl.lit(text).alias("problem"))
    told = answers.select("problem_id", "context").unique().filter(pl.col("context") != CONTEXTS[0])
    return {
        "ladder": found.ladder,
        "ladder_tests": found.tests,
        "ladder_examples": side_by_side(
            examples, problems, told.with_columns(pl.lit(text).alias("solution")), CONTEXTS
        ),
        "information": information([scored(model) for model in CLIMBERS], CONTEXTS),
    }


def scored(model: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Texts and what a model says of them: so many nats, and noise."""
    random, texts, logprobs = np.random.default_rng(7), [], []
    for context in CONTEXTS[1:]:
        for measure, nats in NATS.items():
            for problem in range(20):
                name = f"{context}-{measure}-{problem}"
                sign = -1 if measure == words.STYLE_COST else 1
                texts.append({
                    "model_id": model, "context": context, "problem_id": f"p{problem:03d}", "family": None, "measure": measure,
                    "request_id": name, "tokens": 40, "told": f"{name}-told", "untold": f"{name}-untold",
                })  # fmt: skip
                for side, gained in (("told", sign * nats + float(random.normal())), ("untold", 0.0)):
                    logprobs.append(
                        {"probe_id": f"{name}-{side}", "logprob": gained - 20, "engine": "torch", "engine_version": "2"}
                    )
    return pl.DataFrame(texts, schema=INFORMATION_TEXTS), pl.DataFrame(logprobs, schema=LOGPROBS)
