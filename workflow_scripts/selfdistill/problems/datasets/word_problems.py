"""What the datasets of word problems have in common: a short text, one number for an answer, an equation for a solution."""

import re
from collections.abc import Sequence
from fractions import Fraction

from selfdistill.problems.datasets.arithmetic import exact, shown, worked
from selfdistill.problems.datasets.dataset import Dropped, Kept

SPLITS = ("train", "test")
# Numbers that a program wrote out of thirds and the like: no answer could be told right from wrong by them.
ENDLESS = re.compile(r"\d\.\d{7,}")
UNKNOWN = re.compile(r"[a-zA-Z]+")
SOLVED = re.compile(r"^\s*[a-zA-Z]+\s*=|=\s*[a-zA-Z]+\s*$")
PLACEHOLDER = re.compile(r"\b(?:number|N_|temp_)(\d+)\b")
TOKENISED = (
    (re.compile(r"\s+([.,;:?!%)])(?=\s|$|[.,;:?!%)])"), r"\1"),
    (re.compile(r"([$(])\s+(?=\S)"), r"\1"),
    (re.compile(r"\s+('(?:s|re|ve|ll|d|m)|n't)\b"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def equation_problem(
    name: str, problem: str, answer: str | int | float, equation: str, most: int = 2
) -> Kept | Dropped:
    """A problem whose level is the number of its equation's operations, of `most` and more as one."""
    gold = exact(answer)
    if not problem:
        return Dropped(name, "no problem")
    if gold is None:
        return Dropped(name, "answer is no number")
    if ENDLESS.search(problem) or ENDLESS.search(str(answer)):
        return Dropped(name, "a decimal without an end")
    found = worked(SOLVED.sub("", equation))
    if found is None and _holds(equation, gold) is not False:
        return Kept(name, problem, shown(gold), level=1)
    if found is None or found.value != gold:
        return Dropped(name, "equation and answer disagree")
    level = min(max(len(found.steps), 1), most)
    return Kept(name, problem, shown(gold), level, solution="\n".join(found.steps) or None)


def _holds(equation: str, unknown: Fraction) -> bool | None:
    """Whether both sides are the same number with the answer in the unknown's place; None where that cannot be read."""
    sides = [worked(UNKNOWN.sub(f"({shown(unknown)})", side)) for side in equation.split("=")]
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        return None
    return sides[0].value == sides[1].value


def joined(*parts: str | None) -> str:
    """Body and question, one after the other."""
    return " ".join(part.strip() for part in parts if part and part.strip())


def untokenised(text: str) -> str:
    """As people write it: "Ed 's 3 % of $ 4 ." is "Ed's 3% of $4."."""
    for pattern, instead in TOKENISED:
        text = pattern.sub(instead, text)
    return text.strip()


def filled_in(text: str, numbers: Sequence[str]) -> str | None:
    """The numbers in their places; None where one is missing."""
    values = [exact(number) for number in numbers]
    written = {place: shown(value) for place, value in enumerate(values) if value is not None}
    if any(int(match[1]) not in written for match in PLACEHOLDER.finditer(text)):
        return None
    return PLACEHOLDER.sub(lambda match: written[int(match[1])], text)
