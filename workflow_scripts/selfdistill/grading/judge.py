r"""math-verify, made stricter where it is known to credit wrong answers. Runs inside the processes of `processes.py`.

Two holes of math-verify 0.9 are closed after it says yes: numbers below its six decimals (\sqrt2/2^{99} and
\sqrt2/2^{98}), and equations, of which it may compare right-hand sides alone (x^2+1=0 and x^2+2=0).
"""

import logging
from itertools import product
from typing import Any

import sympy
from math_verify import parse, verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

# The limit is the hard kill from outside; math-verify's own is an alarm that cannot interrupt a long C call.
logging.getLogger("math_verify").setLevel(logging.CRITICAL)
EXTRACTION = [LatexExtractionConfig(), ExprExtractionConfig()]
SMALL = 1e-3  # below it, six decimals are too coarse to compare by
RELATIVE = 1e-4


def parse_answer(text: str) -> list[Any]:
    """What math-verify reads, the mathematical object first; empty where it reads only text."""
    try:
        parsed = parse(f"${text}$", extraction_config=EXTRACTION, parsing_timeout=None, raise_on_error=True)
    except MemoryError:
        raise
    except Exception:
        return []
    return parsed if parsed and not isinstance(parsed[0], str) else []


def reads(text: str) -> bool:
    return bool(parse_answer(text))


def judge(gold: str, answer: str) -> str:
    """A reason. What is raised is a failure of the grader's own and says nothing about the answer."""
    parsed_gold, parsed_answer = parse_answer(gold), parse_answer(answer)
    if not parsed_gold or not parsed_answer:
        return "unparsed"
    agrees = agree(parsed_gold, parsed_answer) and holds_up(parsed_gold[0], parsed_answer[0])
    return "equivalent" if agrees else "different"


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
