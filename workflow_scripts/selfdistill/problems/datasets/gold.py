r"""The one answer that a text gives, or why it gives none that can be graded.

Only looks are changed: dollars, a box or brackets around the whole, punctuation at the end, \mbox, spaces between
thousands. Units, degrees, per cent, thousands and "x =" stay: the grader holds 5, x=5, 5\text{ cm} and 5^\circ for equal.
A list is one answer where the grader's own reader reads it. What could be read in two ways is dropped, not guessed.
"""

import re
from typing import NamedTuple

from selfdistill.grading.answers import BOX, closing_brace, last_box, plain_form
from selfdistill.grading.reading.compare import READ, readable

LONGEST = 300  # characters; longer ones are derivations


class Gold(NamedTuple):
    answer: str
    reason: str = ""  # why there is no answer


SEVERAL = "several answers"
CHOICE = "multiple choice"
WORDS = "words for an answer"
CUT_OFF = "a cut-off answer"

WRAPPED = re.compile(r"\$\$(.*)\$\$|\$(.*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\\boxed\s*\{(.*)\}", re.DOTALL)
DOLLAR = re.compile(r"(?<!\\)\$")
TEXT = r"\\(?:text|textbf|mathrm|mathbf)\s*\{"
LETTER = re.compile(rf"(?:{TEXT})?\s*\(?\s*([A-H])\s*\)?\s*\}}?\s*[.:]?")
LETTERS = re.compile(rf"(?:{TEXT})?\s*[A-H]{{2,8}}\s*\}}?")
LETTER_AND_VALUE = re.compile(
    rf"{TEXT}\s*(?:\([A-H]\)|[A-H][.):])[^{{}}]*\}}.*|\([A-H]\).*|[A-H][.:)](?!=).*", re.DOTALL
)
LIST = re.compile(
    r"\\(?:pm|mp|lor|vee|land|wedge)(?![a-zA-Z])|±|(?<![a-zA-Z\\])(?:or|and)(?![a-zA-Z])"
    r"|\\begin\s*\{(?:cases|array|align|aligned|gathered|split|dcases)\*?\}"
)
DOTS = re.compile(r"\\[cl]?dots|\\ddots|\.\.\.|…")
APPROXIMATE = re.compile(r"\\(?:approx|sim|simeq|doteq)(?![a-zA-Z])|≈")
THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
SPACED_THOUSANDS = re.compile(r",\s*\\!\s*(\d{3})(?!\d)")  # 11,\! 111 is a number and no list
UNIT = re.compile(r"(?:\\[ ,;:]|~|\s)*\\(?:text|mathrm)\s*\{([^{}]*)\}(?:\s*\^\s*(?:\{\d\}|\d))?\s*$")
NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+")
SCALE = re.compile(r"\b(?:hundred|thousand|million|billion|trillion|dozen|half|quarter|[ap]\.?\s?m)\b", re.IGNORECASE)
BARE_WORD = re.compile(
    r"yes|no|true|false|none|odd|even|dne|\\(?:(?:black)?square|qed|checkmark|heartsuit)", re.IGNORECASE
)
TIME_OF_DAY = re.compile(r"\d\s+[ap]\.?\s?m\.?", re.IGNORECASE)
# A formula that ends where something must follow.
OPEN_END = re.compile(
    r"(?:[=+*/^_<>-]|\\(?:[dt]?frac|sqrt|cdot|times|div|pm|mp|leq?|geq?|neq?|in|cup|cap|left)"
    r"|\\[dt]?frac\s*(?:\{[^{}]*\}|\d))$|(?<!\\)(?:\\\\)*\\$"
)
PAIRS = ((r"\\left(?![a-zA-Z])", r"\\right(?![a-zA-Z])"), (r"\\begin\s*\{", r"\\end\s*\{"), (r"[(\[]", r"[)\]]"))
OPENING, CLOSING = "([{", ")]}"


def read_gold(text: str, letters: bool = False) -> Gold:
    """`letters` keeps an answer that is nothing but the letter of a choice, or words."""
    answer = unwrapped(text)
    if not answer:
        return Gold("", "no answer")
    if len(answer) > LONGEST:
        return Gold("", "answer too long")
    if match := LETTER.fullmatch(answer):
        return Gold(match[1]) if letters else Gold("", CHOICE)
    if _is_cut_off(answer):
        return Gold("", CUT_OFF)
    reason = _objection(answer)
    if reason == SEVERAL and "\\begin" not in answer and readable(answer) == READ:
        return Gold(answer)
    gold = Gold("", reason) if reason else _without_text_around_a_number(answer)
    return Gold(_as_text(answer)) if letters and gold.reason == WORDS else gold


