"""Which answers are judged: of every model one to each of the same families of problems, so that no two of a model's
judgements share a problem, and models are compared on the same ones. All of it follows from the seed."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.study.annotation import Annotation
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.streams import read_pieces
from selfdistill.tables.whole import read_table

KNOWN = ["request_id", "model_id", "problem_id", "family", "purpose", "decode_id", "draw", "n_tokens"]


def read_answers(files: Iterable[str | Path], decode: str) -> pl.DataFrame:
    """The first evaluation answer of every model to every problem at a decode, without its text."""
    tables = (read_table(file, GRADED, KNOWN) for file in files)
    return pl.concat(
        table.filter(pl.col("purpose") == "eval", pl.col("decode_id") == decode, pl.col("draw") == 0)
        for table in tables
    )


def choose_answers(answers: pl.DataFrame, models: Sequence[str], annotation: Annotation, seed: int) -> pl.DataFrame:
    """Of problems that every model answered, with no answer beyond the longest, one of each family; the families by chance."""
    longest = annotation.longest or answers["n_tokens"].max()
    fitting = answers.filter(pl.col("n_tokens") <= longest)
    answered = fitting.group_by("problem_id").agg(pl.col("model_id").n_unique().alias("models"))
    of_all = fitting.join(answered.filter(pl.col("models") == len(models)), on="problem_id", how="semi")
    if of_all.is_empty():
        raise UserError(
            f"annotation: no problem has an answer of every judged model at {annotation.decode!r} that is short enough; raise "
            "annotation.longest, or look at what was graded."
        )
    problems = of_all.select("problem_id", "family").unique().sort("problem_id")
    chances = {name: _chance(seed, name) for name in (*problems["problem_id"], *problems["family"])}
    ranked = sorted(
        problems.iter_rows(named=True), key=lambda row: (chances[row["family"]], chances[row["problem_id"]])
    )
    first = {row["family"]: row["problem_id"] for row in reversed(ranked)}
    families = sorted(first, key=lambda family: chances[family])[: annotation.answers]
    order = {first[family]: place for place, family in enumerate(families)}
    chosen = of_all.filter(pl.col("problem_id").is_in(list(order)))
    places = {model: place for place, model in enumerate(models)}
    return chosen.sort(
        pl.col("problem_id").replace_strict(order, return_dtype=pl.Int64),
        pl.col("model_id").replace_strict(places, return_dtype=pl.Int64),
    ).select("request_id", "model_id", "problem_id", "family", "decode_id", "n_tokens")


def with_texts(chosen: pl.DataFrame, files: Iterable[str | Path], problems: pl.DataFrame) -> pl.DataFrame:
    """With each answer's text and its problem's; answers are read a part of a table at a time."""
    wanted = chosen["request_id"].implode()
    texts = pl.concat(
        piece.filter(pl.col("request_id").is_in(wanted))
        for file in files
        for piece in read_pieces(file, GRADED, ["request_id", "text"])
    ).unique("request_id")
    return chosen.join(texts, on="request_id", maintain_order="left").join(
        problems.select("problem_id", "problem"), on="problem_id", maintain_order="left"
    )


def _chance(seed: int, name: str) -> int:
    """As good as drawn, and the same for ever."""
    return int.from_bytes(hashlib.sha256(f"judged:{seed}:{name}".encode()).digest()[:7])
