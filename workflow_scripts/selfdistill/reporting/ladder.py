"""Which rows of the ladder's tables the page shows, its sentences, and answers side by side."""

from typing import Any

import polars as pl

from selfdistill.reporting.answers.shortened import shortened
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.tables import words

LONGEST_SIDE = 2500  # characters of one of the answers that stand side by side


def climbers(inputs: ReportInputs) -> list[str]:
    return [] if inputs.ladder is None else inputs.ladder["model_id"].unique(maintain_order=True).to_list()


def contexts(inputs: ReportInputs) -> list[str]:
    """The rungs, the first rung first."""
    if inputs.ladder is None:
        return []
    return inputs.ladder.sort("rung")["context"].unique(maintain_order=True).to_list()


def ladder_rows(inputs: ReportInputs, model: str) -> pl.DataFrame:
    """Of one model, over all words together."""
    assert inputs.ladder is not None
    return inputs.ladder.filter(pl.col("model_id") == model, pl.col("word").is_null())


def tests_of(inputs: ReportInputs, model: str, measure: str, test: str) -> dict[str, Any]:
    if inputs.ladder_tests is None:
        return {}
    found = inputs.ladder_tests.filter(
        pl.col("model_id") == model, pl.col("measure") == measure, pl.col("test") == test
    ).to_dicts()
    return found[0] if found else {}


def information_rows(inputs: ReportInputs, model: str, context: str) -> dict[str, dict[str, Any]]:
    """By measure."""
    if inputs.information is None:
        return {}
    rows = inputs.information.filter(pl.col("model_id") == model, pl.col("context") == context)
    return {row["measure"]: row for row in rows.iter_rows(named=True)}


def sentences(inputs: ReportInputs) -> list[str]:
    """What each climber's ladder says of the order that was said beforehand."""
    return [_sentence(inputs, model) for model in climbers(inputs)]


def _sentence(inputs: ReportInputs, model: str) -> str:
    measures = {
        words.ACCURACY: "right answers",
        words.MEAN_TOKENS: "length",
        words.DOUBTS: "doubts",
        words.DOUBT_RATE: "doubts per token",
    }
    tested = {name: tests_of(inputs, model, measure, words.TREND).get("verdict") for measure, name in measures.items()}
    strict = [
        name
        for measure, name in measures.items()
        if tests_of(inputs, model, measure, words.EVERY_STEP).get("verdict") == words.IN_ORDER
    ]
    parts = [
        f"{_listed(names)} {verdict}"
        for verdict in (words.IN_ORDER, words.REVERSED, words.NOT_RESOLVED)
        if (names := [name for name, found in tested.items() if found == verdict])
    ]
    steps = (
        f" Every single step is shown for {_listed(strict)}."
        if strict
        else " For no measure is every single step shown."
    )
    return f"{model}: along the rungs {'; '.join(parts)}.{steps}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def side_by_side(inputs: ReportInputs) -> list[dict[str, Any]]:
    """A problem, and its answers on every rung; all of it is text that models and datasets wrote."""
    if not has_rows(inputs.ladder_examples):
        return []
    assert inputs.ladder_examples is not None
    return [
        {
            "problem": rows["problem"][0],
            "problem_id": rows["problem_id"][0],
            "gold": rows["gold"][0],
            "answers": [
                row
                | {"text": shortened(row["text"] or "", LONGEST_SIDE)}
                | {"solution": None if row["solution"] is None else shortened(row["solution"], LONGEST_SIDE)}
                for row in rows.sort("rung").iter_rows(named=True)
            ],
        }
        for rows in inputs.ladder_examples.partition_by("problem_id", maintain_order=True)
    ]
