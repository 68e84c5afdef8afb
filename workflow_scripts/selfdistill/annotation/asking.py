"""Asks the judge what it has not yet answered, and seals the replies in one table. Every reply is on disk at once.

A judge of ours is sampled as any model is. The replies of a server or a plugin go through the same journal, so that a job
that was killed, or a server that went away, costs only what was under way.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.annotation.contract import Asked, Question, Reply
from selfdistill.foundation.errors import UserError
from selfdistill.machine.progress import Progress
from selfdistill.sampling.journal.journal import Journal
from selfdistill.sampling.journal.segments import each_once
from selfdistill.sampling.sampler import without


def ask_judge(questions: pl.DataFrame, judge: Asked, journal_folder: Path, output: Path) -> None:
    wanted = each_once(questions["request_id"])
    with Journal(journal_folder, judge.engine) as journal:
        missing = without(wanted, journal.held())
        for complaint in journal.damaged:
            print(complaint, file=sys.stderr)
        held = len(wanted) - len(missing)
        print(f"{output}: {len(wanted)} questions, {held} answered before, {len(missing)} to ask", file=sys.stderr)
        if len(missing):
            with Progress(len(missing), held, str(output.with_suffix(""))) as progress:
                for reply in judge.ask_all(questions_of(questions, missing)):
                    journal.append(record_of(reply, judge.engine))
                    progress.count(reply.tokens, reply.finish_reason)
        lacking = without(wanted, journal.held())
        if len(lacking):
            raise UserError(judge.left(len(lacking), len(wanted)))
        journal.seal(wanted, output)


def questions_of(questions: pl.DataFrame, ids: pl.Series) -> Iterator[Question]:
    asked = questions.filter(pl.col("request_id").is_in(ids.implode())).unique("request_id", maintain_order=True)
    for row in asked.iter_rows(named=True):
        about = f"the question on answer {row['answer_id']} of {row['model_id']}"
        yield Question(row["request_id"], row["prompt"], row["seed"], about, row["answer"])


def record_of(reply: Reply, engine: str) -> dict[str, Any]:
    """As the journal keeps samples. A reply has no tokens of ours and no log-probability."""
    return {
        "request_id": reply.request_id,
        "token_ids": [],
        "text": reply.text,
        "n_tokens": reply.tokens,
        "finish_reason": reply.finish_reason,
        "logprob": 0.0,
        "engine": engine,
        "engine_version": reply.model,
        "seconds": reply.seconds,
    }
