"""Claims about the loop detector, on tails whose period is known because they were built."""

import random
import time

import numpy as np
import pytest

from selfdistill.grading.loops import Loop, find_loop
from selfdistill.study.grading import Loops

SETTINGS = Loops(max_period=96, min_repeats=4, min_tokens=48)


def tokens(*parts: list[int]) -> np.ndarray:
    return np.array([token for part in parts for token in part], dtype=np.int32)


def distinct(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


@pytest.mark.parametrize("period", [1, 2, 3, 7, 16, 48, 95, 96])
@pytest.mark.parametrize("partial", [0, 1, 5])
@pytest.mark.parametrize("before", [0, 10, 300])
def test_a_built_loop_is_found_with_its_start_period_and_repeats(period: int, partial: int, before: int) -> None:
    partial = min(partial, period - 1)
    repeats = max(4, -(-48 // period)) + 1
    unit = distinct(1000, period)
    sequence = tokens(distinct(0, before), unit * repeats, unit[:partial])
    assert find_loop(sequence, SETTINGS) == Loop(before, period, repeats)


def test_the_shortest_period_is_the_one_reported() -> None:
    assert find_loop(tokens(distinct(100, 9), [1, 2, 1, 2] * 30), SETTINGS) == Loop(9, 2, 60)


def test_a_unit_that_repeats_inside_itself_keeps_its_whole_period() -> None:
    unit = [1, 1, 2, 1, 1, 3]
    assert find_loop(tokens([9], unit * 10), SETTINGS) == Loop(1, 6, 10)


@pytest.mark.parametrize(
    "sequence",
    [
        tokens([]),
        tokens([1]),
        tokens([1] * 47),  # too few tokens
        tokens(distinct(0, 500), distinct(1000, 20) * 3),  # too few repeats
        tokens(distinct(0, 500), distinct(1000, 97) * 6),  # too long a period
        tokens(distinct(1000, 10) * 20, [5]),  # a loop that the model left
        tokens(distinct(1000, 10) * 20, distinct(0, 30)),
        tokens(*([*distinct(1000, 10), step] for step in range(30))),  # a counter runs: step 1, step 2, …
        tokens(*([*distinct(1000, 30), step, *distinct(2000, 30)] for step in range(12))),
        tokens(distinct(0, 3000)),
    ],
    ids=lambda sequence: f"{len(sequence)} tokens",
)
def test_what_is_not_a_loop_is_not_called_one(sequence: np.ndarray) -> None:
    assert find_loop(sequence, SETTINGS) is None


def test_one_changed_token_ends_the_loop_there() -> None:
    unit = distinct(1000, 12)
    sequence = tokens(unit * 20)
    sequence[100] = 7
    assert find_loop(sequence, SETTINGS) == Loop(101, 12, (240 - 101) // 12)
    sequence[-2] = 7
    assert find_loop(sequence, SETTINGS) is None


@pytest.mark.parametrize("vocabulary", [3, 10, 500])
def test_random_tokens_hold_no_loop(vocabulary: int) -> None:
    rng = np.random.default_rng(0)
    assert not any(find_loop(rng.integers(0, vocabulary, 300), SETTINGS) for _ in range(500))


def test_the_limits_are_exact() -> None:
    unit = distinct(0, 12)
    assert find_loop(tokens([99], unit * 4), SETTINGS) == Loop(1, 12, 4)
    assert find_loop(tokens([99], unit[1:], unit * 3), SETTINGS) is None  # 47 tokens
    assert find_loop(tokens([99], distinct(0, 20)[1:], distinct(0, 20) * 3), SETTINGS) is None  # 3.95 repeats


def test_it_agrees_with_the_definition_tried_literally() -> None:
    rng = random.Random(1)
    settings = Loops(max_period=6, min_repeats=3, min_tokens=8)
    for _ in range(3000):
        sequence = [rng.randint(0, 1) for _ in range(rng.randint(0, 30))]
        assert find_loop(tokens(sequence), settings) == literally(sequence, settings)


def literally(sequence: list[int], settings: Loops) -> Loop | None:
    for period in range(1, settings.max_period + 1):
        start = len(sequence)
        while start > 0 and (
            start - 1 + period >= len(sequence) or sequence[start - 1] == sequence[start - 1 + period]
        ):
            start -= 1
        covered = len(sequence) - start
        if covered >= max(settings.min_repeats * period, settings.min_tokens):
            return Loop(start, period, covered // period)
    return None


def test_it_does_not_try_every_period() -> None:
    """Not even of 20,000 random tokens, where a period can only end at an earlier occurrence of the last token: the work
    does not grow with the longest period that is looked for."""
    sequence = np.random.default_rng(2).integers(0, 100_000, 20_000)

    def seconds(longest: int) -> float:
        settings = Loops(max_period=longest, min_repeats=4, min_tokens=48)
        started = time.process_time()
        for _ in range(2000):
            find_loop(sequence, settings)
        return time.process_time() - started

    assert min(seconds(4000) for _ in range(3)) < 8 * min(seconds(40) for _ in range(3))  # and not 100 times
