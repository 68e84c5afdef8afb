"""The search world's truth: what its problems ask, what its grammar allows, what doubt and hints are worth in it."""

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from lab.grammar import Cut, Label, NotWellFormed
from lab.search import (
    HASTE,
    NOTHING,
    SEARCH_SOURCES,
    Knows,
    SearchProblem,
    expected_doubts,
    expected_score,
    generate_search,
    hint,
    label_search,
    label_search_tokens,
    make_search_source,
    nats_of_answer,
    nats_of_trace,
    parse_search,
    search,
    told,
    write_search,
)

ROOT = Path(__file__).resolve().parents[3]
PROBLEM = parse_search("Which of 495, 877, 531, 142 plus 44 has tens digit 7?")
DOUBT = re.compile(r"\b(wait|perhaps|check)\b", re.IGNORECASE)


def problems(count: int, seed: int = 1) -> list[SearchProblem]:
    rng = random.Random(seed)
    return [generate_search(rng, rng.choice([4, 5, 6])) for _ in range(count)]


@dataclass
class ExactPen:
    """Writes without slips, follows `path` at choices and then takes the first, and keeps the law of what it did."""

    path: list[int]
    text: str = ""
    probability: float = 1.0
    made: list[tuple[int, int]] = field(default_factory=list)  # choice, of how many

    def choose(self, options: list[tuple[float, str]]) -> int:
        chosen = self.path[len(self.made)] if len(self.made) < len(self.path) else 0
        self.made.append((chosen, len(options)))
        self.probability *= options[chosen][0] / sum(weight for weight, _ in options)
        if self.probability < 1e-9:
            raise Cut
        self.text += options[chosen][1]
        return chosen

    def fixed(self, text: str, label: Label) -> None:
        self.text += text

    def number(self, value: int, result: bool = False) -> int:
        self.text += str(value)
        return value


def all_traces(problem: SearchProblem, knows: Knows = NOTHING, thinks: bool = True) -> Iterator[tuple[str, float]]:
    """Every completion that the grammar can write without a slip, and its probability: by brute force."""
    path: list[int] | None = []
    while path is not None:
        pen = ExactPen(path)
        try:
            search(problem, pen, knows, thinks)
            yield pen.text, pen.probability
        except Cut:
            pass
        path = following(pen.made)


def following(made: list[tuple[int, int]]) -> list[int] | None:
    while made and made[-1][0] == made[-1][1] - 1:
        made = made[:-1]
    return [choice for choice, _ in made[:-1]] + [made[-1][0] + 1] if made else None


def expectation(law: dict[str, float], of: Callable[[str], float]) -> float:
    assert sum(law.values()) == pytest.approx(1, abs=1e-4)
    return sum(probability * of(text) for text, probability in law.items())


def excluding(count: int) -> Knows:
    return Knows(excluded=frozenset([x for x in PROBLEM.candidates if x != PROBLEM.right][:count]))


def is_right(text: str) -> float:
    return float(text.endswith(f"\\boxed{{{PROBLEM.answer}}}."))


def test_a_problem_is_read_back_from_its_text() -> None:
    for problem in problems(300):
        assert parse_search(problem.text) == problem
        assert (problem.right + problem.addend) // 10 % 10 == problem.digit


@pytest.mark.parametrize(
    "text", ["Which of 495, 877 plus 44 has tens digit 1?", "Which of 431, 531 plus 44 has tens digit 7?", "Add 4."]
)
def test_what_has_not_one_answer_is_no_problem(text: str) -> None:
    with pytest.raises(ValueError, match="not a search problem"):
        parse_search(text)


