"""Which of the base's samples are read again, and with what each reader is asked: under its context, or with the bare prompt.

A text is left out where a reader was told that very text, or was told something that was made from it: it would know each
next token. The same texts are read by all.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.carriers import HEAVY
from selfdistill.tables import words
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.mechanism import CARRIERS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.streams import read_pieces
from selfdistill.tables.whole import read_table

KNOWN = ["request_id", "draw", *(name for name in CARRIERS if name not in ("carrier_id", "half", *HEAVY))]


def choose_texts(
    samples: pl.DataFrame,
    prompts: Mapping[str, pl.DataFrame],
    shown: Iterable[str],
    count: int,
    context: int,
    seed: int,
) -> pl.DataFrame:
    """`samples` without their texts; `prompts` of each context by problem; `shown` are the samples that contexts show or that
    were shown to who wrote what they show."""
    left = samples.filter(pl.col("n_tokens") > 0, ~pl.col("request_id").is_in(list(shown)))
    for name, asked in prompts.items():
        given = asked.filter(pl.col("outcome") == words.GIVEN).select("problem_id", pl.col("prompt_tokens").alias(name))
        left = left.join(given, on="problem_id").filter(pl.col(name) + pl.col("n_tokens") < context).drop(name)
    left = left.filter(pl.col("prompt_ids").list.len() + pl.col("n_tokens") < context)
    chances = {name: _chance(seed, name) for name in left["request_id"]}
    ranked = left.with_columns(pl.col("request_id").replace_strict(chances, return_dtype=pl.Int64).alias("chance"))
    one_each = ranked.sort("draw", "chance").unique("family", keep="first", maintain_order=True)
    chosen = one_each.sort("chance").head(count)
    if chosen.is_empty():
        raise UserError(
            "disagreement: no sample is left to read: each is what a context shows, or a context tells its problem nothing. Raise "
            "training.draws, or name other contexts."
        )
    print(
        f"disagreement: {chosen.height} texts of {count} asked, of {one_each.height} that can be read", file=sys.stderr
    )
    return (
        chosen.with_columns(pl.lit(words.MEASURING).alias("half"))
        .rename({"request_id": "carrier_id"})
        .select(*(name for name in CARRIERS if name not in HEAVY))
    )


def read_samples(file: str | Path) -> pl.DataFrame:
    return read_table(file, GRADED, KNOWN)


def with_texts(chosen: pl.DataFrame, file: str | Path) -> pl.DataFrame:
    wanted = chosen["carrier_id"].implode()
    texts = pl.concat(
        piece.filter(pl.col("request_id").is_in(wanted)) for piece in read_pieces(file, GRADED, ["request_id", *HEAVY])
    )
    return chosen.join(texts.rename({"request_id": "carrier_id"}), on="carrier_id", maintain_order="left").select(
        *CARRIERS
    )


def under(carriers: pl.DataFrame, prompts: pl.DataFrame) -> pl.DataFrame:
    """The same texts behind the prompts of a context."""
    told = prompts.select("problem_id", "prompt_ids")
    return carriers.drop("prompt_ids").join(told, on="problem_id", maintain_order="left").select(*CARRIERS)


def shown_in(prompts: Iterable[pl.DataFrame]) -> set[str]:
    return {name for table in prompts for name in table["solution_request_id"].drop_nulls()}


def read_prompts(file: str | Path) -> pl.DataFrame:
    return read_table(file, CONTEXT_PROMPTS)


def _chance(seed: int, name: str) -> int:
    """As good as drawn, and the same for ever."""
    return int.from_bytes(hashlib.sha256(f"read again:{seed}:{name}".encode()).digest()[:7])
