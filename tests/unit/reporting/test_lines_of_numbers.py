"""The lines that make a number again are run: what a table says stands in them as a constant and is never part of the code."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import ROOT
from selfdistill.reporting.numbers.from_the_library import BY_THE_LIBRARY
from selfdistill.reporting.numbers.index import MORE, TABLES, Number
from selfdistill.reporting.numbers.recipes import lines_of
from selfdistill.study.load import study_of
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS
from selfdistill.tables.whole import write_table

# Out of a constant in either quote, out of a constant with braces, and onto a line of its own.
HOSTILE = ('"); INJECTED; ("', "'); INJECTED; ('", "{INJECTED}", "\nINJECTED\n", "\\")
NUMBERS: dict[Any, Any] = {pl.Int32: 1, pl.Int64: 1, pl.Float64: 0.5, pl.Boolean: True}
# What the lines are chosen by, for they would not be made of anything else.
OF_A_TABLE: dict[str, list[dict[str, Any]]] = {
    "levels": [{"estimand": words.ACCURACY, "method": words.T}, {"estimand": words.WHEN_FINISHED, "method": words.WILSON}],
    "solving": [{"estimand": f"{words.PASS_AT}2"}, {"estimand": f"{words.MAJORITY_AT}3"}],
    "comparisons": [
        {"estimand": words.ACCURACY, "method": words.SCORE},
        {"estimand": words.ACCURACY, "claim": words.METHOD, "model_id": "ssd/all-seeds/at-100", "arm": "ssd", "against": "base",
         "percent": 100, "training_seed": None},
        {"estimand": words.ACCURACY, "comparison": words.FAIR},
    ],
    "doubt": [{}, {"estimand": words.FIRST_TOKENS_RATE}],
    # Files are found by the climber and by the arm, which must be of the study.
    "ladder": [{"model_id": "base"}],
    "information": [{"model_id": "base"}],
    "practice": [{"arm": "grpo"}, {"arm": "grpo", "training_seed": None}],
    "practice_changes": [{"arm": "grpo"}],
    "practice_signal": [{"arm": "grpo"}],
    "context_kl": [{}, {"grouping": words.BY_DOUBT}],
}  # fmt: skip
STUDIES = {
    "ladder": "doubt-lab",
    "ladder_tests": "doubt-lab",
    "information": "doubt-lab",
    "context_kl": "doubt-lab",
} | dict.fromkeys(("practice", "practice_changes", "practice_signal"), "practice-lab")
WITHOUT_WORDS = ("practice_cost",)  # a row that says no more than an arm of the study


@cache
def study_named(name: str) -> Study:
    return study_of(ROOT / f"config/{name}.yaml")


@pytest.fixture(scope="module")
def study() -> Study:
    return study_named("smoke")


def hostile_row(table: str, text: str, **more: Any) -> dict[str, Any]:
    row = {name: NUMBERS.get(dtype, text) for name, dtype in TABLES[table].items()} | {"budget": "full"} | more
    return row | ({"run": f"ssd/seed-0{text}"} if "run" in row else {})


def kinds() -> list[tuple[str, dict[str, Any]]]:
    tables = [table for table in TABLES if table not in ("verdicts", *WITHOUT_WORDS)]
    return [(table, more) for table in tables for more in OF_A_TABLE.get(table, [{}])]


def refuse_injected(lines: str, text: str) -> None:
    code = ast.parse(lines)
    assert not [node for node in ast.walk(code) if isinstance(node, ast.Name) and node.id == "INJECTED"], lines
    constants = [node.value for node in ast.walk(code) if isinstance(node, ast.Constant)]
    assert any(text in value for value in constants if isinstance(value, str)), lines


def test_every_table_is_tried() -> None:
    assert set(BY_THE_LIBRARY) | {"verdicts", "levels", "solving", "comparisons"} == set(TABLES)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(("table", "more"), kinds())
def test_what_a_row_says_is_a_constant(table: str, more: dict[str, Any], text: str) -> None:
    number = Number("any", table, hostile_row(table, text, **more), MORE[table][0] if table in MORE else "estimate")
    refuse_injected(lines_of(study_named(STUDIES.get(table, "smoke")), number), text)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("column", ["estimate", "verdict"])
def test_what_a_verdict_says_is_a_constant(
    column: str, text: str, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is that of its row of the comparisons."""
    row = hostile_row("verdicts", text, estimand=words.ACCURACY)
    compared = {name: row.get(name, hostile_row("comparisons", text)[name]) for name in COMPARISONS}
    compared |= {"training_seed": None, "split": "test", "percent": 100}
    file = tmp_path / study.results / "analysis/comparisons.parquet"
    file.parent.mkdir(parents=True)
    write_table(pl.DataFrame([compared], schema=COMPARISONS), file, COMPARISONS)
    monkeypatch.chdir(tmp_path)
    refuse_injected(lines_of(study, Number("any", "verdicts", row, column)), text)
