r"""LaTeX whose backslashes a careless program has eaten: \frac is a form feed and "rac", \times is a tab and "imes".

What has one reading is mended. A tail that is a word as well (a tab and "an", a return and "angle") is a command only
inside a formula; a control character in a formula that begins no known command cannot be mended.
"""

import re

from selfdistill.problems.datasets.picture_words import SOURCE

# The first letters that stood after the backslash, by what they became.
LETTERS = {"\x07": "a", "\x08": "b", "\t": "t", "\n": "n", "\x0b": "v", "\x0c": "f", "\r": "r"}
TAILS = {
    "\x07": "lpha|pprox|ngle|rctan|rcsin|rccos|st(?![a-z])|lign|begin",
    "\x08": "oxed|inom|eta|egin|ar|f|mod|ig[lr]?|ullet|ullseye",
    "\t": "imes|heta|ext(?:bf|it|rm|tt)?(?= ?\\{)|frac|riangle(?:left|right)?|ilde|herefore|binom",
    "\n": "eq|abla|otin|ewline",
    "\x0b": "ec|ert|arphi|arepsilon|artheta|dots|ee",
    "\x0c": "rac|orall|loor|box",
    "\r": "ight(?:arrow)?|ho|floor|ceil|angle|brace|vert",
}
# These are English words too, or single letters, and stand for a command only where a formula is open.
IN_A_FORMULA = {"\t": "an(?:h)?|au|o", "\r": "m|angle|floor|ceil|brace|vert", "\n": "ot|u|eg|mid"}
WORDS_TOO = {"\r": ("angle", "floor", "ceil", "brace", "vert")}

EATEN = re.compile(
    "|".join(f"{re.escape(code)}(?:{tails})(?![a-z])" for code, tails in TAILS.items())
    + "|"
    + "|".join(f"{re.escape(code)}(?:{tails})(?![a-zA-Z])" for code, tails in IN_A_FORMULA.items())
)
LOST_BACKSLASH = re.compile(r"(?<![\\a-zA-Z])d?frac(?=\{)")
UNKNOWN = re.compile(r"[\x07\x08\x0b\x0c][a-zA-Z]")
DELIMITER = re.compile(r"(?<!\\)\$\$?|\\[\[\]()]")


def mended(text: str, formula: bool = False) -> str:
    """The text with every eaten command that has one reading. `formula` is for a text that is one, such as an answer."""
    if not EATEN.search(text) and not LOST_BACKSLASH.search(text):
        return text
    inside = _formulas(text, formula)
    sources = [match.span() for match in SOURCE.finditer(text)]

    def mend(match: re.Match[str]) -> str:
        if _is_within(match.start(), sources):
            return match[0]
        letter, tail = LETTERS[match[0][0]], match[0][1:]
        if _needs_a_formula(match[0]) and not _is_within(match.start(), inside):
            return match[0]
        return f"\\{letter}{tail}"

    text = EATEN.sub(mend, text)
    inside = _formulas(text, formula)
    return LOST_BACKSLASH.sub(lambda match: ("\\" if _is_within(match.start(), inside) else "") + match[0], text)


def is_broken(text: str, formula: bool = False) -> bool:
    """Whether a formula holds what begins no command that is known."""
    found = [match.start() for match in UNKNOWN.finditer(text)]
    return bool(found) and any(_is_within(position, _formulas(text, formula)) for position in found)


def _needs_a_formula(eaten: str) -> bool:
    code, tail = eaten[0], eaten[1:]
    short = IN_A_FORMULA.get(code)
    return tail in WORDS_TOO.get(code, ()) or (short is not None and re.fullmatch(short, tail) is not None)


def _formulas(text: str, formula: bool) -> list[tuple[int, int]]:
    r"""Where formulas stand: between $ and $, \( and \), \[ and \]. One that never closes goes to the end."""
    if formula:
        return [(0, len(text))]
    spans: list[tuple[int, int]] = []
    opened: tuple[int, str] | None = None
    for match in DELIMITER.finditer(text):
        if opened is None:
            if match[0] not in ("\\)", "\\]"):
                opened = match.end(), {"\\(": "\\)", "\\[": "\\]"}.get(match[0], match[0])
        elif match[0] == opened[1]:
            spans.append((opened[0], match.start()))
            opened = None
    if opened is not None:
        spans.append((opened[0], len(text)))
    return spans


def _is_within(position: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= position < end for start, end in spans)
