"""Claims about what a conversion is expected to keep: far fewer than of a real copy is an alarm, and no error."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from selfdistill.problems.datasets.document import page
from selfdistill.problems.datasets.expected import alarm
from selfdistill.problems.datasets.registry import all_datasets
from selfdistill.rehearsal.recorded_shapes import json_lines

DATASETS = all_datasets()
COUNTED = [(dataset, one) for dataset in DATASETS.values() for one in dataset.counted]


@pytest.mark.parametrize(("dataset", "one"), COUNTED)
def test_every_count_names_its_copy_and_stands_on_the_page(dataset: Any, one: Any) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", one.commit) and one.repository.count("/") == 1
    assert one.kept > 0 and 0 <= one.helped <= one.kept and 0 <= one.mended <= one.kept
    row = next(line for line in page().splitlines() if one.repository in line and f"| {one.kept} |" in line)
    assert f"| {one.rows} |" in row and all(f"{count} {reason}" in row for reason, count in one.dropped.items())


@pytest.mark.parametrize(("dataset", "one"), [pair for pair in COUNTED if pair[1].whole])
def test_a_whole_copy_gives_no_alarm_about_itself(dataset: Any, one: Any) -> None:
    assert alarm(dataset, one.options, one.kept, one.dropped) == ""


def test_the_exams_are_kept_whole_or_nearly() -> None:
    kept = {(dataset.name, one.repository): (one.kept, one.rows) for dataset, one in COUNTED}
    assert all(
        kept[name] == (30, 30) for name in kept if name[0] in ("aime-24", "aime-25", "aime-2025", "hmmt-feb-2025")
    )
    assert kept["math-500", "hkust-nlp/simpleRL-reason"] == (500, 500)
    assert kept["amc23", "QwenLM/Qwen2.5-Math"] == (40, 40)
    assert kept["aime-1983-2024", "nouop/aidltest"] == (929, 933)
    assert kept["hendrycks-math", "hkust-nlp/simpleRL-reason"] == (491, 500)


@pytest.mark.parametrize(
    ("loader", "options", "kept", "dropped", "alarms"),
    [
        ("aime-2025", {}, 30, {}, False),
        ("aime-2025", {}, 29, {"needs a picture": 1}, True),
        ("aime-1983-2024", {}, 925, {"needs a picture": 8}, False),
        ("aime-1983-2024", {}, 870, {"needs a picture": 63}, True),
        ("aime-1983-2024", {}, 600, {}, True),  # a file that was cut short
        ("aime-1983-2024", {"years": [2000, 2024]}, 500, {"year not asked for": 433}, False),
        ("aime-1983-2024", {"years": [2000, 2024]}, 400, {"year not asked for": 433, "broken LaTeX": 100}, True),
        ("hendrycks-math", {}, 7374, {"several answers": 79}, False),
        ("hendrycks-math", {}, 4500, {"needs a picture": 3000}, True),
        ("hendrycks-math", {"levels": [5]}, 1900, {"level not asked for": 5500, "several answers": 100}, False),
        ("hendrycks-math", {"levels": [5]}, 1500, {"level not asked for": 5500, "several answers": 500}, True),
        ("hendrycks-math", {"levels": [5], "limit": 100}, 100, {"level not asked for": 5500, "over the limit": 1800}, False),
        ("hendrycks-math", {"levels": [5], "limit": 100}, 100, {"over the limit": 1800, "several answers": 100}, False),
        ("hendrycks-math", {"levels": [5], "limit": 100}, 100, {"over the limit": 1800, "several answers": 900}, True),
        ("hendrycks-math", {"pictures": ["no"]}, 6669, {"a picture would help": 705}, False),
        ("hendrycks-math", {"levels": [1, 2, 3, 4, 5]}, 4500, {"needs a picture": 3000}, True),  # all is the default
        ("omni-math-2", {}, 4100, {"tagged as not of one exact answer": 247, "several answers": 80}, False),
        ("omni-math-2", {}, 2000, {"tagged as not of one exact answer": 247, "broken LaTeX": 2100}, True),
        ("beyond-aime", {}, 1, {"no answer": 99}, False),  # of which no copy was found
        ("numina-math-cot", {"sources": ["olympiads"]}, 1000, {"proof": 9000}, False),  # too few rows were counted
    ],
)  # fmt: skip
def test_far_fewer_problems_than_documented_are_an_alarm(
    loader: str, options: dict, kept: int, dropped: dict[str, int], alarms: bool
) -> None:
    said = alarm(DATASETS[loader], options, kept, dropped)
    assert bool(said) is alarms
    assert not said or (said.startswith(f"{loader}: ") and said.endswith(".") and "\n" not in said)


def test_the_rule_says_an_alarm_in_its_log_and_ends_well(tmp_path: Path) -> None:
    rows = [{"question": f"How many ways are there to climb {n} stairs?", "answer": str(n)} for n in range(25)]
    json_lines(tmp_path / "aime2025-I.jsonl", rows[:15])
    json_lines(tmp_path / "aime2025-II.jsonl", rows[15:])
    asked = {"key": "problems.sources.exam", "loader": "aime-2025", "options": {}}
    output = {"problems": str(tmp_path / "exam.jsonl"), "audit": str(tmp_path / "exam.json")}
    program = (
        "import runpy, types; of = types.SimpleNamespace; "
        f"rule = of(params=of(asked={asked!r}, folder={str(tmp_path)!r}), output=of(**{output!r}), log=[{str(tmp_path / 'log')!r}]); "
        "runpy.run_path('workflow_scripts/convert.py', {'snakemake': rule})"
    )
    with_library = os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=with_library, check=True)
    audit = json.loads((tmp_path / "exam.json").read_text())
    assert (audit["kept"], audit["mended"], audit["pictures"], audit["dropped"]) == (25, 0, {"no": 25}, {})
    assert (tmp_path / "log").read_text().startswith("ALARM: aime-2025: 25 problems are kept, where 30 were")
    assert audit["alarm"] in (tmp_path / "log").read_text()
