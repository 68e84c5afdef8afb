"""What the judge said of every answer in every pass: question, reply and what was read of it, beside the counted words."""

import json

import polars as pl

from selfdistill.annotation.replies import read_reply
from selfdistill.annotation.rubric import Rubric
from selfdistill.doubt.counting import Markers
from selfdistill.tables.annotation import JUDGEMENTS


def judgements(
    questions: pl.DataFrame, replies: pl.DataFrame, rubric: Rubric, markers: Markers, thinks: bool
) -> pl.DataFrame:
    told = questions.join(replies.rename({"text": "reply"}).drop("n_tokens"), on="request_id", maintain_order="left")
    counted = {text: markers.counts(text, thinks).total for text in questions["answer"].unique()}
    rows = []
    for row in told.iter_rows(named=True):
        read = read_reply(row["reply"], row["finish_reason"], rubric.counts)
        rows.append(
            {
                "parse": read.parse,
                "detail": read.detail,
                "counts": None if read.counts is None else json.dumps(read.counts, sort_keys=True),
                "judged": read.judged,
                "markers": counted[row["answer"]],
            }
        )
    schema = {name: JUDGEMENTS[name] for name in ("parse", "detail", "counts", "judged", "markers")}
    return told.hstack(pl.DataFrame(rows, schema=schema)).select(*JUDGEMENTS)
