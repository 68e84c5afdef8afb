"""Which rows of the ladder's tables the page shows, its sentences, and answers side by side."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.answers.shortened import shortened
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.tables import words

LONGEST_SIDE = 2500  # characters of one of the answers that stand side by side


def climbers(inputs: ReportInputs) -> list[str]:
    """Models with a problem that has answers on every rung."""
    return _models(inputs, pl.col("n") > 0)


def without_problems(inputs: ReportInputs) -> list[str]:
    """Models that were asked on every rung, and have no problem with answers on all of them."""
    return _models(inputs, pl.col("n") == 0)


def _models(inputs: ReportInputs, which: pl.Expr) -> list[str]:
    return (
        [] if inputs.ladder is None else inputs.ladder.filter(which)["model_id"].unique(maintain_order=True).to_list()
    )


def first_level(inputs: ReportInputs, model: str) -> dict[str, Any]:
    """A level on the first rung: its counts are those of the model's every rung."""
    return ladder_rows(inputs, model).filter(pl.col("against").is_null()).sort("rung").row(0, named=True)


def chosen_of_asked(inputs: ReportInputs) -> tuple[int, int] | None:
    """How many problems were chosen of how many the study asks for, where they are fewer. Each was answered so many times on
    the first rung."""
    asked, models = inputs.study.get("ladder"), climbers(inputs)
    if not asked or not models:
        return None
    level = first_level(inputs, models[0])
    chosen = level["answers"] // asked["draws"] + level["left_out"]
    return (chosen, asked["problems"]) if chosen < asked["problems"] else None


def nats_are_divergences(inputs: ReportInputs) -> bool:
    """Whether the texts were sampled from the very law in which they are read: at temperature 1, without truncation."""
    decode = inputs.study.get("decodes", {}).get((inputs.study.get("ladder") or {}).get("decode"), {})
    exact = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "presence_penalty": 0.0}
    return all(decode.get(key, value) == value for key, value in exact.items())


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
    lacking = [
        f"{model}: {fmt.plural(first_level(inputs, model)['left_out'], 'problem')} asked, and none has an answer on every rung; "
        f"nothing is known of its ladder."
        for model in without_problems(inputs)
    ]
    return [*(_sentence(inputs, model) for model in climbers(inputs)), *lacking]


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
