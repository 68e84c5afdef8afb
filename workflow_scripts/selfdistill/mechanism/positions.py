"""Where a carrier is probed: at even distances, at random, at the spots where a thought may turn, or everywhere.

A position is an index in the completion's tokens; the law that is asked for is that of the token there, given all before it.
"""

import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from selfdistill.models.pieces import Span, first_token_from, pieces, spans, token_that_wrote
from selfdistill.study.doubt import whole_words
from selfdistill.study.mechanism import Mechanism
from selfdistill.tables import words
from selfdistill.tables.mechanism import PROBE_PLAN

BOX = re.compile(r"\\boxed\s*\{")
AT_LINE_START = re.compile(r"(?<=\n)[^\n]")


def probe_plan(carriers: pl.DataFrame, asked: Mechanism, tokenizer: Tokenizer, seed: int) -> pl.DataFrame:
    """One row a position. `carriers` are ordered: the first of the base's and of the trained models' are strips."""
    doubt = doubt_pattern(asked.doubt)
    strips = strips_of(carriers, asked.strips)
    rows = []
    for carrier, prompt, completion in carriers.select("carrier_id", "prompt_ids", "token_ids").iter_rows():
        kinds = kinds_of(completion, asked, tokenizer, doubt, carrier in strips, f"{seed}:{carrier}")
        for position, key in probe_ids(carrier, prompt, completion, kinds).items():
            rows.append((key, carrier, position, completion[position], kinds[position]))
    return pl.DataFrame(rows, schema=PROBE_PLAN, orient="row")


def strips_of(carriers: pl.DataFrame, count: int) -> set[str]:
    """Those that a reader is shown: the first of the base's, and of the trained models'."""
    by_side: dict[bool, list[str]] = defaultdict(list)
    for carrier, model in carriers.select("carrier_id", "model_id").iter_rows():
        if model == "base" or "/" in model:  # a resample arm's are a null, which nobody needs to see
            by_side[model == "base"].append(carrier)
    return {carrier for side in by_side.values() for carrier in side[:count]}


def kinds_of(
    completion: list[int],
    asked: Mechanism,
    tokenizer: Tokenizer,
    doubt: re.Pattern[str],
    is_strip: bool = False,
    seed: str = "",
) -> dict[int, list[str]]:
    """Every probed position and why it is probed, in the order of `words.POSITION_KINDS`."""
    length, wanted = len(completion), asked.positions
    chosen = [(words.REGULAR, position) for position in regular(length, wanted.regular)]
    shuffled = random.Random(seed)
    chosen += [(words.RANDOM, each) for each in shuffled.sample(range(length), min(length, wanted.random))]
    found = heuristic(pieces(tokenizer, completion), doubt)
    chosen += in_turn(found, wanted.heuristic, shuffled)
    chosen += [(words.STRIP, position) for position in range(length if is_strip else 0)]
    kinds: dict[int, list[str]] = defaultdict(list)
    for kind, position in chosen:
        kinds[position].append(kind)
    return {position: sorted(set(its), key=words.POSITION_KINDS.index) for position, its in kinds.items()}


def regular(length: int, count: int) -> list[int]:
    """The middles of so many equal parts."""
    return sorted({(2 * part + 1) * length // (2 * count) for part in range(count)}) if length else []


def doubt_pattern(doubt: Sequence[str]) -> re.Pattern[str]:
    """Whole words, in any case."""
    return re.compile(whole_words(doubt), re.IGNORECASE)


def heuristic(texts: list[str], doubt: re.Pattern[str]) -> dict[str, list[int]]:
    """By kind, the positions where a thought may turn."""
    text, places = "".join(texts), spans(texts)
    doubts = list(doubt.finditer(text))
    found = {
        words.BEFORE_BOX: (first_token_from(places, match.end()) for match in BOX.finditer(text)),
        words.LINE_START: (_exactly(places, match.start()) for match in AT_LINE_START.finditer(text)),
        words.BEFORE_DOUBT: (token_that_wrote(places, match.start()) for match in doubts),
        words.AFTER_DOUBT: (first_token_from(places, match.end()) for match in doubts),
    }
    return {kind: _each(positions, len(texts)) for kind, positions in found.items()}


def in_turn(found: Mapping[str, list[int]], most: int, shuffled: random.Random) -> list[tuple[str, int]]:
    """At most so many positions: of each kind one at a time, so that no frequent kind crowds out a rare one. Which of a kind
    is chance."""
    queues = [[(kind, each) for each in shuffled.sample(its, len(its))] for kind, its in found.items()]
    chosen: list[tuple[str, int]] = []
    positions: set[int] = set()
    for entry in filter(None, chain.from_iterable(zip_longest(*queues))):
        if entry[1] in positions or len(positions) < most:
            positions.add(entry[1])
            chosen.append(entry)
    return chosen


def probe_ids(carrier_id: str, prompt: list[int], completion: list[int], positions: Iterable[int]) -> dict[int, str]:
    """Content keys: of the carrier, the tokens before each position and the one that stands there."""
    tokens, asked = np.array([*prompt, *completion], dtype="<i4"), sorted(positions)
    total = hashlib.sha256(f"{carrier_id}\0{len(prompt)}\0".encode())
    keys, done = {}, 0
    for position in asked:
        total.update(tokens[done : len(prompt) + position + 1].tobytes())
        done = len(prompt) + position + 1
        keys[position] = total.hexdigest()[:32]
    return keys


def _each(positions: Iterable[int], length: int) -> list[int]:
    return sorted({position for position in positions if 0 <= position < length})


def _exactly(places: list[Span], character: int) -> int:
    """The token that begins with this character; none where one reaches over it."""
    place = first_token_from(places, character)
    return place if place < len(places) and places[place].begin == character else -1
