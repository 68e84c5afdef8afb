r"""The answer that a completion gives in the format that the study asks for, or none.

Format `boxed`: the content of the last \boxed{...} after `</think>`, and only if its braces close. Format `line`: what
follows `Answer:` at the beginning of the last line after `</think>`. What stands in a thought, or in a box that the
token cap cut open, is no answer: math-verify alone would credit both.
"""

import re
from typing import NamedTuple

from selfdistill.study.grading import AnswerFormat

CLOSE_THINK = "</think>"
OPEN_THINK = "<think>"
BOX = re.compile(r"\\boxed\s*\{")
LINE = "Answer:"
PLACEHOLDERS = frozenset({"", "answer", "your answer", "final answer"})
AROUND_PLACEHOLDERS = "$<>[]{}(). "
# Delimiters around one whole formula.
DELIMITED = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\(((?:(?!\\\)).)+)\\\)|\\\[((?:(?!\\\]).)+)\\\]")

SPACING = re.compile(r"(?<!\\)\\[,;:! ]|(?<!\\)\\(?:quad|qquad|thinspace|left|right|displaystyle)(?![a-zA-Z])|~")
FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
WHITESPACE = re.compile(r"\s+")


class Answer(NamedTuple):
    think_closed: bool
    in_format: bool  # the box of the asked format is closed, or its line is there
    extracted: str | None


def find_answer(text: str, think: bool = True, asked: AnswerFormat = "boxed") -> Answer:
    """`think` is for models whose prompt opens a thought; without it the whole text is the final answer."""
    final = final_part(text) if think else text
    if final is None:
        return Answer(False, False, None)
    content = last_box(final) if asked == "boxed" else answer_line(final)
    return Answer(think, content is not None, content or None)


def answer_line(text: str) -> str | None:
    """What follows `Answer:` on the last line that is not empty; None where that line begins otherwise, or opens with a
    box that does not close.

    Dollars and a box around the whole are taken off, and the prompt's own placeholder is nothing. Prose behind the
    answer stays: the grader refuses it as it does in a box.
    """
    last = text.strip().rpartition("\n")[2].strip()
    if not last.startswith(LINE):
        return None
    content = without_delimiters(last.removeprefix(LINE))
    if opening := BOX.match(content):
        end = closing_brace(content, opening.end())
        if end is None:
            return None
        if end == len(content) - 1:
            content = without_delimiters(last_box(content) or "")
    return "" if is_placeholder(content) else content


def is_placeholder(content: str) -> bool:
    """Whether a model copied the prompt's "Answer: $Answer (without quotes)", or <answer>, and so answered nothing."""
    return content.replace("(without quotes)", "").strip(AROUND_PLACEHOLDERS).casefold() in PLACEHOLDERS


def without_delimiters(content: str) -> str:
    r"""Without dollars, \( \) or \[ \] around the whole, and without a full stop behind them."""
    text = without_full_stop(content.strip())
    found = DELIMITED.fullmatch(text)
    return next(part for part in found.groups() if part is not None).strip() if found else text


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
