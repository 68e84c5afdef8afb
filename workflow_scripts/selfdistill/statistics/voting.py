"""maj@k: the chance that the answer on which most of k draws agree is the right one."""

from functools import cache
from math import comb

Counts = list[int]  # ways of choosing, by how many draws were chosen


@cache
def majority_at_k(right: int, wrong: tuple[int, ...], silent: int, k: int) -> float:
    """The mean over all subsets of k of a problem's draws, exact: it counts subsets, and draws none.

    `right` draws gave the right answer, `wrong` holds how many gave each wrong one, `silent` gave none and vote for
    nothing. Where several answers have most votes, each is taken with the same chance; where nobody votes, nothing is right.
    """
    draws = right + sum(wrong) + silent
    if not 1 <= k <= draws:
        raise ValueError(f"maj@{k} needs at least {max(k, 1)} draws of every problem")
    won = 0.0
    for votes in range(1, min(right, k) + 1):
        for ties, ways in enumerate(_others_behind(wrong, silent, votes, k - votes)):
            won += comb(right, votes) * ways / (1 + ties)
    return won / comb(draws, k)


def _others_behind(wrong: tuple[int, ...], silent: int, votes: int, left: int) -> list[int]:
    """Ways to choose the other `left` draws so that no wrong answer has more than `votes`, by how many have as many."""
    by_ties: dict[int, Counts] = {0: [comb(silent, chosen) for chosen in range(left + 1)]}
    for draws in wrong:
        behind = [comb(draws, chosen) for chosen in range(min(votes, left + 1))]
        grown: dict[int, Counts] = {}
        for ties, ways in by_ties.items():
            _add(grown, ties, _product(ways, behind, left))
            if votes <= min(draws, left):
                level = [0] * votes + [comb(draws, votes)]
                _add(grown, ties + 1, _product(ways, level, left))
        by_ties = grown
    return [by_ties.get(ties, [0] * (left + 1))[left] for ties in range(max(by_ties) + 1)]


def _add(by_ties: dict[int, Counts], ties: int, ways: Counts) -> None:
    there = by_ties.get(ties)
    by_ties[ties] = ways if there is None else [one + other for one, other in zip(there, ways, strict=True)]


def _product(one: Counts, other: Counts, left: int) -> Counts:
    found = [0] * (left + 1)
    for i, ways in enumerate(one):
        for j, more in enumerate(other[: left + 1 - i]):
            found[i + j] += ways * more
    return found
