"""From a text in its canonical writing to tokens. Words are told from letters here: a run of letters that is a word of a
language is text, one that is not is a product."""

import re
from typing import NamedTuple

from selfdistill.grading.answers import closing_brace
from selfdistill.grading.reading.units import unit_of, words


class Unread(Exception):
    """This reader does not know the notation; it may mean something."""


class NotOneObject(Exception):
    """The text is no mathematical object: prose, an equality that does not hold, an answer and another one."""


class Token(NamedTuple):
    kind: str  # number | repeating | letter | command | text | sign
    text: str
    spaced: bool = False  # a space stands before it


FUNCTIONS = words("""
sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot ln log lg exp max min gcd lcm sqrt
""")
NAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "pi": "pi", "infinity": "infty", "infty": "infty", "inf": "infty",
         "oo": "infty", "theta": "theta", "alpha": "alpha", "beta": "beta", "gamma": "gamma", "lambda": "lambda", "phi": "phi",
         "omega": "omega", "sigma": "sigma", "binom": "binom", "frac": "frac", "floor": "floor", "ceil": "ceil", "abs": "abs",
         "tg": "tan", "ctg": "cot", "arctg": "arctan"}  # fmt: skip
# Runs of two and three letters that are words and no products.
SHORT_WORDS = words("""
or and not no yes if is in to of at by on as an the for all any odd one two six ten non but its it we so be are
was he she you per sum day km cm mm kg mg ml dm hr min sec mph mi ft yd lb oz am pm gal mon tue wed thu fri sat
sun dne pct
""")
TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|mbox|hbox|mathrm|mathsf|mathtt|operatorname\*?|emph"
                  r"|mathbf|mathit|boldsymbol|bm|bold|pmb)\s*\{")  # fmt: skip
MATHS = re.compile(r"\\(?:mathbf|mathit|textit|emph|boldsymbol|bm|bold|pmb)\s*\{")
COLOURED = re.compile(r"\\(?:color|textcolor)\s*\{[^{}]*\}")
REPEATING = re.compile(r"(\d*\.\d*)\s*\\(?:overline|bar|dot)\s*(?:\{(\d+)\}|(\d))")
NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?")
# Inside brackets a comma separates, but no number is written 000 or 050.
THOUSANDS_IN_BRACKETS = re.compile(r"\d{1,3}(?:,\d{3})*,0\d\d(?:,\d{3})*(?![\d,])")
COMMAND = re.compile(r"\\([a-zA-Z]+)")
ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{([a-zA-Z]+)\*?\}")
WORD = re.compile(r"[a-zA-Z]+(?:[-'][a-zA-Z]{2,})*")
NUMBER_AND_WORDS = re.compile(r"[\d.,]*\d\s+[A-Za-z][A-Za-z ]*")
WORDS_IN_TEXT = re.compile(r"[a-zA-Z]{2,}")
OPENING, CLOSING = frozenset({"(", "[", r"\{"}), frozenset({")", "]", r"\}"})
LONGEST = 2000  # tokens


def tokens_of(text: str) -> list[Token]:
    found: list[Token] = []
    if re.fullmatch(r"[A-Z]{2,}", text):  # an order of letters, and no product
        return [Token("text", text)]
    if re.fullmatch(r"[A-Za-z]{2,}", text) and text.lower() in SHORT_WORDS:
        return [Token("text", text)]
    _scan(COLOURED.sub("", text), found)
    if len(found) > LONGEST:
        raise Unread("too long")
    return found


def _scan(text: str, found: list[Token]) -> None:
    position, depth, spaced = 0, 0, False
    while position < len(text):
        rest = text[position]
        if rest.isspace():
            spaced, position = True, position + 1
            continue
        if match := TEXT.match(text, position):
            end = closing_brace(text, match.end())
            if end is None:
                raise Unread("a brace does not close")
            _words(
                text[match.end() : end], bool(MATHS.match(text, position)), "operatorname" in match[0], spaced, found
            )
            position, spaced = end + 1, False
            continue
        token, position = _next(text, position, depth, spaced, found)
        if token is not None:
            depth += (token.text in OPENING) - (token.text in CLOSING)
            found.append(token)
        spaced = False


def _next(text: str, position: int, depth: int, spaced: bool, found: list[Token]) -> tuple[Token | None, int]:
    if match := REPEATING.match(text, position):
        return Token("repeating", f"{match[1]}|{match[2] or match[3]}", spaced), match.end()
    thousands = THOUSANDS_IN_BRACKETS if depth > 0 else THOUSANDS
    if match := thousands.match(text, position) or NUMBER.match(text, position):
        return Token("number", match[0].replace(",", ""), spaced), match.end()
    if match := ENVIRONMENT.match(text, position):
        side = "begin" if match[0].startswith("\\begin") else "end"
        return Token("sign", f"{side} {match[1]}", spaced), match.end()
    if match := COMMAND.match(text, position):
        return Token("command", match[1], spaced), match.end()
    if text.startswith("\\\\", position):
        return Token("sign", "\\\\", spaced), position + 2
    if text[position] == "\\" and position + 1 < len(text) and text[position + 1] in "{}|":
        sign = text[position : position + 2]
        return Token("sign", "|" if sign == r"\|" else sign, spaced), position + 2
    if text[position].isascii() and text[position].isalpha():
        match = WORD.match(text, position)
        assert match is not None
        _bare_word(match[0], spaced, found)
        return None, match.end()
    if text[position] == "\\":
        raise Unread("an unknown command")
    if text[position] == "?":
        raise NotOneObject("a question")
    return Token("sign", text[position], spaced), position + 1


def _bare_word(word: str, spaced: bool, found: list[Token]) -> None:
    lower = word.lower()
    if len(word) == 1:
        found.append(Token("letter", word, spaced))
    elif lower in FUNCTIONS and not (lower in SHORT_WORDS and found and found[-1].kind == "number"):
        found.append(Token("command", lower, spaced))
    elif word in NAMED:
        found.append(Token("command", NAMED[word], spaced))
    elif (word.isupper() and len(word) <= 4) or (
        len(word) <= 3 and lower not in SHORT_WORDS and "-" not in word and "'" not in word
    ):  # points: NO is N times O where it is not alone
        found.extend(Token("letter", letter, spaced and not place) for place, letter in enumerate(word))
    elif (match := re.fullmatch(r"(sqrt|pi)([a-z]?)", word)) is not None:
        found.append(Token("command", match[1], spaced))
        found.extend(Token("letter", letter) for letter in match[2])
    else:
        found.append(Token("text", word, spaced))


def _words(content: str, maths: bool, operator: bool, spaced: bool, found: list[Token]) -> None:
    """What stands in \\text{} and its kin: words are text, and the rest is read as if it stood outside."""
    bare = content.strip()
    if not bare:
        return
    after_number = bool(found) and (found[-1].kind == "number" or found[-1].text in (")", "}", "!"))
    if after_number and not maths and bare not in ("e", "i", "d") and unit_of(bare) is not None:
        found.append(Token("text", bare, spaced))
    elif operator and bare.lower() in FUNCTIONS | NAMED.keys():
        found.append(Token("command", NAMED.get(bare.lower(), bare.lower()), spaced))
    elif maths or NUMBER_AND_WORDS.fullmatch(bare) or not WORDS_IN_TEXT.search(re.sub(r"\\[a-zA-Z]+", "", bare)):
        _scan(" " * spaced + bare, found)
    elif bare.lower() in FUNCTIONS and bare.lower() not in SHORT_WORDS:
        found.append(Token("command", bare.lower(), spaced))
    else:
        found.append(Token("text", bare, spaced))
