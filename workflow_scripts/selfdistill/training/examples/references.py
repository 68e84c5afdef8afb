"""What an arm trains on that learns from the dataset's own solutions: the first of the ranking that are fit to learn from.

Fit is a solution that fits the context, holds no end token before its end, and whose answer the grader finds and takes for
the problem's: the same grader that judges the trained model. What is left out is counted.
"""

import hashlib
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import find_answer
from selfdistill.grading.verify import CORRECT as CREDITED
from selfdistill.grading.verify import judge_answers
from selfdistill.study.grading import Grading
from selfdistill.tables.endings import ANSWERED, CORRECT
from selfdistill.tables.schema import conform
from selfdistill.tables.training import DATASET
from selfdistill.tables.words import REFERENCE
from selfdistill.training.examples.filter import ArmDataset
from selfdistill.training.examples.rows import LENGTH


def reference_dataset(
    train: pl.DataFrame,
    prompts: pl.DataFrame,
    references: pl.DataFrame,
    examples: int,
    context: int,
    grading: Grading,
    think: bool,
    workers: int = 1,
) -> ArmDataset:
    """The first `examples` of the training problems, by rank, that have a solution fit to learn from."""
    solved = train.sort("rank").join(references, on="problem_id", how="inner", maintain_order="left")
    solved = solved.join(prompts, on="problem_id", how="left", maintain_order="left")
    ends_within = solved.filter(pl.col("ends_within"))
    whole = solved.filter(~pl.col("ends_within"))
    fitting = whole.filter(context >= LENGTH)
    kept = fitting.filter(pl.Series(accepted(fitting, grading, think, workers), dtype=pl.Boolean))
    left_out = {
        "without_solution": train.height - solved.height,
        "ends_within": ends_within.height,
        "too_long": whole.height - fitting.height,
        "refused": fitting.height - kept.height,
    }
    refuse_too_few(train.height, kept.height, examples, left_out)
    used = kept.head(examples)
    rows = used.with_columns(
        pl.col("problem_id").map_elements(reference_id, pl.String).alias("request_id"),
        pl.lit(REFERENCE).alias("model_id"),
        pl.lit(ANSWERED).alias("finish_class"),
        pl.lit(CORRECT).alias("verdict"),
        pl.col("completion_ids").list.len().cast(pl.Int32).alias("n_tokens"),
    )
    return ArmDataset(conform(rows.select(list(DATASET)), DATASET, "dataset"), audit(train, kept, rows, left_out))


def accepted(solved: pl.DataFrame, grading: Grading, think: bool, workers: int) -> list[bool]:
    """Whether the grader finds the problem's answer in each solution."""
    found = [find_answer(text, think, grading.answer).extracted for text in solved["text"]]
    pairs = [(gold, answer) for gold, answer in zip(solved["answer"], found, strict=True) if answer is not None]
    judged = iter(judge_answers(pairs, grading.seconds_per_answer, workers))
    return [answer is not None and next(judged).reason in CREDITED for answer in found]


def reference_id(problem_id: str) -> str:
    """Where a sample has its request's name: one of a solution's own, and a hash as those are."""
    return hashlib.sha256(f"{REFERENCE} {problem_id}".encode()).hexdigest()[:32]


def refuse_too_few(problems: int, kept: int, examples: int, left_out: dict[str, int]) -> None:
    """Arms are compared after equally many steps, so this one must have its full number of examples, too."""
    if kept >= examples:
        return
    raise UserError(
        f"samples: reference leaves {kept} of {problems} training problems ({left_out['without_solution']} have no solution in "
        f"their source, {left_out['too_long']} solutions do not fit model.context, {left_out['ends_within']} hold an end token, "
        f"of {left_out['refused']} the grader does not take the answer), fewer than training.examples ({examples}), and arms "
        "must take equally many steps: lower training.examples or add problems that have a solution."
    )


def audit(train: pl.DataFrame, kept: pl.DataFrame, used: pl.DataFrame, left_out: dict[str, int]) -> dict[str, Any]:
    tokens = used["n_tokens"]
    counts = {
        name: dict(frame.group_by("level").len().iter_rows()) for name, frame in (("problems", train), ("used", used))
    }
    return {
        "samples": REFERENCE,
        "problems": train.height,
        **left_out,
        "kept": kept.height,
        "used": used.height,
        "last_rank": used["rank"].max(),
        "mean_tokens": tokens.mean(),
        "median_tokens": tokens.median(),
        "most_tokens": tokens.max(),
        "levels": {
            "unknown" if level is None else str(level): {name: count.get(level, 0) for name, count in counts.items()}
            for level in sorted(counts["problems"], key=lambda level: (level is None, level))
        },
    }
