"""From chosen answers to what a judge is asked: the rubric around each, once a pass, each with its name and seed.

A judge that an engine of ours samples is asked through a plan like any other model's; a server or a plugin gets the text
itself.
"""

import hashlib
import json
from pathlib import Path

import polars as pl

from selfdistill.annotation.rubric import Rubric
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.sampling.prompts import tokenise_prompts
from selfdistill.sampling.requests import seed_of
from selfdistill.study.annotation import Annotation, Judge
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.annotation import JUDGE_PLAN, QUESTIONS

VERSION = 1  # raise it when the same question would be asked otherwise
ANNOTATION = "annotation"


def make_questions(
    answers: pl.DataFrame, rubric: Rubric, annotation: Annotation, seed: int, dtype: str
) -> pl.DataFrame:
    """Every answer as often as there are passes. One text that two models gave is judged once, under one name."""
    judge = annotation.judge
    prompts = [rubric.question(row["problem"], row["text"]) for row in answers.iter_rows(named=True)]
    told = answers.rename({"request_id": "answer_id", "text": "answer"}).with_columns(
        pl.Series("prompt", prompts, pl.String), pl.lit(judge.name).alias("judge")
    )
    asked = pl.concat(
        told.with_columns(pl.lit(number, pl.Int32).alias("pass")) for number in range(1, annotation.passes + 1)
    )
    identity = [
        VERSION,
        *_who_judges(judge, dtype),
        sorted(judge.chat.items()),
        annotation.temperature,
        annotation.max_tokens,
        seed,
    ]
    names = [named(identity, row["prompt"], row["pass"]) for row in asked.iter_rows(named=True)]
    seeds = pl.Series("seed", [seed_of(name) for name in names], pl.Int64)
    return asked.with_columns(pl.Series("request_id", names, pl.String), seeds).select(*QUESTIONS)


def _who_judges(judge: Judge, dtype: str) -> list[str]:
    """A plugin's file that changed is another judge."""
    if judge.server:
        return [words.SERVER, judge.server, judge.model]
    return [words.PLUGIN, judge.name] if judge.plugin else [model_digest(Path(judge.model)), dtype]


def named(identity: list[object], prompt: str, number: int) -> str:
    """A content key: whatever changes the law of the reply is in it."""
    return hashlib.sha256(json.dumps([ANNOTATION, *identity, prompt, number]).encode()).hexdigest()[:32]


def judge_plan(questions: pl.DataFrame, annotation: Annotation, context: int) -> pl.DataFrame:
    """What the sampler reads, of a judge of ours. A question that does not fit is refused by name, before any is asked."""
    judge = annotation.judge
    each = questions.unique("request_id", maintain_order=True)
    texts = each.select(pl.col("prompt").alias("problem")).unique(maintain_order=True).with_row_index("problem_id")
    texts = texts.with_columns(pl.col("problem_id").cast(pl.String))
    tokenised = tokenise_prompts(texts, "{problem}", Path(judge.model), judge.chat)
    prompts = texts.join(tokenised, on="problem_id").select(pl.col("problem").alias("prompt"), "prompt_ids")
    planned = each.join(prompts, on="prompt", maintain_order="left")
    refuse_too_long(planned, annotation, context)
    decode = Decode(temperature=annotation.temperature, max_tokens=annotation.max_tokens).model_dump()
    constant = {"purpose": ANNOTATION, "decode_id": ANNOTATION, "shard": 0, **decode}
    return planned.with_columns(
        pl.col("pass").alias("draw"), *(pl.lit(value, JUDGE_PLAN[name]).alias(name) for name, value in constant.items())
    ).select(*JUDGE_PLAN)


def refuse_too_long(planned: pl.DataFrame, annotation: Annotation, context: int) -> None:
    over = planned.filter(pl.col("prompt_ids").list.len() + annotation.max_tokens > context)
    if over.height:
        row = over.row(0, named=True)
        raise UserError(
            f"annotation: the question on answer {row['answer_id']} of {row['model_id']} has {len(row['prompt_ids'])} tokens, which "
            f"with {annotation.max_tokens} of a reply do not fit the judge's context of {context}, and it is not the only one if "
            f"others are as long ({over['answer_id'].n_unique()} are); lower annotation.longest, or raise annotation.judge.context."
        )
