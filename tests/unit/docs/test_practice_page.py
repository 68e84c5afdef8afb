"""The lab's tables in docs/practice.md are what the benchmark makes of a finished study."""

import json
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import report_practice_fixture as practised
from conftest import ROOT
from selfdistill.tables import words
from selfdistill.tables.analysis import VERDICTS


@pytest.fixture(scope="module")
def lab() -> Mapping[str, Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return runpy.run_path(str(ROOT / "benchmarks/practice_lab.py"))
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose truth was planted, of which dev is a part that nobody is told."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "analysis").mkdir()
    tables = practised.tables()
    parts = [tables["levels"].with_columns(budget=pl.lit(part)) for part in ("of-four", "of-six")]
    dev = parts[0].with_columns(split=pl.lit("dev"), estimate=pl.lit(0.0))
    row: dict[str, Any] = dict.fromkeys(VERDICTS) | {
        "role": words.HYPOTHESIS, "hypothesis": "told", "question": "not_worse", "arm": "sdpo", "against": "base", "claim": words.METHOD,
        "margin": 0.06, "estimate": -0.55, "low": -0.6, "high": -0.5, "n": 360, "unit": "problem", "verdict": words.NOT_RESOLVED,
    }  # fmt: skip
    made = {name: tables[name] for name in ("practice_changes", "practice_cost")} | {
        "levels": pl.concat([dev, *parts]), "verdicts": pl.DataFrame([row], schema=VERDICTS),
    }  # fmt: skip
    for name, table in made.items():
        table.write_parquet(folder / f"analysis/{name}.parquet")
    return folder


def test_the_tables_tell_changes_levels_and_verdicts(lab: Mapping[str, Any], study: Path) -> None:
    found = lab["measured"](study)
    rows = {line.split(" | ")[0][2:]: line.split(" | ") for line in lab["arms_table"](found).splitlines()[5:]}
    assert list(rows) == ["the base", *(f"`{arm}` ({len(practised.seeds(arm))})" for arm in practised.STUDY["arms"])]
    first, last = (float(end) for end in rows["`sdpo` (3)"][1].split(" → "))
    assert abs(first - 80) < 8 and abs(last - 25) < 8 and rows["`sdpo` (3)"][2].startswith("−")
    assert rows["`sdpo` (3)"][5].startswith("23.0 [") and rows["the base"][1] == ""
    assert rows["`replays` (1)"][1:5] == ["", "", "", ""]
    verdict = lab["verdicts_table"](found).splitlines()[-1]
    assert verdict == (
        "| told: `sdpo` against base | not worse by 6 | −55.0 [−60.0, −50.0] | the method | not resolved |"
    )


def test_the_page_holds_what_was_stored(lab: Mapping[str, Any]) -> None:
    """Where it has been filled, by the same command."""
    page = (ROOT / "docs/practice.md").read_text()
    assert all(f"<!-- {name} -->\n" in page for name in ("practice-lab", "practice-verdicts"))
    if lab["STORED"].exists():
        found = json.loads(lab["STORED"].read_text())
        assert lab["arms_table"](found) in page and lab["verdicts_table"](found) in page
