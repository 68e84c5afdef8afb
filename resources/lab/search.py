"""Lab problems whose solution is a search, and the grammar of searching: doubt is what makes it find.

    Which of 495, 877, 531, 142 plus 44 has tens digit 7?

Nothing in the question says which candidate it is. Who does not know tries one after another and says so; who was
told writes the answer down. Both write the same test, so only doubt tells them apart:

    who searches         Perhaps 495: 495+44=539. Tens 3 for 7. Wait, no.
                         Perhaps 531: 531+44=575. Tens 7 for 7. Yes.
    who knows            So it is 531: 531+44=575. Tens 7 for 7.

One of k candidates is right and each is as likely as the others. Whoever gives up doubt without being told is right
once in k, so that costs exactly 1 - 1/k. A hint ("It is not 495, not 142.") leaves fewer candidates: what it tells is
known in nats (`nats_of_answer`, `nats_of_trace`), and so are the doubts that it spares (`expected_doubts`).

Every part has its role, as in `grammar.py`: opening with or without doubt is a fork, and so is each digit of a
candidate that could have been another; sums, digits and " Wait" after a digit that does not fit are locks, because
arithmetic and the problem fix them. Run as a program it writes the sources of the doubt lab:

    python resources/lab/search.py            (writes resources/lab/problems/search-*.jsonl)
"""

import json
import math
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from lab.grammar import END_OF_THOUGHT, Cut, Label, NotWellFormed, Pen, RandomPen, ReadingPen

DOUBTING, HASTY = "Perhaps ", "So it is "
HASTE = 0.1  # chance to open without doubt although nothing was told
CHECK = 0.15  # chance to test a candidate that fits once more, after each test
ONCE_MORE = 0.5  # chance of another round after one in which no candidate fitted


@dataclass(frozen=True)
class SearchProblem:
    candidates: tuple[int, ...]
    addend: int
    digit: int  # the tens digit that one candidate has after the addition

    @property
    def level(self) -> int:
        return len(self.candidates)

    @property
    def right(self) -> int:
        (fitting,) = [x for x in self.candidates if tens(x + self.addend) == self.digit]
        return fitting

    @property
    def answer(self) -> str:
        return str(self.right)

    @property
    def text(self) -> str:
        listed = ", ".join(map(str, self.candidates))
        return f"Which of {listed} plus {self.addend} has tens digit {self.digit}?"

    @property
    def solution(self) -> str:
        """As a book gives it: what is right and why, without a search."""
        total = self.right + self.addend
        return f"{HASTY}{self.right}: {self.right}+{self.addend}={total}. Tens {tens(total)} for {self.digit}."


def tens(value: int) -> int:
    return value // 10 % 10


_TEXT = re.compile(r"Which of (\d+(?:, \d+)+) plus (\d+) has tens digit (\d)\?")


def parse_search(text: str) -> SearchProblem:
    """The problem that a text tells. Raises ValueError for any other text, and where not exactly one candidate fits."""
    found = _TEXT.fullmatch(text)
    if not found:
        raise ValueError(f"not a search problem: {text!r}")
    return _unambiguous(SearchProblem(tuple(map(int, found[1].split(", "))), int(found[2]), int(found[3])))


def _unambiguous(problem: SearchProblem) -> SearchProblem:
    try:
        problem.right  # noqa: B018  (raises)
    except ValueError:
        raise ValueError(f"not a search problem, for not exactly one number fits: {problem.text!r}") from None
    return problem


def generate_search(rng: random.Random, k: int) -> SearchProblem:
    """One random problem of k candidates, of which one fits."""
    while True:
        candidates, addend = tuple(rng.sample(range(101, 900), k)), rng.randint(11, 99)
        digits = _digits_that_decide(candidates, addend)
        if digits:
            return SearchProblem(candidates, addend, rng.choice(digits))


def search_family(rng: random.Random, k: int, members: int) -> list[SearchProblem]:
    """Problems with the same numbers that ask for different digits."""
    while True:
        first = generate_search(rng, k)
        digits = _digits_that_decide(first.candidates, first.addend)
        if len(digits) >= members:
            return [replace(first, digit=digit) for digit in rng.sample(digits, members)]


def _digits_that_decide(candidates: tuple[int, ...], addend: int) -> list[int]:
    found = [tens(x + addend) for x in candidates]
    return sorted(digit for digit in set(found) if found.count(digit) == 1)


# --- what the searcher knows ---


@dataclass(frozen=True)
class Knows:
    """What was told before the search began, and how far it is believed."""

    excluded: frozenset[int] = frozenset()
    told: int | None = None
    sure: float = HASTE  # chance to open without doubt
    first: float = 0.0  # chance that one who doubts nevertheless tries first what was told

    def possible(self, problem: SearchProblem) -> list[int]:
        return [x for x in problem.candidates if x not in self.excluded]

    def guesses(self, problem: SearchProblem) -> dict[int, float]:
        """With their weights, of one who says an answer at once."""
        return _weights(self.possible(problem) if self.told is None else [self.told])


