"""maj@k against every subset, counted one by one."""

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest

from selfdistill.statistics.voting import majority_at_k

SILENT, RIGHT = None, "right"


def by_brute_force(votes: list[str | None], k: int) -> Fraction:
    subsets = list(combinations(votes, k))
    won = Fraction(0)
    for subset in subsets:
        cast = [vote for vote in subset if vote is not SILENT]
        most = max((cast.count(vote) for vote in cast), default=0)
        leaders = {vote for vote in cast if cast.count(vote) == most}
        won += Fraction(RIGHT in leaders, max(len(leaders), 1))
    return won / len(subsets)


def cast(right: int, wrong: tuple[int, ...], silent: int) -> list[str | None]:
    others = [f"wrong {place}" for place, draws in enumerate(wrong) for _ in range(draws)]
    return [*[RIGHT] * right, *others, *[SILENT] * silent]


def test_majorities_are_those_of_every_subset() -> None:
    wrongs: list[tuple[int, ...]] = [(), (1,), (2,), (1, 1), (3,), (2, 1), (2, 2), (1, 1, 1), (3, 2, 1)]
    for right, wrong, silent in product(range(5), wrongs, range(3)):
        votes = cast(right, wrong, silent)
        for k in range(1, min(len(votes), 6) + 1):
            assert majority_at_k(right, wrong, silent, k) == pytest.approx(float(by_brute_force(votes, k)), abs=1e-12)


def test_one_vote_is_the_accuracy_and_ties_are_shared() -> None:
    assert majority_at_k(3, (2, 1), 2, 1) == pytest.approx(3 / 8)
    assert majority_at_k(1, (1,), 0, 2) == 0.5
    assert majority_at_k(1, (1, 1), 0, 3) == pytest.approx(1 / 3)
    assert majority_at_k(1, (), 3, 4) == 1.0  # the silent vote for nothing
    assert majority_at_k(0, (), 4, 3) == 0.0


def test_an_answer_seen_more_often_than_any_other_wins_more_the_more_vote() -> None:
    at = [majority_at_k(32, (20, 8, 4), 0, k) for k in (1, 5, 17, 33, 64)]
    assert at == sorted(at) and at[0] == 0.5 and at[-1] == 1.0
    beaten = [majority_at_k(20, (32, 8, 4), 0, k) for k in (1, 5, 17, 33, 64)]
    assert beaten == sorted(beaten, reverse=True) and beaten[-1] == 0.0


def test_what_is_counted_agrees_with_what_is_drawn() -> None:
    votes = cast(14, (9, 9, 4, 1), 3)
    random = np.random.default_rng(1)
    won = 0.0
    for _ in range(4000):
        drawn = [votes[i] for i in random.permutation(len(votes))[:12]]
        counted = {vote: drawn.count(vote) for vote in drawn if vote is not SILENT}
        leaders = [vote for vote, number in counted.items() if number == max(counted.values())]
        won += (RIGHT in leaders) / len(leaders)
    assert majority_at_k(14, (9, 9, 4, 1), 3, 12) == pytest.approx(won / 4000, abs=0.025)


def test_more_votes_than_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="maj@4 needs at least 4 draws"):
        majority_at_k(2, (1,), 0, 4)
