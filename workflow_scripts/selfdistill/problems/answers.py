"""Every gold answer must be one that the grader can read; most are plain enough to be seen at once."""

import re

from selfdistill.errors import UserError

_PLAIN = re.compile(r"-?\d+(\.\d+)?|-?\d+/[1-9]\d*|-?\\[dt]?frac\{-?\d+\}\{[1-9]\d*\}")


def refuse_unreadable(answer: str, place: str) -> None:
    if _PLAIN.fullmatch(answer):
        return
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    parsed = parse(f"${answer}$", extraction_config=[LatexExtractionConfig(), ExprExtractionConfig()])
    # What only the fallback could make of it (a lone string) cannot be compared with an answer.
    if not [found for found in parsed if not isinstance(found, str)]:
        raise UserError(
            f"{place}: the answer {answer[:80]!r} cannot be read as mathematics; correct it or remove the problem."
        )