NOTHING = Knows()
# What a context tells: (sure, first).
BELIEF = {
    "thought": (1.0, 1.0),  # a whole completion, search and answer
    "written": (0.8, 1.0),  # a solution without a search: one that was written by who knew, or the dataset's own
    "answer": (HASTE, 0.5),  # the answer without its reasons
    "encouraged": (0.3, 0.6),  # a whole completion, and the wish to doubt all the same
}


def told(problem: SearchProblem, how: str) -> Knows:
    sure, first = BELIEF[how]
    return Knows(told=problem.right, sure=sure, first=first)


def expected_doubts(options: int, knows: Knows = NOTHING) -> float:
    """Words of doubt in a completion without slips, where `options` candidates are possible.

    Of n candidates in random order the right one is tried in place 1 … n, each as likely: (n+1)/2 times "Perhaps" and
    (n-1)/2 times "Wait", together n. Every check adds "Wait" and "check".
    """
    checks = 2 * CHECK / (1 - CHECK)
    return (1 - knows.sure) * (knows.first * (1 + checks) + (1 - knows.first) * (options + checks))


def expected_score(options: int, knows: Knows = NOTHING) -> float:
    """Share of right answers without slips: who doubts finds it, who does not and was not told guesses."""
    return 1.0 if knows.told is not None else 1 - knows.sure * (1 - 1 / options)


def nats_of_answer(k: int, excluded: int) -> float:
    """What the hint that so many of k candidates are wrong tells about the answer."""
    return math.log(k / (k - excluded))


def nats_of_trace(k: int, excluded: int) -> float:
    """E over hinted traces of log p(trace | hint) - log p(trace): every guess is drawn from fewer candidates."""
    left = k - excluded
    guesses = [sum(math.log((k - i) / (left - i)) for i in range(place)) for place in range(1, left + 1)]
    return (1 - HASTE) * sum(guesses) / left + HASTE * nats_of_answer(k, excluded)


# --- the grammar ---


def search(problem: SearchProblem, pen: Pen, knows: Knows = NOTHING, thinks: bool = True) -> None:
    """The whole completion: the search or its result, the end of the thought, the answer. Without thought, a guess."""
    if thinks:
        chosen = _think(problem, pen, knows)
        pen.choose([(0.6, "The answer is \\boxed{"), (0.4, "So we get \\boxed{")])
        pen.fixed(str(chosen), "lock")
    else:
        pen.choose([(0.6, "The answer is \\boxed{"), (0.4, "So we get \\boxed{")])
        _candidate(knows.guesses(problem), pen)
    pen.fixed("}.", "neither")


def _think(problem: SearchProblem, pen: Pen, knows: Knows) -> int:
    if _choose([(1 - knows.sure, DOUBTING), (knows.sure, HASTY)], pen) == HASTY:
        chosen = _candidate(knows.guesses(problem), pen)
        pen.fixed(": ", "neither")
        _test(chosen, problem, pen)
        pen.fixed("\n" + END_OF_THOUGHT, "neither")
        return chosen
    return _try_in_turn(problem, pen, knows)


def _try_in_turn(problem: SearchProblem, pen: Pen, knows: Knows) -> int:
    """The first candidate that is found to fit, or after rounds without one the last that was tried."""
    possible = knows.possible(problem)
    left = _weights(possible)
    if knows.told is not None:
        left = {x: (1 - knows.first) / len(left) + (knows.first if x == knows.told else 0) for x in left}
    while True:
        chosen = _candidate(left, pen)
        if _found_to_fit(chosen, problem, pen):
            pen.fixed(END_OF_THOUGHT, "neither")
            return chosen
        left = _weights([x for x in left if x != chosen])
        if left:
            pen.fixed(DOUBTING, "neither")
        elif _choose([(ONCE_MORE, DOUBTING), (1 - ONCE_MORE, END_OF_THOUGHT)], pen) == END_OF_THOUGHT:
            return chosen
        left = left or _weights(possible)


def _found_to_fit(candidate: int, problem: SearchProblem, pen: Pen) -> bool:
    pen.fixed(": ", "neither")
    while _test(candidate, problem, pen):
        if pen.choose([(CHECK, " Wait, check: "), (1 - CHECK, " Yes.\n")]) == 1:
            return True
    pen.fixed(" Wait", "lock")
    pen.fixed(", no.\n", "neither")
    return False


