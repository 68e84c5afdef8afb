"""How far the law that wrote a text lies from another's at each of its tokens, and which tokens and words that falls on.

KL(p‖q) is over the tokens that both laws keep, and all others as one piece. Where both keep the whole vocabulary it is
exact; else joining tokens can only lower it, so that what is told is a lower bound, with the mass in that piece beside it.
Both are read with the same text behind them. Memory holds some tens of thousands of positions, however many there are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from selfdistill.doubt.counting import Markers
from selfdistill.mechanism.positions import probe_ids
from selfdistill.mechanism.probes import NOBODY, Probes, read_probes
from selfdistill.mechanism.theory import ROUNDING, Array
from selfdistill.models.pieces import pieces, spans
from selfdistill.tables import words
from selfdistill.tables.mechanism import DISAGREEMENTS, PROBE_PLAN

POSITIONS_TOGETHER = 2**15  # of which the laws are in memory: 128 MB of 256 tokens, twice
ROWS_TOGETHER = 2048  # that are reckoned at once, in float64
WORD = re.compile(r"\\[^\W\d_]+|\w+|(?:[^\w\s\\]|\\(?![^\W\d_]))+")  # a command of LaTeX is one word: \frac


def disagreements(
    reader: str,
    carriers: pl.DataFrame,
    plans: tuple[pl.DataFrame, pl.DataFrame],
    laws: tuple[Path, Path],
    tokenizer: Tokenizer,
    markers: Markers,
) -> Iterator[pl.DataFrame]:
    """Rows of some carriers after another: the writer's law, the first of each pair, against the reader's."""
    for some in _together(carriers):
        asked = [plan.filter(pl.col("carrier_id").is_in(some["carrier_id"].implode())) for plan in plans]
        writer, other = (each.sort("carrier_id", "position") for each in asked)
        p, q = (read_probes(law, "base", each["probe_id"]) for law, each in zip(laws, (writer, other), strict=True))
        kl, rest = kl_of(p, q)
        told = writer.select("carrier_id", "position", "token_id").with_columns(
            pl.lit(reader).alias("reader"), pl.Series("kl", kl), pl.Series("rest", rest)
        )
        yield told.join(spoken(some, tokenizer, markers), on=["carrier_id", "position"], maintain_order="left").select(
            *DISAGREEMENTS
        )


def _together(carriers: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Carriers whose laws fit memory together, at least one; a text of 32,000 tokens is one by itself."""
    begin, positions = 0, 0
    for place, length in enumerate(carriers["token_ids"].list.len()):
        if positions and positions + length > POSITIONS_TOGETHER:
            yield carriers[begin:place]
            begin, positions = place, 0
        positions += length
    if begin < carriers.height:
        yield carriers[begin:]


def kl_of(p: Probes, q: Probes) -> tuple[Array, Array]:
    """KL(p‖q) at each position, and the mass of p that is in one piece."""
    parts = [slice(at, at + ROWS_TOGETHER) for at in range(0, len(p.ids), ROWS_TOGETHER)]
    found = [_kl(p.ids[part], p.log_p[part], q.ids[part], q.log_p[part]) for part in parts]
    return np.concatenate([kl for kl, _ in found]), np.concatenate([rest for _, rest in found])


def _kl(p_ids: Array, p_log: Array, q_ids: Array, q_log: Array) -> tuple[Array, Array]:
    log_p, log_q = p_log.astype(np.float64), found_in(p_ids, q_ids, q_log)
    both = np.isfinite(log_q) & (p_ids != NOBODY)
    weight = np.where(both, np.exp(log_p), 0.0)
    with np.errstate(invalid="ignore"):
        kl = np.where(both, weight * (log_p - log_q), 0.0).sum(-1)
    rest = 1 - weight.sum(-1)
    rest_of_q = 1 - np.where(both, np.exp(log_q), 0.0).sum(-1)
    # Mass that is no more than the rounding of float32 is none.
    there = rest > ROUNDING
    ratio = np.where(there, rest, 1.0) / np.maximum(np.where(there, rest_of_q, 1.0), ROUNDING)
    return kl + np.where(there, rest * np.log(ratio), 0.0), np.where(there, rest, 0.0)


def found_in(asked: Array, ids: Array, log_p: Array) -> Array:
    """Log-probabilities of the asked tokens [positions, tokens] in the laws of the same positions; −∞ where one is not kept."""
    width = int(max(asked.max(initial=0), ids.max(initial=0))) + 2
    row = np.arange(len(ids), dtype=np.int64)[:, None] * width
    keys, wanted = (row + ids + 1).ravel(), (row + asked + 1).ravel()
    order = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)
    at = order[place]
    found = np.where((keys[at] == wanted) & (asked.ravel() != NOBODY), log_p.ravel()[at].astype(np.float64), -np.inf)
    return found.reshape(asked.shape)


def spoken(carriers: pl.DataFrame, tokenizer: Tokenizer, markers: Markers) -> pl.DataFrame:
    """What each token writes, and which word and which word of doubt it is part of."""
    rows: list[dict[str, Any]] = [
        {"carrier_id": carrier, "family": family, "position": position, **told}
        for carrier, family, tokens in carriers.select("carrier_id", "family", "token_ids").iter_rows()
        for position, told in enumerate(words_of(pieces(tokenizer, tokens), markers))
    ]
    names = ("carrier_id", "family", "position", "piece", "word", "first", "marker", "first_of_marker")
    return pl.DataFrame(rows, schema={name: DISAGREEMENTS[name] for name in names})


def words_of(texts: Sequence[str], markers: Markers) -> Iterator[Mapping[str, str | bool | None]]:
    """By token. A token belongs to the word of its first letter that is no space; one of spaces alone is its own word."""
    text, places = "".join(texts), spans(list(texts))
    of_letter: list[int] = [-1] * (len(text) + 1)
    for number, match in enumerate(found := list(WORD.finditer(text))):
        of_letter[match.start() : match.end()] = [number] * (match.end() - match.start())
    of_marker: list[int] = [-1] * (len(text) + 1)
    for number, hit in enumerate(hits := markers.hits(text)):
        of_marker[hit.begin : hit.end] = [number] * (hit.end - hit.begin)
    last_word, last_marker = -1, -1
    for piece, (begin, end) in zip(texts, places, strict=True):
        letter = next((at for at in range(begin, end) if not text[at].isspace()), begin)
        word, marker = (of_letter[letter], of_marker[letter]) if end > begin else (last_word, last_marker)
        yield {
            "piece": piece,
            "word": form_of(found[word][0]) if word >= 0 else piece,
            "first": word < 0 or word != last_word,
            "marker": hits[marker].marker if marker >= 0 else None,
            "first_of_marker": marker >= 0 and marker != last_marker,
        }
        last_word, last_marker = word, marker


def form_of(word: str) -> str:
    return words.NUMBER if word.isdigit() else word.lower()


def planned(carriers: pl.DataFrame) -> pl.DataFrame:
    """Every token of every carrier, as a plan of probes; their names hold the prompt, so that another is another question."""
    rows: list[tuple[str, str, int, int, list[str]]] = [
        (key, carrier, position, completion[position], [])
        for carrier, prompt, completion in carriers.select("carrier_id", "prompt_ids", "token_ids").iter_rows()
        for position, key in probe_ids(carrier, prompt, completion, range(len(completion))).items()
    ]
    return pl.DataFrame(rows, schema=PROBE_PLAN, orient="row")
