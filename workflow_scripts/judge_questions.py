"""Rule `judge_questions`: which answers are judged, and what is asked of each."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.annotation.answers import choose_answers, read_answers, with_texts
from selfdistill.annotation.questions import judge_plan, make_questions
from selfdistill.annotation.rubric import read_rubric
from selfdistill.foundation.programs import as_rule
from selfdistill.study.annotation import Annotation
from selfdistill.tables.annotation import JUDGE_PLAN, QUESTIONS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.schema import empty_table
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, graded = snakemake.params.asked, snakemake.input.graded
    annotation = Annotation.model_validate(asked["annotation"])
    rubric = read_rubric(Path(snakemake.input.rubric[0]))
    chosen = choose_answers(read_answers(graded, annotation.decode), asked["models"], annotation, asked["seed"])
    answers = with_texts(chosen, graded, read_table(snakemake.input.evaluation, PROBLEMS))
    questions = make_questions(answers, rubric, annotation, asked["seed"], asked["dtype"])
    write_table(questions, snakemake.output.questions, QUESTIONS)
    plan = judge_plan(questions, annotation, asked["context"]) if annotation.judge.ours else empty_table(JUDGE_PLAN)
    write_table(plan, snakemake.output.plan, JUDGE_PLAN)


as_rule(main, snakemake.log[0])
