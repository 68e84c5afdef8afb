"""The grammar of lab reasoning, written once and used both ways: to make traces and to read them.

`write_trace` lets random choices drive the grammar; `label_completion` lets a text drive it and gives every
character its part: `fork` where the grammar leaves a free choice (the first character of what was chosen),
`lock` where arithmetic or the problem fixes what must come (numbers and operators), `neither` where only form does.
This is the ground truth against which analyses of forks and locks are checked.

    48+27  a step done at once        Then 48+27=75.
           or in parts                In parts, 48+27=48+20+7=68+7=75.
           and then perhaps           Wait, check: 48+27=75.

Whoever checks once may check again, and the more often, the more surely: past three checks the trace is all but
stuck. This is where endless loops come from. The same holds for verifying the whole chain from the top.
"""

import random
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Protocol

from lab.chains import OPERATORS, Problem, answer_text, apply, decimal_text

Label = Literal["fork", "lock", "neither"]

END_OF_THOUGHT = "</think>\n\n"
SLIP = 0.02  # share of results written with one wrong digit
CHECK = 0.06  # chance to check a line
CHECK_AGAIN = {1: 0.22, 2: 0.50, 3: 0.85}  # after that many checks of one line; more than three: STUCK
STUCK = 0.97
VERIFY = {0: 0.12, 1: 0.30, 2: 0.60}  # chance of one more pass over the chain after that many; more than two: STUCK


class NotWellFormed(ValueError):
    """The text leaves the grammar."""


class Pen(Protocol):
    """What drives the grammar: it writes at random, or follows a text."""

    def choose(self, options: list[tuple[float, str]]) -> int: ...

    def fixed(self, text: str, label: Label) -> None: ...

    def number(self, value: int, result: bool = False) -> int: ...


@dataclass
class RandomPen:
    rng: random.Random
    pieces: list[str] = field(default_factory=list)
    limit: int = 1500  # characters; a stuck trace is cut here
    length: int = 0

    def choose(self, options: list[tuple[float, str]]) -> int:
        chosen = self.rng.choices(range(len(options)), [weight for weight, _ in options])[0]
        self.fixed(options[chosen][1], "fork")
        return chosen

    def fixed(self, text: str, label: Label) -> None:
        self.pieces.append(text)
        self.length += len(text)
        if self.length > self.limit:
            raise Cut

    def number(self, value: int, result: bool = False) -> int:
        if result and self.rng.random() < SLIP:
            digits = list(str(value))
            place = self.rng.choice([i for i, digit in enumerate(digits) if digit != "-"])
            digits[place] = self.rng.choice([d for d in "123456789" if d != digits[place]])
            value = int("".join(digits))
        self.fixed(str(value), "lock")
        return value


class Cut(Exception):
    """The trace has reached the limit of the pen."""


@dataclass
class ReadingPen:
    text: str
    position: int = 0
    labels: list[Label] = field(default_factory=list)

    def choose(self, options: list[tuple[float, str]]) -> int:
        for number, (_, option) in enumerate(options):
            if self.text.startswith(option, self.position):
                self.labels.append("fork")
                self.labels.extend(["neither"] * (len(option) - 1))
                self.position += len(option)
                return number
        raise NotWellFormed(f"at character {self.position}: none of {[option for _, option in options]}")

    def fixed(self, text: str, label: Label) -> None:
        if not self.text.startswith(text, self.position):
            raise NotWellFormed(f"at character {self.position}: not {text!r}")
        self.labels += [label] * len(text)
        self.position += len(text)

    def number(self, value: int, result: bool = False) -> int:
        """Reads a number; a slip is still at a lock, and what was read is what the trace goes on with."""
        found = re.compile(r"-?\d+").match(self.text, self.position)
        if not found:
            raise NotWellFormed(f"at character {self.position}: not a number")
        self.labels += ["lock"] * len(found[0])
        self.position = found.end()
        return int(found[0])


def reason(problem: Problem, pen: Pen, doubt: float = 1.0) -> None:
    """The whole completion: passes over the chain, the end of the thought, the answer.

    `doubt` is the share of the usual chance to check a line and to verify the chain.
    """
    passes = 0
    while True:
        value = problem.start
        for operation, operand in problem.steps:
            value = _line(value, operation, operand, pen, doubt)
        _fork_out = doubt * VERIFY.get(passes, STUCK)
        if pen.choose([(_fork_out, "Let me verify.\n"), (1 - _fork_out, END_OF_THOUGHT)]) == 1:
            break
        passes += 1
    _answer(value, problem, pen)


