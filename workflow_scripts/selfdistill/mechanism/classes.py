"""Locks, forks, diffuse and mixed positions, by the base's law at temperature 1 alone; and the finer classes of locks.

Thresholds stand in the study file, so that a class is named before anything is measured. The base's law at a position is
exact: nothing of it is noise that a second look would take back. What is chosen by an *outcome* is another matter. A strict
lock is one whose likeliest token training left where it was, a swapped one is one where it did not; measured on the model
that chose them, the first rise and the second fall even if training was noise. So they are chosen by another training of the
same arm, where there is one, and else on the other half of the problems, by the token that the base finds likeliest there.
The table has the naive choice, too, without an interval: the two side by side show how much of it is regression to the mean.
"""

from collections.abc import Collection, Iterable

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from selfdistill.mechanism.theory import Array, Laws, Rule, decoded
from selfdistill.study.mechanism import Classes
from selfdistill.tables import words


def token_class(laws: Laws, tail: Array, thresholds: Classes) -> Array:
    """One class a position. A lock is never a fork: what both thresholds would take is a lock."""
    top, second = top_two(laws)
    lock = top >= thresholds.lock_top
    fork = ~lock & (top <= thresholds.fork_top) & (second >= thresholds.fork_second) & (tail <= thresholds.fork_tail)
    diffuse = ~lock & ~fork & (tail >= thresholds.diffuse_tail)
    return np.select([lock, fork, diffuse], [words.LOCK, words.FORK, words.DIFFUSE], words.MIXED)


def top_two(laws: Laws) -> tuple[Array, Array]:
    return np.exp(laws.log_p[:, 0]), np.exp(laws.log_p[:, 1])


LEADING = 5  # tokens; the first study read its forks off the top five


def fork_score(laws: Laws) -> Array:
    """The larger, the more of a fork: there is another way to go, and little beyond a few ways. The second token's probability
    less all the mass beyond the first five: a lock that the base does not know has a second, too, but a long tail."""
    beyond = 1 - np.exp(laws.log_p[:, :LEADING]).sum(-1)
    return np.asarray(top_two(laws)[1] - beyond)


def tail_of(laws: Laws, rule: Rule) -> Array:
    """The mass at temperature 1 of what a decode leaves out."""
    view = decoded(laws, rule)
    kept = np.where(view.kept, np.exp(laws.log_p), 0.0).sum(-1) + np.where(view.rest_kept, laws.rest, 0.0)
    return np.asarray(np.clip(1 - kept, 0.0, 1.0))


def doubt_ids(tokenizer: Tokenizer, doubt: Iterable[str]) -> set[int]:
    """Tokens that are a word of doubt, in any case, with or without a space before."""
    wanted = {word.lower() for word in doubt}
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    return {at for at in range(size) if tokenizer.decode([at]).strip().lower() in wanted}


def corrects_itself(kinds: pl.Series, likeliest: Array, token_id: Array, doubt: Collection[int]) -> Array:
    """Where a word of doubt stands or is likeliest."""
    stands = kinds.list.contains(words.BEFORE_DOUBT).to_numpy()
    among = np.fromiter(doubt, dtype=np.int64, count=len(doubt))
    return np.asarray(stands | np.isin(likeliest, among) | np.isin(token_id, among))


def swapped_by_token(swapped: Array, likeliest: Array, choosing: Array) -> Array:
    """Of all positions, whether their likeliest token was swapped at most of its positions in the choosing half."""
    _, kind = np.unique(likeliest, return_inverse=True)
    seen = np.bincount(kind[choosing], minlength=kind.max() + 1 if len(kind) else 0)
    moved = np.bincount(kind[choosing & swapped], minlength=len(seen))
    return np.asarray((moved > 0) & (2 * moved >= seen))[kind]
