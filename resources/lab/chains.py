"""Lab problems: chains of whole-number arithmetic that end in an integer, a reduced fraction or a decimal.

A problem is a start number, a list of steps and an ending. `generate` makes problems in families (one skeleton of
steps, several start numbers), `parse_problem` reads one back from its text. Run as a program it writes the raw
sources of the lab study, with duplicates planted between training and evaluation for the contamination check to find:

    python resources/lab/chains.py            (writes resources/lab/problems/*.jsonl and planted.json)
"""

import json
import random
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
LARGEST = 999


@dataclass(frozen=True)
class Problem:
    start: int
    steps: tuple[tuple[str, int], ...]  # (operation, operand)
    ending: str = "whole"  # whole | share (a reduced fraction) | part (a decimal)
    divisor: int = 1
    style: str = "plain"  # plain | story

    @property
    def level(self) -> int:
        return len(self.steps) - 1

    @property
    def values(self) -> list[int]:
        """The running value after the start and after every step."""
        values = [self.start]
        for operation, operand in self.steps:
            values.append(apply(operation, values[-1], operand))
        return values

    @property
    def answer(self) -> str:
        return answer_text(Fraction(self.values[-1], self.divisor), self.ending)

    @property
    def text(self) -> str:
        return TELLERS[self.style](self)


def apply(operation: str, value: int, operand: int) -> int:
    match operation:
        case "add":
            return value + operand
        case "subtract":
            return value - operand
        case "multiply":
            return value * operand
        case _:
            return value // operand if operand else 0


def answer_text(value: Fraction, ending: str) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    if ending == "part":
        return decimal_text(value)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def decimal_text(value: Fraction) -> str:
    return f"{float(value):.4f}".rstrip("0").rstrip(".")


def tell_plainly(problem: Problem) -> str:
    words = {"add": "Add {}.", "subtract": "Subtract {}.", "multiply": "Multiply by {}.", "divide": "Divide by {}."}
    endings = {"share": " Share among {}.", "part": " Take one part in {}.", "whole": ""}
    told = " ".join(words[operation].format(operand) for operation, operand in problem.steps)
    return f"Start with {problem.start}. {told}{endings[problem.ending].format(problem.divisor)}"


def tell_as_story(problem: Problem) -> str:
    words = {
        "add": "{} more come.",
        "subtract": "{} are lost.",
        "multiply": "It grows {} times.",
        "divide": "Only one in {} stays.",
    }
    endings = {"share": " They are shared among {}.", "part": " One part in {} is kept.", "whole": ""}
    told = " ".join(words[operation].format(operand) for operation, operand in problem.steps)
    return f"A box holds {problem.start}. {told}{endings[problem.ending].format(problem.divisor)}"


TELLERS = {"plain": tell_plainly, "story": tell_as_story}

_STEP_PATTERNS = [
    ("add", re.compile(r"Add (\d+)\.|(\d+) more come\.")),
    ("subtract", re.compile(r"Subtract (\d+)\.|(\d+) are lost\.")),
    ("multiply", re.compile(r"Multiply by (\d+)\.|It grows (\d+) times\.")),
    ("divide", re.compile(r"Divide by (\d+)\.|Only one in (\d+) stays\.")),
    ("share", re.compile(r"Share among (\d+)\.|They are shared among (\d+)\.")),
    ("part", re.compile(r"Take one part in (\d+)\.|One part in (\d+) is kept\.")),
]


def parse_problem(text: str) -> Problem:
    """The problem that a text tells. Raises ValueError for any other text."""
    opening = re.match(r"(Start with|A box holds) (\d+)\. ", text)
    if not opening:
        raise ValueError(f"not a lab problem: {text!r}")
    problem = Problem(int(opening[2]), (), style="plain" if opening[1] == "Start with" else "story")
    position = opening.end()
    while position < len(text):
        for name, pattern in _STEP_PATTERNS:
            found = pattern.match(text, position)
            if found:
                operand = int(found[1] or found[2])
                if name in ("share", "part"):
                    problem = replace(problem, ending=name, divisor=operand)
                else:
                    problem = replace(problem, steps=(*problem.steps, (name, operand)))
                position = found.end()
                while position < len(text) and text[position] == " ":
                    position += 1
                break
        else:
            raise ValueError(f"not a lab problem after character {position}: {text!r}")
    return problem


def generate(rng: random.Random, level: int, style: str | None = None, ending: str | None = None) -> Problem:
    """One random problem of `level + 1` steps whose running values stay between 1 and 999."""
    while True:
        value = start = rng.randint(12, 99)
        steps: list[tuple[str, int]] = []
        while len(steps) < level + 1:
            operation, operand = _random_step(rng, value)
            if 1 <= apply(operation, value, operand) <= LARGEST:
                value = apply(operation, value, operand)
                steps.append((operation, operand))
        chosen = ending or rng.choices(["whole", "share", "part"], [6, 2, 2])[0]
        divisors = {"whole": [1], "share": [3, 6, 7, 9], "part": [2, 4, 5, 8]}[chosen]
        divisors = [d for d in divisors if chosen == "whole" or value % d]
        if divisors:
            return Problem(start, tuple(steps), chosen, rng.choice(divisors), style or rng.choice(["plain", "story"]))


