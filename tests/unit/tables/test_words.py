"""The words that stand in tables are written once, and "finished" means one thing to all who count it."""

import ast
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from conftest import ROOT
from selfdistill.analysis.problem_means import problem_means
from selfdistill.grading.classes import finish_class, finished
from selfdistill.tables import endings, words
from selfdistill.training.examples.audit import audit
from selfdistill.training.examples.kept import kept_samples

LIBRARY = ROOT / "workflow_scripts/selfdistill"
ROOMS = ("analysis", "annotation", "planning", "reporting", "grading", "training/examples")
CLASSES = (*endings.FINISHED, *endings.UNFINISHED)
# Words that are also names of columns, keys of the study file or of a JSON file, or everyday words on the page: these are
# looked for only where something is compared with them.
SPOKEN = {words.ACCURACY, words.MEAN_TOKENS, words.T, words.PROBLEM, words.FAMILY, words.TOTAL, words.WHOLE_RUN, words.HYPOTHESIS,
          words.WORSE, *CLASSES, endings.CORRECT}  # fmt: skip
WORDS = {
    value
    for module in (words, endings)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}
WORDS -= {endings.LOOP}  # an engine's reason of finishing, too


def copies_in(source: str) -> list[str]:
    """Words that a file writes out: keys of dictionaries and of rows are names of columns, and may."""
    nodes = list(ast.walk(ast.parse(source)))
    keys = {id(key) for node in nodes if isinstance(node, ast.Dict) for key in node.keys}
    keys |= {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    compared = {id(side) for node in nodes if isinstance(node, ast.Compare) for side in (node.left, *node.comparators)}
    return [
        f"line {node.lineno}: {node.value!r}"
        for node in nodes
        if isinstance(node, ast.Constant) and node.value in WORDS and id(node) not in keys
        and (node.value not in SPOKEN or id(node) in compared)
    ]  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_keeps_a_copy_of_a_word_that_stands_in_a_table(room: str) -> None:
    files = sorted((LIBRARY / room).rglob("*.py"))
    assert files
    copies = [f"{file.relative_to(LIBRARY)} {copy}" for file in files for copy in copies_in(file.read_text())]
    assert copies == [], "take them from selfdistill.tables.words or .endings"


def test_a_copy_would_be_noticed() -> None:
    assert {words.SCORE, words.NOT_RESOLVED, words.CUT_RATE, words.MATCHED} <= WORDS - SPOKEN
    assert copies_in('LEAD = "paired score"') == ["line 1: 'paired score'"]
    assert copies_in('pl.col("verdict") == "correct"') == ["line 1: 'correct'"]
    assert copies_in('row["cut_rate"], {"matched": 1}, "correct"') == []


@pytest.mark.parametrize(("text", "looping", "answer"), list(product(("", "so 4"), (False, True), (None, "4"))))
def test_a_completion_is_finished_by_its_class_exactly_when_it_is_by_its_end(
    text: str, looping: bool, answer: str | None
) -> None:
    for reason, tokens in product(("stop", "length", "loop"), (7, 8)):
        ended = finished(reason, tokens, max_tokens=8)
        assert ended == (reason == "stop" and tokens == 7)
        assert (finish_class(text, ended, looping, answer) in endings.FINISHED) == ended


def one_of_each_class() -> pl.DataFrame:
    return pl.DataFrame({
        "finish_class": CLASSES, "verdict": [endings.CORRECT, *[endings.UNANSWERED] * (len(CLASSES) - 1)],
        "request_id": CLASSES, "model_id": "base", "decode_id": "t10", "problem_id": "p1", "purpose": "eval", "family": "f1", "split": "test",
        "rank": 0, "level": 1, "n_tokens": 9, "think_closed": True, "boxed": True,
    })  # fmt: skip


def test_filter_audit_and_analysis_count_the_same_answers_as_finished() -> None:
    answers = one_of_each_class()
    kept = kept_samples(answers, "finished")
    assert kept["finish_class"].to_list() == ["answered", "no_answer"]
    counted = audit(answers, kept, kept, "finished", "t10")
    assert (counted["finished"], counted["empty"]) == (kept.height, 1)
    means = problem_means(answers).row(0, named=True)
    assert means["finished_draws"] == counted["finished"] + counted["empty"] == len(endings.FINISHED) == 3
    assert means["cut_rate"] == pytest.approx((counted["cut"] + counted["looped"]) / 5)


def test_every_class_and_verdict_is_a_word_of_its_own() -> None:
    assert len(set(CLASSES)) == 5 and len({endings.CORRECT, endings.WRONG, endings.UNANSWERED}) == 3
    assert Path(endings.__file__).parent == Path(words.__file__).parent