def test_the_shipped_sources_are_what_the_generator_makes_and_share_no_numbers() -> None:
    seen: set[tuple[int, ...]] = set()
    for name, (_, sizes, _) in SEARCH_SOURCES.items():
        rows = [json.loads(line) for line in (ROOT / f"resources/lab/problems/{name}.jsonl").read_text().splitlines()]
        assert rows == make_search_source(name, 20261121)
        parsed = [parse_search(row["problem"]) for row in rows]
        assert {problem.level for problem in parsed} == set(sizes)
        assert [problem.answer for problem in parsed] == [row["answer"] for row in rows]
        lists = {problem.candidates for problem in parsed}
        assert len({row["family"] for row in rows}) == len(lists) < len(rows)
        assert not lists & seen
        seen |= lists


def test_a_hint_excludes_wrong_candidates_only() -> None:
    for row in make_search_source("search-eval", 1):
        excluded = str(row["not_3"]).split(", not ")
        assert row["answer"] not in excluded
        assert hint([int(x) for x in excluded[:2]]) == row["not_2"]


def test_giving_up_doubt_costs_exactly_one_minus_one_in_k() -> None:
    for problem in problems(20):
        law = dict(all_traces(problem, Knows(sure=1.0)))
        right = sum(p for text, p in law.items() if text.endswith(f"\\boxed{{{problem.answer}}}."))
        assert right == pytest.approx(1 / problem.level)
        assert all(not DOUBT.search(text) for text in law)
    assert all(map(is_right, dict(all_traces(PROBLEM, Knows(sure=0.0)))))


def test_without_thought_it_is_a_guess_unless_the_answer_was_told() -> None:
    assert expectation(dict(all_traces(PROBLEM, thinks=False)), is_right) == pytest.approx(1 / 4)
    assert expectation(dict(all_traces(PROBLEM, excluding(2), thinks=False)), is_right) == pytest.approx(1 / 2)
    assert expectation(dict(all_traces(PROBLEM, told(PROBLEM, "answer"), thinks=False)), is_right) == pytest.approx(1)


@pytest.mark.parametrize("excluded", [0, 1, 2, 3])
def test_doubts_score_and_information_of_a_hint_are_those_of_all_its_traces(excluded: int) -> None:
    knows = excluding(excluded)
    law, untold = dict(all_traces(PROBLEM, knows)), dict(all_traces(PROBLEM))
    assert expectation(law, lambda text: len(DOUBT.findall(text))) == pytest.approx(
        expected_doubts(4 - excluded, knows), abs=1e-3
    )
    assert expectation(law, is_right) == pytest.approx(expected_score(4 - excluded, knows), abs=1e-4)
    shared = {text: p for text, p in law.items() if text in untold}
    told_in_nats = expectation(shared, lambda text: math.log(law[text] / untold[text]))
    assert told_in_nats == pytest.approx(nats_of_trace(4, excluded), abs=1e-3)
    assert nats_of_answer(4, excluded) == pytest.approx(math.log(4 / (4 - excluded)))


@pytest.mark.parametrize("how", ["thought", "written", "answer", "encouraged"])
def test_doubts_of_who_was_told_the_answer_are_those_of_all_its_traces(how: str) -> None:
    knows = told(PROBLEM, how)
    law = dict(all_traces(PROBLEM, knows))
    doubts = expectation(law, lambda text: len(DOUBT.findall(text)))
    assert doubts == pytest.approx(expected_doubts(4, knows), abs=1e-3)
    assert expectation(law, is_right) == pytest.approx(1, abs=1e-4)


def test_the_more_is_told_the_less_is_doubted() -> None:
    order = [NOTHING, *(told(PROBLEM, how) for how in ("answer", "encouraged", "written", "thought"))]
    doubts = [expected_doubts(4, knows) for knows in order]
    assert doubts == sorted(doubts, reverse=True) and doubts[-1] == 0
    assert expected_doubts(4) == pytest.approx((1 - HASTE) * (4 + 0.3 / 0.85))


