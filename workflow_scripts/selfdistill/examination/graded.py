"""The examinations of a filter and of an analysis: asked of graded answers by hand, which end in every way and have nothing in
every column that may hold nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from selfdistill.analysis.plugged import analysed
from selfdistill.examination.checks import Found, Watch, examined, require, unwatched
from selfdistill.foundation.plugins import Reference
from selfdistill.tables import endings
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import conform, empty_table
from selfdistill.training.examples.kept import expression_of, kept_samples

MODELS = ("base", "ssd/seed-0/at-100")
ENDS = (
    (endings.ANSWERED, endings.CORRECT), (endings.ANSWERED, endings.WRONG), (endings.NO_ANSWER, endings.UNANSWERED),
    (endings.CUT, endings.UNANSWERED), (endings.LOOP, endings.UNANSWERED), (endings.EMPTY, endings.UNANSWERED),
)  # fmt: skip
PROBLEMS, DRAWS = 5, 2


def graded_answers(model: str = MODELS[0]) -> pl.DataFrame:
    """Every end to every problem. Lengths tie, also across ends."""
    rows = [
        {
            "request_id": f"{model}-{problem}-{place}-{draw}", "model_id": model, "problem_id": f"p{problem}", "source": "exam",
            "family": f"f{problem}", "level": problem, "split": "test", "rank": problem, "purpose": "eval", "decode_id": "t07",
            "draw": DRAWS * place + draw, "prompt_ids": [5, 7], "token_ids": [] if end == endings.EMPTY else [9] * (40 * draw + 20),
            "text": "" if end == endings.EMPTY else f"Perhaps \\boxed{{{problem}}}", "finish_reason": "stop", "logprob": -1.5,
            "n_tokens": 0 if end == endings.EMPTY else 40 * draw + 20, "engine": "torch", "engine_version": "1", "seconds": 0.1,
            "gold": str(problem), "finish_class": end, "verdict": verdict, "reason": "equal", "boxed": end == endings.ANSWERED,
        }
        for problem in range(PROBLEMS)
        for place, (end, verdict) in enumerate(ENDS)
        for draw in range(DRAWS)
    ]  # fmt: skip
    table = pl.concat([empty_table(GRADED), pl.DataFrame(rows)], how="diagonal_relaxed").cast(pl.Schema(GRADED))
    return conform(table.select(*GRADED), GRADED, "graded answers")


def examine_filter(reference: Reference, watch: Watch = unwatched) -> Iterator[Found]:
    return examined(OF_FILTERS, reference, graded_answers(), watch=watch)


def _says_of_each(reference: Reference, answers: pl.DataFrame) -> None:
    kept_samples(answers, str(reference))  # which refuses what is neither true nor false
    silent = answers.filter(expression_of(reference).is_null())
    if silent.height:
        row = silent.row(0, named=True)
        require(
            False,
            f"it says nothing of an answer of the class {row['finish_class']} (null), as where a column holds none",
        )


def _in_any_order(order: Callable[[pl.DataFrame], pl.DataFrame], reference: Reference, answers: pl.DataFrame) -> None:
    """What the filter itself says, before empty completions are dropped: where answers tie, those may be the ones that move."""
    kept_samples(answers, str(reference))  # which refuses what is neither true nor false
    chosen, again = (set(each.filter(expression_of(reference))["request_id"]) for each in (answers, order(answers)))
    require(chosen == again, f"{len(chosen ^ again)} of {answers.height} answers are chosen one time and not the other")


OF_FILTERS: dict[str, Callable[[Reference, pl.DataFrame], None]] = {
    "it says true or false of every answer": _says_of_each,
    "it says the same again": partial(_in_any_order, lambda answers: answers),
    "the order of answers changes nothing": partial(_in_any_order, pl.DataFrame.reverse),
}


def examine_analysis(reference: Reference, watch: Watch = unwatched) -> Iterator[Found]:
    with TemporaryDirectory() as folder:
        files = {model: Path(folder) / f"{number}.parquet" for number, model in enumerate(MODELS)}
        for model, file in files.items():
            graded_answers(model).write_parquet(file)
        yield from examined(OF_ANALYSES, reference, files, watch=watch)


def _can_be_shown(reference: Reference, files: dict[str, Path]) -> None:
    require(analysed([reference], files).height, "it gives an empty table")


def _the_same_again(reference: Reference, files: dict[str, Path]) -> None:
    first, *others = (analysed([reference], files) for _ in range(3))
    require(
        all(first.equals(other) for other in others), "asked again, it gives another table, or rows in another order"
    )


OF_ANALYSES: dict[str, Callable[[Reference, dict[str, Path]], None]] = {
    "it gives a table that the report can show": _can_be_shown,
    "it gives the same table again": _the_same_again,
}
