"""Asks the judge what it has not yet answered, and seals the replies in one table. Every reply is on disk at once.

A judge of ours is sampled as any model is. The replies of a server go through the same journal, so that a job that was
killed, or a server that went away, costs only what was under way.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.annotation.server import Question, Reply, Server
from selfdistill.foundation.errors import UserError
from selfdistill.machine.progress import Progress
from selfdistill.sampling.journal.journal import Journal
from selfdistill.sampling.journal.segments import each_once
from selfdistill.sampling.sampler import without
from selfdistill.tables import words


def ask_server(questions: pl.DataFrame, server: Server, journal_folder: Path, output: Path) -> None:
    wanted = each_once(questions["request_id"])
    with Journal(journal_folder, words.SERVER) as journal:
        missing = without(wanted, journal.held())
        for complaint in journal.damaged:
            print(complaint, file=sys.stderr)
        held = len(wanted) - len(missing)
        print(f"{output}: {len(wanted)} questions, {held} answered before, {len(missing)} to ask", file=sys.stderr)
        if len(missing):
            with Progress(len(missing), held, str(output.with_suffix(""))) as progress:
                for reply in server.ask_all(questions_of(questions, missing)):
                    journal.append(record_of(reply))
                    progress.count(reply.tokens, reply.finish_reason)
        lacking = without(wanted, journal.held())
        if len(lacking):
            last = f" The last one: {server.given_up[-1]}." if server.given_up else ""
            raise UserError(
                f"{server.judge.server}: {len(lacking)} of {len(wanted)} questions have no reply after {server.judge.tries} tries "
                f"each, or were left when several in a row had none.{last} What was answered is kept: see to the server and run again."
            )
        journal.seal(wanted, output)


def questions_of(questions: pl.DataFrame, ids: pl.Series) -> Iterator[Question]:
    asked = questions.filter(pl.col("request_id").is_in(ids.implode())).unique("request_id", maintain_order=True)
    for row in asked.iter_rows(named=True):
        about = f"the question on answer {row['answer_id']} of {row['model_id']}"
        yield Question(row["request_id"], row["prompt"], row["seed"], about)


def record_of(reply: Reply) -> dict[str, Any]:
    """As the journal keeps samples. A server gives no tokens of ours and no log-probability."""
    return {
        "request_id": reply.request_id,
        "token_ids": [],
        "text": reply.text,
        "n_tokens": reply.tokens,
        "finish_reason": reply.finish_reason,
        "logprob": 0.0,
        "engine": words.SERVER,
        "engine_version": reply.model,
        "seconds": reply.seconds,
    }
