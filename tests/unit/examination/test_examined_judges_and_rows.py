"""What judges, filters and analyses of others are asked: the page's examples keep it, and what is broken is found."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from extend_examples import example
from selfdistill.commands.main import run
from selfdistill.examination.graded import OF_ANALYSES, OF_FILTERS
from selfdistill.examination.judges import CHECKS
from selfdistill.foundation.errors import UserError

CLAIMS: dict[str, list[str]] = {"judge": [*CHECKS], "filter": [*OF_FILTERS], "analysis": [*OF_ANALYSES]}


def examined(kind: str, file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    status = run(["examine", kind, str(file)])
    return status, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("kind", CLAIMS)
def test_the_pages_example_keeps_the_contract(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert examined(kind, example(kind, tmp_path), capsys) == (0, [f"kept: {claim}" for claim in CLAIMS[kind]])


CARELESS = """
import random
import socket
from selfdistill.annotation.contract import Reply


class JUDGE:
    name, version, deterministic = "careless", "1", True

    def __init__(self, settings):
        self.settings = settings

    def judge(self, questions):
        for question in list(questions)[1:]:
            try:
                socket.create_connection(("127.0.0.1", 9))
            except OSError:
                pass
            yield Reply(question.request_id, f"some {random.random()} doubts")
"""


def test_what_a_judge_breaks_is_found_claim_by_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "careless.py"
    file.write_text(CARELESS)
    status, said = examined("judge", file, capsys)
    broken = dict(zip(CHECKS, said, strict=True))
    assert status == 1 and all(each.startswith("broken: ") for each in said)
    for claim, why in zip(
        CHECKS,
        ("1 of 14 questions have no reply", "all 64 questions were taken before", "is refused: it holds no JSON object", "alone, answer 6 has another reply", "it asks [('127.0.0.1', 9)]"),
        strict=True,
    ):  # fmt: skip
        assert why in broken[claim]
    file.write_text(CARELESS.replace('"1", True', '"1", False').replace("list(questions)[1:]", "questions"))
    status, said = examined("judge", file, capsys)
    assert status == 1 and [each for each in said if "broken" in each] == [said[2]], "what it does not say is not asked"


ROWS = """
import polars as pl

KEEP = {
    "solved": pl.col("verdict") == "correct", "known": pl.col("lenient") != "equal", "first": pl.int_range(pl.len()) < 9,
    "shortest": pl.col("n_tokens").rank("ordinal") <= 5,
}
ANALYSES = {
    "steady": lambda graded: pl.DataFrame({"a": [1]}),
    "shaken": lambda graded: graded["base"].select("request_id").collect().sample(fraction=1.0, shuffle=True),
    "hollow": lambda graded: pl.DataFrame({"a": []}, schema={"a": pl.Int64}),
}
"""


def test_what_filters_and_analyses_break_is_told_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.py"
    file.write_text(ROWS)
    status, said = examined("filter", file, capsys)
    assert status == 1 and [line.split(": ")[:3] for line in said if "broken" in line] == [
        ["known", "broken", "it says true or false of every answer"], ["first", "broken", "the order of answers changes nothing"],
        ["shortest", "broken", "the order of answers changes nothing"],
    ]  # fmt: skip
    status, said = examined("analysis", file, capsys)
    assert status == 1 and [line.split(": ")[:3] for line in said if "broken" in line] == [
        ["shaken", "broken", "it gives the same table again"], ["hollow", "broken", "it gives a table that the report can show"],
    ]  # fmt: skip


HANGING = """
from concurrent.futures import ThreadPoolExecutor
from threading import Event

def wait(graded):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(Event().wait).result()

ANALYSES = {"hanging": wait}
"""


def test_what_hangs_is_named_and_given_up(tmp_path: Path) -> None:
    file = tmp_path / "hanging.py"
    file.write_text(HANGING)
    command = [sys.executable, "workflow_scripts/forklock.py", "examine", "analysis", str(file), "--seconds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    claim = next(iter(OF_ANALYSES))
    assert (done.returncode, done.stderr) == (1, f"asking: {claim}\n")
    assert done.stdout == f"broken: {claim}: it is not done after 1 second; the rest is not asked\n"


def test_a_limit_of_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--seconds: 0 is not from 1 to 86400"):
        run(["examine", "analysis", str(example("analysis", tmp_path)), "--seconds", "0"])