def _line(value: int, operation: str, operand: int, pen: Pen, doubt: float) -> int:
    in_parts = pen.choose([(0.3, "Then "), (0.2, "Next "), (0.15, "So "), (0.35, "In parts, ")]) == 3
    result = _equation(value, operation, operand, in_parts, pen)
    checks = 0
    chance = doubt * CHECK
    while pen.choose([(chance, " Wait, check: "), (1 - chance, "\n")]) == 0:
        result = _equation(value, operation, operand, False, pen)
        checks += 1
        chance = doubt * CHECK_AGAIN.get(checks, STUCK)
    return result


def _equation(value: int, operation: str, operand: int, in_parts: bool, pen: Pen) -> int:
    sign = OPERATORS[operation]
    left = pen.number(value)
    pen.fixed(sign, "lock")
    right = pen.number(operand)
    pen.fixed("=", "neither")
    if in_parts:
        left, right = _parts(left, operation, right, pen)
        operation = {"multiply": "add", "divide": "add"}.get(operation, operation)
    result = pen.number(apply(operation, left, right), result=True)
    pen.fixed(".", "neither")
    return result


def _parts(left: int, operation: str, right: int, pen: Pen) -> tuple[int, int]:
    """The way in parts: 48+27=48+20+7=68+7, 87*6=80*6+7*6=480+42, 84/4=80/4+4/4=20+1; what is left to do."""
    sign = OPERATORS[operation]
    if operation in ("add", "subtract"):
        tens, ones = right // 10 * 10, right % 10
        for part, mark in ((left, sign), (tens, sign)):
            pen.number(part)
            pen.fixed(mark, "lock")
        pen.number(ones)
        pen.fixed("=", "neither")
        between = pen.number(apply(operation, left, tens), result=True)
        pen.fixed(sign, "lock")
        ones = pen.number(ones)
        pen.fixed("=", "neither")
        return between, ones
    if operation == "multiply":
        high, low = left // 10 * 10, left % 10
    else:
        high = right * (apply("divide", left, right) // 10 * 10)
        low = left - high
    products = []
    for number, part in enumerate((high, low)):
        pen.number(part)
        pen.fixed(sign, "lock")
        pen.number(right)
        pen.fixed("+" if number == 0 else "=", "lock" if number == 0 else "neither")
        products.append(apply(operation, part, right))
    first = pen.number(products[0], result=True)
    pen.fixed("+", "lock")
    second = pen.number(products[1], result=True)
    pen.fixed("=", "neither")
    return first, second


def _answer(value: int, problem: Problem, pen: Pen) -> None:
    exact = Fraction(value, problem.divisor)
    if problem.ending == "whole":
        pen.choose([(0.6, "The answer is \\boxed{"), (0.4, "So we get \\boxed{")])
        pen.fixed(str(value), "lock")
    elif pen.choose([(0.5, "As a fraction \\boxed{"), (0.5, _OTHER_FORM[problem.ending])]) == 0:
        _digits(answer_text(exact, "share"), pen)
    elif problem.ending == "part":
        _digits(decimal_text(exact), pen)
    else:
        _digits(f"{exact.numerator}/{exact.denominator}", pen)
    pen.fixed("}.", "neither")


_OTHER_FORM = {"share": "As a ratio \\boxed{", "part": "As a decimal \\boxed{"}


def _digits(text: str, pen: Pen) -> None:
    """A written value, character by character: digits are locks, the rest is form."""
    for character in text:
        pen.fixed(character, "lock" if character.isdigit() else "neither")


def write_trace(problem: Problem, rng: random.Random, doubt: float = 1.0) -> tuple[str, bool]:
    """A random completion without its end token, and whether it came to its end."""
    pen = RandomPen(rng)
    try:
        reason(problem, pen, doubt)
    except Cut:
        return "".join(pen.pieces), False
    return "".join(pen.pieces), True


def answer_at_once(problem: Problem, rng: random.Random) -> str:
    """The right answer in a form of the grammar, without a thought."""
    pen = RandomPen(rng)
    _answer(problem.values[-1], problem, pen)
    return "".join(pen.pieces)


def label_completion(problem: Problem, text: str) -> list[Label]:
    """One label per character of a well-formed completion; raises NotWellFormed for any other."""
    pen = ReadingPen(text)
    reason(problem, pen)
    if pen.position != len(text):
        raise NotWellFormed(f"text goes on after the answer, at character {pen.position}")
    return pen.labels


def label_tokens(problem: Problem, text: str, offsets: list[tuple[int, int]]) -> list[Label]:
    """One label per token, given the tokens' character offsets in the text: a token has the label it opens with."""
    labels = label_completion(problem, text)
    return [labels[start] if start < end else "neither" for start, end in offsets]
