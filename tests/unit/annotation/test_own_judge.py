"""The lab's model as the judge: every stage runs through the programs, nothing is asked twice, and its prose is no judgement."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl

from conftest import ROOT
from judged_answers import annotation, graded
from selfdistill.annotation.agreement import agreement
from selfdistill.annotation.judgements import judgements
from selfdistill.annotation.questions import judge_plan, make_questions
from selfdistill.annotation.rubric import read_rubric
from selfdistill.doubt.counting import Markers
from selfdistill.tables import words
from selfdistill.tables.annotation import JUDGE_PLAN, JUDGEMENTS, QUESTIONS
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.schema import conform
from selfdistill.tables.whole import read_table, write_table

RUBRIC = read_rubric(ROOT / "resources/rubrics/brief.yaml")


def test_the_lab_s_engine_judges_and_its_replies_are_refused_not_guessed(tmp_path: Path) -> None:
    annotated = annotation(max_tokens=24, judge={"model": str(ROOT / "resources/lab/model")})
    answers = graded("base").filter(pl.col("decode_id") == "t07", pl.col("draw") == 0)
    asked = make_questions(answers.with_columns(pl.lit("What is 4?").alias("problem")), RUBRIC, annotated, 7, "float32")
    write_table(asked, tmp_path / "questions.parquet", QUESTIONS)
    write_table(judge_plan(asked, annotated, 512), tmp_path / "plan.parquet", JUDGE_PLAN)
    command = [
        sys.executable, str(ROOT / "workflow_scripts/judge.py"), "--questions", str(tmp_path / "questions.parquet"), "--plan",
        str(tmp_path / "plan.parquet"), "--journal", str(tmp_path / "journal-0"), "--output", str(tmp_path / "replies.parquet"), "--annotation",
        annotated.model_dump_json(), "--settings", json.dumps({"engine": "torch", "dtype": "float32", "context": 512}),
    ]  # fmt: skip
    for already in ("14 to sample", "0 to sample"):
        said = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin", "OMP_NUM_THREADS": "1"})
        assert said.returncode == 0 and already in said.stderr, said.stderr
        (tmp_path / "replies.parquet").rename(tmp_path / "kept.parquet")
    replies = read_table(tmp_path / "kept.parquet", COMPLETIONS)
    judged = conform(judgements(asked, replies, RUBRIC, Markers(), thinks=True), JUDGEMENTS, "judgements")
    assert judged["parse"].unique().to_list() == [words.REFUSED_REPLY] and judged["reply"].null_count() == 0
    assert set(judged["engine"]) == {"torch"} and judged["detail"].null_count() == 0
    shown = agreement(judged, ["base"])
    assert shown.filter(measure=words.replies(words.REFUSED_REPLY))["estimate"].to_list() == [1.0]
