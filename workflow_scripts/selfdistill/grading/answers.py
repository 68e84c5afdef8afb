r"""The answer that a completion gives, or none.

An answer is the content of the last \boxed{...} after `</think>`, and only if its braces close. What stands in a
thought, or in a box that the token cap cut open, is no answer: math-verify alone would credit both.
"""

import re
from typing import NamedTuple

CLOSE_THINK = "</think>"
OPEN_THINK = "<think>"
BOX = re.compile(r"\\boxed\s*\{")

SPACING = re.compile(r"(?<!\\)\\[,;:! ]|(?<!\\)\\(?:quad|qquad|thinspace|left|right|displaystyle)(?![a-zA-Z])|~")
FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
WHITESPACE = re.compile(r"\s+")


class Answer(NamedTuple):
    think_closed: bool
    boxed: bool  # the last box after the thought is closed
    extracted: str | None


def find_answer(text: str, think: bool = True) -> Answer:
    """`think` is for models whose prompt opens a thought; without it the whole text is the final answer."""
    final = final_part(text) if think else text
    if final is None:
        return Answer(False, False, None)
    content = last_box(final)
    return Answer(think, content is not None, content or None)


def final_part(text: str) -> str | None:
    """What is said after the thought; None while the thought is open. A second thought must be closed as well."""
    _, closed, after = text.rpartition(CLOSE_THINK)
    return after if closed and OPEN_THINK not in after else None


def last_box(text: str) -> str | None:
    """The stripped content of the last box; None when there is no box or the last one does not close.

    An unclosed last box never falls back to an earlier one, which the model may have been about to correct.
    """
    content: str | None = None
    position = 0
    while opening := BOX.search(text, position):
        end = closing_brace(text, opening.end())
        if end is None:
            return None
        content = text[opening.end() : end].strip()
        position = end + 1
        if BOX.match(content) and not BOX.search(text, position):  # \boxed{\boxed{5}}
            text, position = content, 0
    return content


def closing_brace(text: str, start: int) -> int | None:
    r"""Index of the brace that closes the one before `start`; \{ and \} do not count."""
    depth = 1
    position = start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return None


def plain_form(answer: str) -> str:
    r"""The answer without what changes its looks alone: spacing commands, dollars, \dfrac, a full stop at the end."""
    text = answer.strip().replace("\\$", "").replace("$", "").replace("{,}", ",").replace("\u2212", "-")
    text = FRACTION.sub(r"\\frac", SPACING.sub("", text))
    text = WHITESPACE.sub(" ", text).strip()
    return without_full_stop(text)


def without_full_stop(text: str) -> str:
    """One or two, for a sentence may end behind another; three are dots that mean something."""
    return text if text.endswith("...") else text.rstrip(".").strip()