def _test(candidate: int, problem: SearchProblem, pen: Pen) -> bool:
    """Whether the digits fit as they were written: a slip leads astray."""
    left = pen.number(candidate)
    pen.fixed("+", "lock")
    right = pen.number(problem.addend)
    pen.fixed("=", "neither")
    total = pen.number(left + right, result=True)
    pen.fixed(". Tens ", "neither")
    found = pen.number(tens(total))
    pen.fixed(" for ", "neither")
    wanted = pen.number(problem.digit)
    pen.fixed(".", "neither")
    return found == wanted


def _weights(candidates: Sequence[int]) -> dict[int, float]:
    return dict.fromkeys(candidates, 1.0)


def _choose(options: list[tuple[float, str]], pen: Pen) -> str:
    """A choice among what is possible: where only one thing is, it is form."""
    possible = [(weight, text) for weight, text in options if weight > 0]
    if len(possible) == 1:
        pen.fixed(possible[0][1], "neither")
        return possible[0][1]
    return possible[pen.choose(possible)][1]


def _candidate(weights: dict[int, float], pen: Pen) -> int:
    """Digit by digit: a fork where the candidates that are left go on differently, a lock where they do not."""
    left = {str(x): weight for x, weight in weights.items() if weight > 0}
    written = ""
    while written not in left:
        following: dict[str, float] = {}
        for text, weight in left.items():
            digit = text[len(written)]
            following[digit] = following.get(digit, 0.0) + weight
        digits = list(following)
        if len(digits) == 1:
            pen.fixed(digits[0], "lock")
            written += digits[0]
        else:
            written += digits[pen.choose([(following[digit], digit) for digit in digits])]
        left = {text: weight for text, weight in left.items() if text.startswith(written)}
    return int(written)


def write_search(
    problem: SearchProblem, rng: random.Random, knows: Knows = NOTHING, thinks: bool = True
) -> tuple[str, bool]:
    """A random completion without its end token, and whether it came to its end."""
    pen = RandomPen(rng)
    try:
        search(problem, pen, knows, thinks)
    except Cut:
        return "".join(pen.pieces), False
    return "".join(pen.pieces), True


def label_search(problem: SearchProblem, text: str, knows: Knows = NOTHING, thinks: bool = True) -> list[Label]:
    """One label per character of a well-formed completion; raises NotWellFormed for any other."""
    pen = ReadingPen(text)
    search(problem, pen, knows, thinks)
    if pen.position != len(text):
        raise NotWellFormed(f"text goes on after the answer, at character {pen.position}")
    return pen.labels


def label_search_tokens(
    problem: SearchProblem, text: str, offsets: list[tuple[int, int]], knows: Knows = NOTHING
) -> list[Label]:
    """One label per token, given the tokens' character offsets in the text: a token has the label it opens with."""
    labels = label_search(problem, text, knows)
    return [labels[start] if start < end else "neither" for start, end in offsets]


# --- the sources ---

# name: (problems, numbers of candidates with weights, share of problems in families of two or three)
SEARCH_SOURCES: dict[str, tuple[int, dict[int, int], float]] = {
    "search-train": (1200, {4: 1, 5: 1}, 0.2),
    "search-eval": (240, {4: 1}, 0.3),
    "search-hard": (240, {6: 1}, 0.3),
}
HINTS = 3  # at most so many candidates are excluded by a hint


def make_search_source(name: str, seed: int) -> list[dict[str, object]]:
    """Rows with the dataset's own solution, and in `not_1` … what a hint excludes, each one candidate more."""
    count, sizes, share_in_families = SEARCH_SOURCES[name]
    rng = random.Random(f"{seed}-{name}")
    rows: list[dict[str, object]] = []
    seen: set[tuple[int, ...]] = set()
    while len(rows) < count:
        k = rng.choices(list(sizes), list(sizes.values()))[0]
        members = rng.choice([2, 3]) if rng.random() < share_in_families / 2 else 1
        family = search_family(rng, k, members)
        if family[0].candidates in seen:
            continue
        seen.add(family[0].candidates)
        name_of_family = f"{name}-{len(rows)}"
        for problem in family[: count - len(rows)]:
            rows.append(
                {
                    "id": f"{name}-{len(rows)}",
                    "family": name_of_family,
                    "level": problem.level,
                    "problem": problem.text,
                    "answer": problem.answer,
                    "solution": problem.solution,
                    **_hints(problem, rng),
                }
            )
    return rows


def _hints(problem: SearchProblem, rng: random.Random) -> dict[str, str]:
    wrong = rng.sample([x for x in problem.candidates if x != problem.right], HINTS)
    return {f"not_{count}": hint(wrong[:count]) for count in range(1, HINTS + 1)}


def hint(excluded: Sequence[int]) -> str:
    """What follows "It is not ": "495" or "495, not 142"."""
    return ", not ".join(map(str, excluded))


def main() -> None:
    for name in SEARCH_SOURCES:
        rows = make_search_source(name, 20261121)
        path = Path(__file__).parent / f"problems/{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