def test_every_trace_is_well_formed_for_who_knows_as_much_and_its_labels_cover_it() -> None:
    rng, seen = random.Random(2), set[str]()
    for problem in problems(300, seed=3):
        knows = rng.choice([NOTHING, *(told(problem, how) for how in ("thought", "written", "answer", "encouraged"))])
        thinks = rng.random() < 0.8
        text, finished = write_search(problem, rng, knows, thinks)
        if finished:
            labels = label_search(problem, text, knows, thinks)
            assert len(labels) == len(text)
            seen |= set(labels)
    assert seen == {"fork", "lock", "neither"}


SEARCHED = (
    "Perhaps 495: 495+44=539. Tens 3 for 7. Wait, no.\nPerhaps 531: 531+44=575. Tens 7 for 7. Yes.\n"
    "</think>\n\nThe answer is \\boxed{531}."
)


def test_labels_are_those_a_person_would_give() -> None:
    labels = label_search(PROBLEM, SEARCHED)
    forks = [SEARCHED[i:].split(" ")[0] for i, label in enumerate(labels) if label == "fork"]
    # 4, 8, 5 or 1 is free, and fixes the candidate; after 495 the next is 8, 5 or 1; a test that fits may be checked.
    assert forks == ["Perhaps", "495:", "531:", "", "The"]
    assert labels[SEARCHED.index(" Wait")] == "lock"
    assert labels[SEARCHED.index("Tens 3") + 5] == labels[SEARCHED.index("for 7") + 4] == "lock"
    assert labels[SEARCHED.index("Perhaps 531")] == "neither"


def test_what_is_told_turns_forks_into_locks() -> None:
    text = "So it is 531: 531+44=575. Tens 7 for 7.\n</think>\n\nThe answer is \\boxed{531}."
    first = text.index("531")
    assert label_search(PROBLEM, text)[first] == "fork"
    assert label_search(PROBLEM, text, told(PROBLEM, "thought"))[first : first + 3] == ["lock"] * 3
    with pytest.raises(NotWellFormed):
        label_search(PROBLEM, SEARCHED, told(PROBLEM, "thought"))


def test_candidates_fork_at_the_digit_where_they_part() -> None:
    problem = parse_search("Which of 495, 485, 531, 498 plus 44 has tens digit 7?")
    labels = label_search(problem, SEARCHED)
    first = SEARCHED.index("495")
    assert labels[first : first + 3] == ["fork", "fork", "fork"]
    assert labels[SEARCHED.index("531") + 1] == "lock"


def test_a_slip_leads_astray_and_what_was_written_is_gone_on_from() -> None:
    text = "Perhaps 495: 495+44=579. Tens 7 for 7. Yes.\n</think>\n\nSo we get \\boxed{495}."
    assert label_search(PROBLEM, text)[text.index("579")] == "lock"


@pytest.mark.parametrize(
    "text",
    [
        SEARCHED.replace(" Wait, no.", " Yes."),
        SEARCHED.replace("531", "495"),
        SEARCHED.replace("Perhaps 495", "Perhaps 496"),
        SEARCHED + " Bye",
    ],
    ids=["a digit that does not fit is not accepted", "a candidate twice", "no candidate", "after the answer"],
)
def test_what_leaves_the_grammar_is_not_labelled(text: str) -> None:
    with pytest.raises(NotWellFormed):
        label_search(PROBLEM, text)


def test_no_token_straddles_two_parts_of_the_grammar() -> None:
    tokenizer = Tokenizer.from_file(str(ROOT / "resources/lab/model/tokenizer.json"))
    rng = random.Random(4)
    for problem in problems(100, seed=5):
        text, finished = write_search(problem, rng)
        if not finished:
            continue
        encoding = tokenizer.encode(text)
        characters = label_search(problem, text)
        labels = label_search_tokens(problem, text, encoding.offsets)
        for (start, end), label in zip(encoding.offsets, labels, strict=True):
            rest = set(characters[start + 1 : end])
            assert (label == "fork" and rest <= {"neither"}) or rest <= {label}
