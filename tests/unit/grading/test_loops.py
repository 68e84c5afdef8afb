"""Claims about the loop detector, on tails whose period is known because they were built."""

import itertools
import random
import re
import time
from collections.abc import Callable

import numpy as np
import pytest

from selfdistill.grading.loops import Counter, Loop, find_counter, find_loop
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


@pytest.mark.parametrize("period", [97, 513, 1571, 2047, 2048])
def test_a_period_as_long_as_real_ones_is_found_by_default(period: int) -> None:
    sequence = tokens(distinct(0, 500), distinct(1000, period) * 4, distinct(1000, period // 2))
    assert find_loop(sequence, Loops()) == Loop(500, period, 4)
    assert find_loop(tokens(distinct(0, 500), distinct(1000, 2049) * 6), Loops()) is None


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


# Counting loops. The shapes are those of real ones: numbered lines, a recurrence, offsets, sums that grow, cases tried in turn.
FIELD = Loops(max_period=2048, min_repeats=4, min_tokens=256)  # so many tokens are 1,024 characters
COUNTING: dict[str, Callable[[int], str]] = {
    "recurrence": lambda n: f"x_{{{n + 1}}} = x_{{{n}}} + 3, ",
    "numbered lines": lambda n: f"{n}. The final answer is 14 dollars.\n",
    "offsets in steps of four": lambda n: f"{4 * n} unknown\n",
    "a sum that grows": lambda n: f"After {15 * n} minutes, he has {20 * n - 2} + 20 = {20 * n + 18} snowballs. ",
    "a countdown": lambda n: f"That leaves {10_000 - n} of them. ",
    "values that are computed": lambda n: f"$1997^{{{n}}}$ ends in {pow(1997, n, 100)}; ",
    "values that soon have too many digits": lambda n: f"After {n} days it is {2**n} feet tall. ",
    "no words": lambda n: f"{n}, ",
    "a long unit": lambda n: f"Step {n}: " + "We check the cost once more, and it is the same. " * 20 + "\n",
    "two lines a number": lambda n: f"Step {n}: The total is 940.\nStep {n}: The final answer is 940.\n",
    "letters of other scripts": lambda n: f"第{n}步：答案是 14。√𝟙\n",
}
BEFORE = "We need the last digit. First, Σ of 3 and 4 is 7. Then "


def masked_length(text: str) -> int:
    return len(re.sub("[0-9]+", "0", text))


def counting(unit: Callable[[int], str], first: int = 5, least: int = 1300) -> str:
    size = 0
    parts: list[str] = []
    while size < least or len(parts) < 6:
        parts.append(unit(first + len(parts)))
        size += masked_length(parts[-1])
    return "".join(parts)


@pytest.mark.parametrize("name", COUNTING)
def test_a_counting_loop_is_found_with_its_period_wherever_it_is_cut(name: str) -> None:
    unit = COUNTING[name]
    text = counting(unit)
    longest = 2 * masked_length(unit(5))
    for end in range(len(text) - min(len(unit(999)), 200), len(text) + 1):  # amid a unit, and amid a number
        found = find_counter(BEFORE + text[:end], FIELD)
        assert found is not None and found.period in (longest // 2, longest // 4), end
        assert len(BEFORE) - longest <= found.start <= len(BEFORE) + longest
        assert found.repeats >= 4


def test_a_counting_loop_begins_after_the_last_number_that_does_not_fit() -> None:
    text = "7, 9, 100, " + "".join(f"{n}, " for n in range(5, 400))
    assert find_counter(text, FIELD) == Counter(text.index("100,") + 3, 3, 395)
    words = "n = 4: no. Now " + "".join(f"n = {n}: no. " for n in range(5, 100))
    assert find_counter(words, FIELD) == Counter(words.index("n = 5") - 1, 11, 95)


def test_nine_and_ten_are_one_character_each() -> None:
    text = "".join(f"Step {n}: the same again. " for n in range(1, 120))
    assert find_counter(text, FIELD) == Counter(0, len("Step 1: the same again. "), 119)


def words_of(n: int) -> str:
    return ("prime", "even", "divisible by three", "a square", "too large", "odd")[n * (n * 7919 % 101) % 6]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "77777777" * 400,
        "the same words over and over. " * 60,  # a loop, but no number
        "so x = 12 and 12 + 0 = 12. " * 60,  # a loop, but its numbers stay
        "".join(f"Case {n}: {words_of(n)}. " for n in range(100)),  # what is said differs
        "".join(f"{n * n}, " for n in range(500)),  # no one step
        "".join(f"{(n * 7919) % 1009} and " for n in range(500)),
        "".join(f"n={n}: 3, " for n in range(1, 30)),  # a table that is too short
        "".join(f"Case {n}: " + "it is as in the case before. " * 30 for n in (1, 2, 3)),  # too few
        counting(COUNTING["recurrence"]) + "Wait.",  # a loop that the model left
        counting(COUNTING["recurrence"]) + "and so on, which gives the answer 14.",
        "".join(f"{10**20 + n} is the next one. " for n in range(100)),  # numbers that are not read
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_does_not_count_is_no_counting_loop(text: str) -> None:
    assert find_counter(text, FIELD) is None


def test_the_limits_of_a_counting_loop_are_those_of_a_loop_with_four_characters_a_token() -> None:
    settings = Loops(max_period=5, min_repeats=3, min_tokens=12)
    line = "a " * 9  # with its number, 20 characters
    assert find_counter("".join(f"{n} {line}" for n in (1, 2, 3)), settings) == Counter(0, 20, 3)
    assert find_counter("".join(f"{n} {line}" for n in (1, 2, 3))[2:], settings) is None
    assert find_counter("".join(f"{n} {line}a" for n in range(9)), settings) is None  # 21 characters
    assert find_counter("".join(f"{n} " for n in range(10, 34)), settings) == Counter(0, 2, 24)
    assert find_counter("".join(f"{n} " for n in range(10, 33)), settings) is None  # 46 characters


def test_it_agrees_with_the_definition_of_a_counting_loop_tried_literally() -> None:
    rng = random.Random(2)
    settings = Loops(max_period=3, min_repeats=3, min_tokens=3)
    found = 0
    for _ in range(3000):
        steps = [rng.choice((-2, 0, 1, 7)) for _ in range(rng.randint(1, 3))]
        filling = [rng.choice(("a", "b", "ab")) for _ in steps]
        units = (
            "".join(f"{word}{50 + step * n}" for word, step in zip(filling, steps, strict=True))
            for n in range(rng.randint(2, 8))
        )
        text = "".join(rng.choice("ab19") for _ in range(rng.randint(0, 6))) + "".join(units)
        text = text[: len(text) - rng.randint(0, 3)]
        if rng.random() < 0.5:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice("ab19") + text[at + 1 :]
        assert find_counter(text, settings) == counted_literally(text, settings), text
        found += find_counter(text, settings) is not None
    assert 300 < found < 2700


def counted_literally(text: str, settings: Loops) -> Counter | None:
    parts = [(match.start(), match[0]) for match in re.finditer("[0-9]+|[^0-9]", text)]
    masked = ["0" if part.isdigit() else part for _, part in parts]
    for period in range(1, 4 * settings.max_period + 1):
        needed = max(settings.min_repeats * period, 4 * settings.min_tokens)
        if needed > len(parts) or not repeats(masked, len(parts) - needed, period):
            continue
        starts = [
            start for start in range(len(parts)) if repeats(masked, start, period) and counts(parts, start, period)
        ]
        if starts and len(parts) - starts[0] >= needed:
            return Counter(parts[starts[0]][0], period, (len(parts) - starts[0]) // period)
        return None
    return None


def repeats(masked: list[str], start: int, period: int) -> bool:
    return all(masked[at] == masked[at - period] for at in range(start + period, len(masked)))


def counts(parts: list[tuple[int, str]], start: int, period: int) -> bool:
    """Whether one of the numbers changes by one step; the very last part, which may be cut, says nothing."""
    for at in range(start, min(start + period, len(parts))):
        values = [int(part) for _, part in parts[at : len(parts) - 1 : period] if part.isdigit()]
        steps = {after - before for before, after in itertools.pairwise(values)}
        if len(steps) == 1 and steps != {0}:
            return True
    return False


def test_a_table_of_numbers_is_no_counting_loop_by_chance() -> None:
    """Every pair of characters may be its period, and among so many numbers some seem to count for a few lines."""
    rng = random.Random(3)
    for digits in (1, 3):
        for _ in range(20):
            table = " ".join(str(rng.randrange(10**digits)) for _ in range(20_000))
            assert find_counter(table, FIELD) is None
