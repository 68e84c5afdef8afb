"""Answers on the rungs of a ladder whose means are known."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from selfdistill.tables.endings import CORRECT, WRONG

Law = Mapping[str, tuple[float, float, float]]
CONTEXTS = ("unguided", "no-thought", "regenerated", "guided")
MARKERS = ("wait", "perhaps")
# Table 1 of arXiv 2603.24472: score, tokens, doubts.
PAPER: Law = {"unguided": (0.30, 13054, 182.5), "no-thought": (0.78, 12036, 159.8), "regenerated": (0.95, 2808, 24.1), "guided": (0.98, 1873, 8.8)}  # fmt: skip


def climbed(
    law: Law, problems: int = 100, draws: int = 8, seed: int = 1, model: str = "base", families: int | None = None
) -> pl.DataFrame:
    """Answers whose means are these; problems differ in difficulty and length, the same on every rung."""
    random, rows = np.random.default_rng(seed), []
    ease = np.random.default_rng(99).gamma(8, 1 / 8, problems)
    for context, (score, tokens, doubts) in law.items():
        for problem in range(problems):
            for _ in range(draws):
                length = tokens * ease[problem] * random.gamma(10, 0.1)
                count = random.poisson(doubts * length / tokens)
                waits = int(random.binomial(count, 0.7))
                rows.append({
                    "model_id": model, "context": context, "problem_id": f"p{problem:03d}",
                    "family": f"f{problem % families}" if families else None,
                    "verdict": CORRECT if random.random() < score else WRONG,
                    "n_tokens": max(1, round(length)), "doubts": [waits, int(count) - waits],
                })  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"family": pl.String})
