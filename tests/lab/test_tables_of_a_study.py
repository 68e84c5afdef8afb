"""The pages about tables, held against a finished study: what lies where, the examples, the worked example and the report."""

import html
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import ROOT, Clone
from selfdistill.reporting import formatting
from selfdistill.tables.described import schema_of
from selfdistill.tables.document import EXAMPLES
from selfdistill.tables.examples import examples, place_of
from selfdistill.tables.places import PLACES, Place

pytestmark = pytest.mark.xdist_group("smoke")


AGAIN = "take the examples anew: the command stands in docs/tables.md"


def test_every_table_of_a_finished_study_is_on_the_page_with_these_columns(smoke: Clone) -> None:
    results = smoke.folder / "results/smoke"
    inner = ("work", "benchmarks", "logs")  # what crash-safe work keeps for itself
    tables = [file for file in results.rglob("*.parquet") if not set(inner) & set(file.relative_to(results).parts)]
    seen: set[Place] = set()
    for file in tables:
        place = place_of(file, results)
        assert place is not None, file
        seen.add(place)
        columns = [*(["run"] if place.of_runs else []), *schema_of(place.schema)]
        assert list(pl.read_parquet_schema(file)) == columns, file
    assert len(tables) > 100 and len(seen) > len(PLACES) / 2


def test_the_examples_on_the_page_are_of_columns_that_a_study_fills(smoke: Clone) -> None:
    kept = json.loads(EXAMPLES.read_text())
    for schema, row in examples([smoke.folder / "results/smoke"]).items():
        filled = {column for column, value in row.items() if value is not None}
        known = {column for column, value in kept[schema].items() if value is not None}
        # Loops, disputes and the like come and go with the last digit of a machine's arithmetic.
        assert len(filled - known) <= 3, f"{schema}: {filled - known}; {AGAIN}"
        if schema in ("problems.PROBLEMS", "problems.CONTAMINATION", "problems.PROMPTS"):
            assert row == kept[schema], AGAIN


def worked_example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's code leaves behind; it asserts by itself that the tables of the analysis say the same."""
    monkeypatch.chdir(folder)
    left: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/reading-the-tables.md").read_text(), re.M | re.S)
    assert sum("assert" in block for block in blocks) == 3
    for block in blocks:
        exec(block, left)
    return left


def test_the_worked_example_finds_three_numbers_of_the_report(smoke: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    found = worked_example(smoke.folder, monkeypatch)
    page = html.unescape(re.sub(r"<[^>]+>", " ", (smoke.folder / "results/smoke/report.html").read_text()))
    said = " ".join(page.split())
    counts = f"{found['problems']} problems in {found['families']} families of the test split"
    assert counts == "66 problems in 61 families of the test split"
    assert counts in said and counts in " ".join((ROOT / "docs/reading-the-tables.md").read_text().split())
    rows = said.split("Same decode for all, t07")[1].split("Same decode for all, t15")[0]
    accuracy, difference = formatting.percent(found["accuracy"]), formatting.points(found["difference"])
    assert f"base {' '.join(accuracy.split())} [" in rows and f" {' '.join(difference.split())} [" in rows
    fell = found["paired"].filter(pl.col("accuracy") < pl.col("accuracy_of_base"))["problem_id"]
    assert set(found["texts"]["problem_id"]) == set(fell) and found["flips"].height > fell.len()
