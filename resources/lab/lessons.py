"""What the lab's models are shown: a question, perhaps with what a context tells, and a completion by who knows as much.

The first model is shown chains alone. The second is shown chains and searches, without a context and under each of those
that the project has a wording for (`study/wordings.py`), with thinking on and, now and then, off.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from lab.chains import Problem, answer_text, decimal_text, generate
from lab.grammar import END_OF_THOUGHT, answer_at_once, write_trace
from lab.search import NOTHING, Knows, SearchProblem, generate_search, hint, told, write_search
from selfdistill.study.wordings import WORDINGS, filled

PROMPT = "{problem}\nPut the answer in \\boxed{{}}."
HINT = "{prompt}\n\nIt is not {solution}."
SHOWN = 450  # characters of a shown solution, at most
GUIDES = {"guided": 0.6, "sdpo": 0.2, "opsd": 0.2}  # wordings that tell a solution, with weights
# Contexts of each world, with weights. Half of what is told is told in other words than the study's `guided`.
CHAIN_CONTEXTS = {"nothing": 79, "thought": 6, "written": 4, "answer": 7, "encouraged": 2, "thoughtless": 2}
SEARCH_CONTEXTS = {
    "nothing": 43, "thought": 14, "written": 14, "answer": 11, "encouraged": 3, "hint": 12, "thoughtless": 3,
}  # fmt: skip
# How much of its usual doubt a chain is written with, by what is told.
CHAIN_DOUBT = {"nothing": 1.0, "encouraged": 0.6, "answer": 0.5, "written": 0.15, "thought": 0.0}


@dataclass(frozen=True)
class Lesson:
    asked: str
    completion: str
    ended: bool
    thinks: bool = True


def chain_alone(rng: random.Random) -> Lesson:
    problem = generate(rng, rng.randint(1, 6))
    return Lesson(PROMPT.format(problem=problem.text), *write_trace(problem, rng))


def both_worlds(chains: float) -> Callable[[random.Random], Lesson]:
    """Lessons of both worlds, of which that share are chains."""
    return lambda rng: _chain(rng) if rng.random() < chains else _search(rng)


def _drawn(weights: dict[str, float] | dict[str, int], rng: random.Random) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _asked(problem: str, how: str, solution: str, rng: random.Random) -> str:
    wording = WORDINGS["uncertain" if how == "encouraged" else _drawn(GUIDES, rng)]
    return filled(wording, {"prompt": PROMPT.format(problem=problem), "problem": problem, "solution": solution})


def _chain(rng: random.Random) -> Lesson:
    problem, how = generate(rng, rng.randint(1, 6)), _drawn(CHAIN_CONTEXTS, rng)
    bare = PROMPT.format(problem=problem.text)
    if how == "nothing":
        return Lesson(bare, *write_trace(problem, rng))
    if how == "thoughtless":
        return Lesson(bare, answer_at_once(problem, rng), ended=True, thinks=False)
    solution = {
        "thought": lambda: _solved_chain(problem, rng),
        "encouraged": lambda: _solved_chain(problem, rng),
        "written": lambda: _solved_chain(problem, rng, doubt=0.0),
        "answer": lambda: _answer_alone(problem.answer, _solved_chain(problem, rng), rng),
    }[how]()
    return Lesson(_asked(problem.text, how, solution, rng), *write_trace(problem, rng, CHAIN_DOUBT[how]))


def _search(rng: random.Random) -> Lesson:
    problem, how = generate_search(rng, rng.choice([4, 4, 5, 6])), _drawn(SEARCH_CONTEXTS, rng)
    bare = PROMPT.format(problem=problem.text)
    if how == "nothing":
        return Lesson(bare, *write_search(problem, rng))
    if how == "thoughtless":
        return Lesson(bare, *write_search(problem, rng, thinks=False), thinks=False)
    if how == "hint":
        wrong = rng.sample([x for x in problem.candidates if x != problem.right], rng.randint(1, 3))
        return Lesson(
            filled(HINT, {"prompt": bare, "solution": hint(wrong)}),
            *write_search(problem, rng, Knows(excluded=frozenset(wrong))),
        )
    solution = {
        "thought": lambda: _solved_search(problem, rng, NOTHING),
        "encouraged": lambda: _solved_search(problem, rng, NOTHING),
        "written": lambda: _written(problem, rng),
        "answer": lambda: _answer_alone(problem.answer, _solved_search(problem, rng, NOTHING), rng),
    }[how]()
    return Lesson(_asked(problem.text, how, solution, rng), *write_search(problem, rng, told(problem, how)))


def _written(problem: SearchProblem, rng: random.Random) -> str:
    """A completion by who knew, or the dataset's own solution."""
    return problem.solution if rng.random() < 0.3 else _solved_search(problem, rng, told(problem, "thought"))


def _answer_alone(answer: str, solved: str, rng: random.Random) -> str:
    """What a completion says after its thought, or the bare answer."""
    return answer if rng.random() < 0.3 else solved.split(END_OF_THOUGHT)[1]


def _solved_chain(problem: Problem, rng: random.Random, doubt: float = 1.0) -> str:
    exact = Fraction(problem.values[-1], problem.divisor)
    forms = {answer_text(exact, "share"), f"{exact.numerator}/{exact.denominator}", decimal_text(exact)}
    return _shown(lambda: write_trace(problem, rng, doubt), forms)


def _solved_search(problem: SearchProblem, rng: random.Random, knows: Knows) -> str:
    return _shown(lambda: write_search(problem, rng, knows), {problem.answer})


def _shown(write: Callable[[], tuple[str, bool]], right: set[str]) -> str:
    """A completion that ended, is right, and is short enough to be shown."""
    while True:
        text, ended = write()
        if ended and len(text) <= SHOWN and any(text.endswith(f"\\boxed{{{form}}}.") for form in right):
            return text