def _as_text(answer: str) -> str:
    """Bare words would be read as products of letters."""
    return f"\\text{{{answer}}}" if answer.replace(" ", "").isalpha() else answer


def unwrapped(text: str) -> str:
    """Without what stands around the whole. A text much too long is left as it is: its nesting may have no end."""
    text = text.strip()
    while len(text) <= 4 * LONGEST:
        shorter = text.rstrip(" \t\n.,;:") if not text.endswith(("...", "\\,", "\\;", "\\:", "\\.")) else text
        if (match := WRAPPED.fullmatch(shorter)) and _is_one_wrapping(shorter, match):
            shorter = next(part for part in match.groups() if part is not None)
        shorter = shorter.strip().replace("\\mbox{", "\\text{").replace("\\textrm{", "\\text{")
        shorter = SPACED_THOUSANDS.sub(r",\\!\1", shorter)
        if shorter == text:
            break
        text = shorter
    return text


def boxes(text: str) -> list[str]:
    """The contents of all boxes; none where one of them does not close, for then nothing after it is certain."""
    found: list[str] = []
    position = 0
    while opening := BOX.search(text, position):
        end = closing_brace(text, opening.end())
        if end is None:
            return []
        content = text[opening.end() : end].strip(" \n")  # a form feed may be what is left of \frac, and is looked for
        found.append((last_box(content) or "") if BOX.search(content) else content)
        position = end + 1
    return found


def boxed_answer(solution: str) -> Gold:
    """The answer that a solution boxes. Boxes with different contents are parts of a question, or steps: who knows which."""
    found = boxes(solution.replace("\x08oxed", "\\boxed"))
    if not found:
        return Gold("", "no boxed answer")
    return Gold("", SEVERAL) if len({plain_form(content) for content in found}) > 1 else Gold(found[-1])


def _is_one_wrapping(text: str, match: re.Match[str]) -> bool:
    r"""$a$ and $b$ begin and end like one formula, \boxed{1}, \boxed{2} like one box."""
    inner = next(part for part in match.groups() if part is not None)
    if text.startswith("\\boxed"):
        return closing_brace(text, text.index("{") + 1) == len(text) - 1
    return DOLLAR.search(inner) is None and "\\(" not in inner and "\\[" not in inner


def _is_cut_off(answer: str) -> bool:
    """Braces, brackets or dollars that lack their other half, or an end that wants more. [0, 1) has both its halves."""
    braces = re.sub(r"\\.", "", answer)
    depth = 0
    for character in braces:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return True
    halves = any(len(re.findall(first, answer)) != len(re.findall(second, answer)) for first, second in PAIRS)
    return depth != 0 or halves or len(DOLLAR.findall(answer)) % 2 == 1 or OPEN_END.search(answer) is not None


def _objection(answer: str) -> str:
    if LETTERS.fullmatch(answer) or LETTER_AND_VALUE.fullmatch(answer):
        return CHOICE
    if DOLLAR.search(answer):
        return "prose around formulas"
    if LIST.search(answer):
        return SEVERAL
    if DOTS.search(answer):
        return "dots for an answer"
    if APPROXIMATE.search(answer):
        return "an approximate answer"
    if _parts_at_top(THOUSANDS.sub("0", plain_form(answer))):
        return SEVERAL
    if len(re.findall(r"(?<![<>!:\\])=", answer)) > 1:
        return "a chain of equations"
    return WORDS if BARE_WORD.fullmatch(answer) or TIME_OF_DAY.search(answer) else ""


def _parts_at_top(text: str) -> bool:
    """Commas or semicolons outside of every bracket, or brackets that do not match."""
    depth = 0
    for position, character in enumerate(text):
        if character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character in ",;" and depth == 0 and text[position - 1 : position] != "\\":
            return True
        if depth < 0:
            return True
    return depth != 0


def _without_text_around_a_number(answer: str) -> Gold:
    unit = UNIT.search(answer)
    if unit is None:
        return Gold("", WORDS) if "\\text" in answer else Gold(answer)
    core = answer[: unit.start()].strip()
    if not core:
        inner = unit[1].strip()
        if NUMBER.fullmatch(inner):
            return Gold(inner)
        return Gold(answer) if inner in ("e", "i") else Gold("", WORDS)  # the numbers e and i, set upright
    if "\\text" in core:
        return Gold("", WORDS)
    if SCALE.search(unit[1]):
        return Gold("", "a unit that changes the number")
    return Gold(answer)