def _random_step(rng: random.Random, value: int) -> tuple[str, int]:
    operation = rng.choices(["add", "subtract", "multiply", "divide"], [4, 4, 3, 2])[0]
    if operation == "divide":
        exact = [d for d in range(2, 10) if value % d == 0 and value > d]
        if exact:
            return operation, rng.choice(exact)
        operation = "subtract"
    if operation == "multiply":
        return operation, rng.randint(2, 9)
    return operation, rng.randint(11, 99)


def family_of(rng: random.Random, level: int, members: int, **fixed: str) -> list[Problem]:
    """Problems of one skeleton that differ in the start number only, all of them valid chains."""
    while True:
        first = generate(rng, level, **fixed)
        family = [first]
        starts = rng.sample(range(12, 100), 60)
        for start in starts:
            if len(family) == members:
                return family
            other = replace(first, start=start)
            if start != first.start and _is_valid(other):
                family.append(other)


def _is_valid(problem: Problem) -> bool:
    value = problem.start
    for operation, operand in problem.steps:
        if operation == "divide" and value % operand:
            return False
        value = apply(operation, value, operand)
        if not 1 <= value <= LARGEST:
            return False
    return problem.ending == "whole" or value % problem.divisor != 0


# name: (use, problems, levels with weights, share of problems in families of two or three, styles)
SOURCES: dict[str, tuple[str, int, dict[int, int], float, list[str]]] = {
    "drills": ("train", 3000, {1: 3, 2: 3, 3: 2, 4: 1}, 0.2, ["plain"]),
    "homework": ("train", 3000, {2: 1, 3: 3, 4: 3, 5: 2, 6: 1}, 0.2, ["plain", "story"]),
    "quiz": ("eval", 240, {1: 1, 2: 1, 3: 1}, 0.3, ["plain"]),
    "exam": ("eval", 360, {2: 1, 3: 2, 4: 2, 5: 1}, 0.3, ["plain", "story"]),
    "olympiad": ("eval", 240, {4: 1, 5: 1, 6: 1}, 0.3, ["story"]),
}


def make_source(name: str, seed: int) -> list[dict[str, object]]:
    _, count, levels, share_in_families, styles = SOURCES[name]
    rng = random.Random(f"{seed}-{name}")
    rows: list[dict[str, object]] = []
    seen: set[str] = set()
    while len(rows) < count:
        level = rng.choices(list(levels), list(levels.values()))[0]
        members = rng.choice([2, 3]) if rng.random() < share_in_families / 2 else 1
        family = family_of(rng, level, members, style=rng.choice(styles))
        if any(problem.text in seen for problem in family):
            continue
        name_of_family = f"{name}-{len(rows)}"
        for problem in family[: count - len(rows)]:
            seen.add(problem.text)
            rows.append(
                {
                    "id": f"{name}-{len(rows)}",
                    "family": name_of_family,
                    "level": problem.level,
                    "problem": problem.text,
                    "answer": problem.answer,
                }
            )
    return rows


def plant_duplicates(sources: dict[str, list[dict[str, object]]], seed: int, of_each: int = 6) -> list[dict[str, str]]:
    """Copies evaluation problems into training sources, exactly, in other case and space, and reworded at the start."""
    rng = random.Random(f"{seed}-planted")
    disguises = {
        "exact": lambda text: text,
        "case": lambda text: text.upper().replace(". ", ".  "),
        "reworded": lambda text: text.replace("Start with", "Begin with").replace("A box holds", "One box holds"),
    }
    planted: list[dict[str, str]] = []
    for source in [name for name, rule in SOURCES.items() if rule[0] == "eval"]:
        originals = rng.sample([row for row in sources[source] if int(str(row["level"])) >= 3], of_each)
        for number, original in enumerate(originals):
            kind = list(disguises)[number % len(disguises)]
            target = rng.choice(["drills", "homework"])
            copy = {
                **original,
                "id": f"{target}-{len(sources[target])}",
                "problem": disguises[kind](str(original["problem"])),
            }
            copy["family"] = copy["id"]
            sources[target].append(copy)
            planted.append({"kind": kind, "train": str(copy["id"]), "eval": str(original["id"])})
    return planted


def main() -> None:
    seed = 20261121
    folder = Path(__file__).parent / "problems"
    sources = {name: make_source(name, seed) for name in SOURCES}
    planted = plant_duplicates(sources, seed)
    for name, rows in sources.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "planted.json").write_text(json.dumps(planted, indent=1) + "\n")


if __name__ == "__main__":
    main()
