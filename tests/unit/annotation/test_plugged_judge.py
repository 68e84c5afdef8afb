"""A judge of a plugin: asked as a server is, through the same journal; a changed one is another, and what it breaks is told."""

from pathlib import Path

import polars as pl
import pytest

from conftest import ROOT
from extend_examples import example
from judged_answers import annotation, graded
from selfdistill.annotation.asking import ask_judge
from selfdistill.annotation.contract import JudgeSettings
from selfdistill.annotation.judgements import judgements
from selfdistill.annotation.plugged import PluggedJudge, judge_class
from selfdistill.annotation.questions import make_questions
from selfdistill.annotation.rubric import read_rubric, settings_of
from selfdistill.doubt.counting import Markers
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import Reference, digest_of, refer
from selfdistill.study.annotation import Annotation
from selfdistill.tables import words
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.whole import read_table

RUBRIC = ROOT / "resources/rubrics/uncertainty.yaml"
SETTINGS = JudgeSettings({"doubts": "places"}, 0.7, 512)
HEAD = "from selfdistill.annotation.contract import Reply\n"
JUDGE = """
class JUDGE:
    name, version, deterministic = "mine", "1", True
    def __init__(self, settings):
        self.settings = settings
    def judge(self, questions):
        for number, question in enumerate(questions):
            {body}
"""


def judge_of(file: Path) -> Annotation:
    return annotation(judge={"model": refer("mine", file)}, rubric=str(RUBRIC), passes=1)


def written(folder: Path, body: str) -> Path:
    file = folder / "mine.py"
    file.write_text(HEAD + JUDGE.format(body=body))
    return file


def asked_by(annotated: Annotation) -> pl.DataFrame:
    answers = graded("base").filter(pl.col("decode_id") == "t07", pl.col("draw") == 0)
    return make_questions(
        answers.with_columns(pl.lit("What is 4?").alias("problem")), read_rubric(RUBRIC), annotated, 7, "float32"
    )


def ask(annotated: Annotation, folder: Path) -> pl.DataFrame:
    plugin = annotated.judge.plugin
    assert plugin and not annotated.judge.ours
    judge = PluggedJudge(plugin, settings_of(annotated))
    ask_judge(asked_by(annotated), judge, folder / "journal-0", folder / "replies.parquet")
    return read_table(folder / "replies.parquet", COMPLETIONS)


def test_the_pages_judge_counts_what_the_words_count(tmp_path: Path) -> None:
    """These answers doubt with "perhaps" and "wait" alone, which both know."""
    annotated = judge_of(example("judge", tmp_path))
    judged = judgements(asked_by(annotated), ask(annotated, tmp_path), read_rubric(RUBRIC), Markers(), thinks=False)
    assert judged["parse"].unique().to_list() == [words.AS_ASKED] and judged["judged"].sum() > 20
    assert judged["judged"].to_list() == judged["markers"].to_list()
    assert set(judged["engine"]) == {words.PLUGIN} and set(judged["engine_version"]) == {"1"}
    assert set(judged["judge"]) == {f"mine#{digest_of(tmp_path / 'my_judge.py')}"}, "where it lies is told nowhere"


def test_what_it_said_before_it_broke_is_not_asked_again_and_a_changed_one_is_another(tmp_path: Path) -> None:
    """It fails at the fourth of the seven questions that it is handed (two of the eight answers are one text)."""
    body = "yield Reply(question.request_id, 'said ' + str(1 // (3 - number)))"
    for text in (body, body, body + "  # changed"):
        with pytest.raises(UserError, match=r"JUDGE fails \(ZeroDivisionError: .*what was answered is kept"):
            ask(judge_of(written(tmp_path, text)), tmp_path)
    assert ask(judge_of(written(tmp_path, body)), tmp_path).height == 7, "three each time: one was lacking"
    (tmp_path / "other").mkdir()
    there, moved = (asked_by(judge_of(written(folder, body))) for folder in (tmp_path, tmp_path / "other"))
    assert moved["request_id"].equals(there["request_id"]), "it is the same elsewhere"


BROKEN = {
    "no reply": ("yield 'two'", "must give replies .* but gives 'two'"),
    "a reply to nothing": ("yield Reply('other', '{}')", "answers 'other', which is no open question"),
    "two replies": ("yield Reply(question.request_id, '{}'); yield Reply(question.request_id, '{}')", "which is no open question"),
    "an end of the program": ("raise SystemExit(0)", r"JUDGE fails \(SystemExit: 0\)"),
    "a number": ("yield Reply(question.request_id, 3)", "the text of a reply is 3, which is of another type"),
    "what is no text": ("yield Reply(question.request_id, chr(0xD800))", "holds what is no text"),
    "silence": ("yield from ()", "gives 7 of 7 questions no reply; what was answered is kept"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_reply_is_one_sentence_and_is_not_kept(name: str, tmp_path: Path) -> None:
    body, said = BROKEN[name]
    with pytest.raises(UserError, match=said) as error:
        ask(judge_of(written(tmp_path, body)), tmp_path)
    assert "\n" not in str(error.value) and not (tmp_path / "replies.parquet").exists()


def test_a_reply_that_cannot_be_read_is_refused_as_a_servers_is(tmp_path: Path) -> None:
    cut = "yield Reply(question.request_id, json.dumps({'doubts': 1}), finish_reason='length' if number else 'stop')"
    annotated = judge_of(written(tmp_path, f"import json; {cut}")).model_copy(
        update={"rubric": str(ROOT / "resources/rubrics/brief.yaml")}
    )
    replies = ask(annotated, tmp_path)
    judged = judgements(asked_by(annotated), replies, read_rubric(Path(annotated.rubric)), Markers(), thinks=False)
    assert sorted(judged["parse"]) == [words.AS_ASKED, *[words.REFUSED_REPLY] * 7]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("class JUDGE", "must be a class"),
        ('"1", True', "JUDGE.version must be a str"),
        ("def judge", "JUDGE has no judge"),
    ],
)
def test_what_is_no_judge_is_refused_before_anything_runs(part: str, said: str, tmp_path: Path) -> None:
    file = written(tmp_path, "pass")
    changed = {"class JUDGE": "def JUDGE():\n  class Inner", '"1", True': "1, True", "def judge": "def judges"}[part]
    file.write_text(file.read_text().replace(part, changed))
    with pytest.raises(UserError, match=said):
        judge_class(Reference("mine", file, digest_of(file)))


def test_counts_that_the_pages_judge_does_not_know_are_its_own_sentence(tmp_path: Path) -> None:
    file = example("judge", tmp_path)
    with pytest.raises(UserError, match="phrases: counts no doubts; name another rubric"):
        PluggedJudge(Reference("phrases", file, digest_of(file)), SETTINGS)
