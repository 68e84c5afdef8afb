r"""What math-verify says of two answers. Runs inside the processes of `processes.py`.

It is asked in two ways. `lenient` is math-verify as it is used everywhere, with its own settings: a second opinion that
is stored beside ours. `careful` decides where our own reader cannot, and is stricter where math-verify is known to credit
wrong answers: no letter is a unit, no symbol may get lost, small numbers are compared by their digits and equations whole.
"""

import logging
import re
from collections.abc import Iterable
from itertools import product
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig
from math_verify import parse, verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

from selfdistill.grading.answers import plain_form
from selfdistill.grading.reading.writing import canonical
from selfdistill.tables.endings import UNPARSED

# The limit is the hard kill from outside; math-verify's own is an alarm that cannot interrupt a long C call.
logging.getLogger("math_verify").setLevel(logging.CRITICAL)
AS_SHIPPED = (LatexExtractionConfig(), ExprExtractionConfig())
WITHOUT_UNITS = (
    LatexExtractionConfig(
        normalization_config=NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True)
    ),
    ExprExtractionConfig(),
)
SMALL = 1e-3  # below it, six decimals are too coarse to compare by
RELATIVE = 1e-4
COMMAND_OR_TEXT = re.compile(r"\\(?:text|mathrm|operatorname|mathbb|mathcal|begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+")
WORD = re.compile(r"[A-Za-z]{2,}")
LETTER = re.compile(r"[A-Za-z]")
CONSTANTS = frozenset("ei")
# What our reader leaves to it. Of other notations it reads a part and leaves the rest without a word.
KNOWN_TO_IT = re.compile(r"\\(?:sum|prod|int|oint|lim)(?![a-zA-Z])")
TEXT = re.compile(r"\\(?:text|mbox|textbf|mathrm|textrm)\s*\{([^{}]*)\}")


def lenient(gold: str, answer: str) -> str:
    """As math-verify judges the plain forms of both."""
    parsed_gold, parsed_answer = (parse_answer(plain_form(text), AS_SHIPPED) for text in (gold, answer))
    if not parsed_gold or not parsed_answer:
        return UNPARSED
    return "equivalent" if agree(parsed_gold, parsed_answer) else "different"


def careful(gold: str, answer: str) -> str:
    """A reason. What is raised is a failure of the grader's own and says nothing about the answer."""
    texts = [canonical(text) for text in (gold, answer)]
    if is_prose(texts[1]) or not any(KNOWN_TO_IT.search(text) for text in texts):
        return UNPARSED
    parsed_gold, parsed_answer = (parse_answer(text, WITHOUT_UNITS) for text in texts)
    if not parsed_gold or not parsed_answer:
        return UNPARSED
    if loses_symbols(texts[0], parsed_gold[0]) or loses_symbols(texts[1], parsed_answer[0]):
        return UNPARSED
    agrees = agree(parsed_gold[:1], parsed_answer[:1]) and holds_up(parsed_gold[0], parsed_answer[0])
    return "equivalent" if agrees else "different"


def readable(text: str) -> str:
    written = canonical(text)
    if not KNOWN_TO_IT.search(written):
        return UNPARSED
    parsed = parse_answer(written, WITHOUT_UNITS)
    return "parsed" if parsed and not loses_symbols(written, parsed[0]) else UNPARSED


def parse_answer(text: str, settings: Iterable[Any] = AS_SHIPPED) -> list[Any]:
    """What math-verify reads, the mathematical object first; empty where it reads only text."""
    try:
        parsed = parse(f"${text}$", extraction_config=list(settings), parsing_timeout=None, raise_on_error=True)
    except MemoryError:
        raise
    except Exception:
        return []
    return parsed if parsed and not isinstance(parsed[0], str) else []


def is_prose(text: str) -> bool:
    """Words that are no label of the notation: math-verify would take the last thing that it can read."""
    return any(WORD.search(words) for words in TEXT.findall(text))


def loses_symbols(text: str, parsed: Any) -> bool:
    """A letter of the text that is in no name of what was read of it."""
    bare = COMMAND_OR_TEXT.sub(" ", text)
    letters = set(LETTER.findall(WORD.sub(lambda word: "" if hasattr(sympy, word[0]) else word[0], bare))) - CONSTANTS
    if not letters or not hasattr(parsed, "atoms"):
        return False
    names = {str(atom) for atom in parsed.atoms(sympy.Symbol)} | {
        str(applied.func) for applied in parsed.atoms(sympy.core.function.AppliedUndef)
    }
    return not letters <= set("".join(names))


def agree(gold: list[Any], answer: list[Any]) -> bool:
    """Whether math-verify holds any reading of the one for any of the other. An error of its own is a no, as it takes
    it; it would take want of memory for one too."""
    short_of_memory = None
    for readings in product(gold, answer):
        try:
            if verify(*readings, timeout_seconds=None, raise_on_error=True):
                return True
        except MemoryError as error:
            short_of_memory = error
        except Exception:
            continue
    if short_of_memory:
        raise short_of_memory
    return False


def holds_up(gold: Any, answer: Any) -> bool:
    if isinstance(gold, sympy.Equality) and isinstance(answer, sympy.Equality):
        return same_equation(gold, answer)
    # An assignment is compared by its value: x=5 answers 5.
    values = [side.rhs if isinstance(side, sympy.Equality) else side for side in (gold, answer)]
    return same_size(values[0], values[1])


def same_equation(one: sympy.Equality, other: sympy.Equality) -> bool:
    """Of the same left side and value, or one a multiple of the other. More is not safe to decide."""
    if one.lhs == other.lhs and one.rhs.is_number and other.rhs.is_number:
        return same_size(one.rhs, other.rhs)
    first, second = (sympy.expand(sympy.nsimplify(side.lhs - side.rhs, rational=True)) for side in (one, other))
    if first == 0 or second == 0:
        return first == second
    factor = sympy.cancel(first / second)
    return not factor.free_symbols


def same_size(one: Any, other: Any) -> bool:
    """True for anything but two unlike numbers of which one is small."""
    if not all(isinstance(side, sympy.Expr) and side.is_number for side in (one, other)):
        return True
    try:
        first, second = (
            complex(side.doit().evalf(30)) for side in (one, other)
        )  # doit: 50\% is 50*(1/100) unevaluated
    except (TypeError, ValueError, OverflowError):  # infinity, or a number that sympy cannot approximate
        return True
    if min(abs(first), abs(second)) >= SMALL:
        return True
    return abs(first - second) <= RELATIVE * max(abs(first), abs(second))
