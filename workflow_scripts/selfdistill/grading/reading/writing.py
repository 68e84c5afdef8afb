r"""One way of writing for what is written in many: Unicode in TeX, no commands of size and space, numbers in one piece."""

import re
import unicodedata
from collections.abc import Callable

from selfdistill.grading.answers import BOX, closing_brace, without_full_stop

SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ"
SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉₊₋₍₎"
RAISED = dict(zip(SUPERSCRIPTS, "0123456789+-()n", strict=True))
LOWERED = dict(zip(SUBSCRIPTS, "0123456789+-()", strict=True))
RAISED_RUN = re.compile(f"[{SUPERSCRIPTS}]+")
LOWERED_RUN = re.compile(f"[{SUBSCRIPTS}]+")
# Signs of Unicode and what TeX calls them.
SIGNS = {
    "−": "-", "–": "-", "—": "-", "∕": "/", "⁄": "/", "÷": r"\div ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
    "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "±": r"\pm ", "∓": r"\mp ", "√": r"\sqrt ", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]",
    "≤": r"\le ", "⩽": r"\le ", "≦": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≧": r"\ge ", "≠": r"\ne ", "∞": r"\infty ",
    "∪": r"\cup ", "∩": r"\cap ", "∖": r"\setminus ", "∈": r"\in ", "∅": r"\emptyset ", "°": r"^\circ ", "º": r"^\circ ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "∣": "|",
    "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "′": "'", "’": "'", "…": r"\dots ",
    "⋯": r"\dots ", "⟨": r"\langle ", "⟩": r"\rangle ", "〈": r"\langle ", "〉": r"\rangle ", "∠": r"\angle ",
    "△": r"\triangle ", "→": r"\to ", "≡": r"\equiv ", "≈": r"\approx ", "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ",
    "、": ",", "。": ".", "“": '"', "”": '"', "∧": r"\land ", "∨": r"\lor ",
}  # fmt: skip
GREEK_LETTERS = "αβγδεζηθικλμνξπρσςτυφχψωΓΔΘΛΞΠΣΥΦΨΩϕϵϑ"
GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma sigma tau upsilon phi chi psi omega
Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega phi epsilon theta
"""
GREEK = {letter: f"\\{name} " for letter, name in zip(GREEK_LETTERS, GREEK_NAMES.split(), strict=True)}
UNICODE = str.maketrans(SIGNS | GREEK)
VULGAR = re.compile("[¼-¾⅐-⅞]")

END = r"(?![a-zA-Z])"
GONE = re.compile(
    rf"\\(?:left|right|middle|mleft|mright|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|mathop|rm|bf|it"
    rf"|boldmath|ensuremath|allowbreak|nobreak|strut|phantom\s*\{{[^{{}}]*\}}|!){END}|\\!"
)
EMPTY_DELIMITER = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)\s*\.")
SPACES = re.compile(
    rf"(?<!\\)\\[,;:> ]|\\(?:enspace|thinspace|medspace|thickspace|space|hfill|nonumber){END}|~"
    r"|\\[hv]space\*?\s*\{[^{}]*\}|\\kern\s*-?[\d.]+\s*[a-z]{2}"
)
SAME_COMMANDS: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(rf"\\[dtc]frac{END}"), r"\\frac"),
    (re.compile(rf"\\[dt]binom{END}"), r"\\binom"),
    (re.compile(rf"\\(?:leq|leqslant|leqq){END}"), r"\\le "),
    (re.compile(rf"\\(?:geq|geqslant|geqq){END}"), r"\\ge "),
    (re.compile(rf"\\(?:neq|not\s*=){END}"), r"\\ne "),
    (re.compile(rf"\\lt{END}"), "<"),
    (re.compile(rf"\\gt{END}"), ">"),
    (re.compile(rf"\\varnothing{END}"), r"\\emptyset "),
    (re.compile(rf"\\var(epsilon|phi|theta|rho|pi|sigma|kappa){END}"), r"\\\1 "),
    (re.compile(rf"\\(?:l?dots|cdots|dotsc|dotsb|dotsm|hdots){END}|\.\.\.+"), r"\\dots "),
    (re.compile(rf"\\(?:colon){END}"), ":"),
    (re.compile(rf"\\(?:backslash|smallsetminus){END}"), r"\\setminus "),
    (re.compile(rf"\\l(?:v|V)ert{END}|\\r(?:v|V)ert{END}|\\(?:v|V)ert{END}"), "|"),
    (re.compile(rf"\\(?:lbrace|rbrace){END}"), lambda found: r"\{" if "lb" in found[0] else r"\}"),
    (re.compile(rf"\\(?:lbrack|rbrack){END}"), lambda found: "[" if "lb" in found[0] else "]"),
    (re.compile(rf"\\(?:degree|textdegree){END}"), r"^\\circ "),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ"), r"\\degree "),
    (re.compile(r"\^\s*\{\s*\\prime\s*\}|\^\s*\\prime"), "'"),
    (re.compile(rf"\\(?:R|Z|N|Q|C){END}"), lambda found: rf"\mathbb{{{found[0][-1]}}}"),
    (re.compile(rf"\\qquad{END}"), r"\\quad "),
    (re.compile(rf"\\big(cup|cap){END}"), r"\\\1 "),
    (re.compile(r"\\(?:underline|uline|tag)(?=\s*\{)"), ""),
    (re.compile(rf"\\(?:bar|overarc){END}"), r"\\overline"),
    (re.compile(rf"\\wide(hat|tilde){END}"), r"\\\1"),
    (re.compile(rf"\\overrightarrow{END}"), r"\\vec"),
    (re.compile(r"(?<=\d)\s*\^\s*\{?\s*o\s*\}?(?![a-zA-Z])"), r"\\degree "),
    (re.compile(r"\b([apAP])\.\s?([mM])\b\.?"), r"\1\2"),
    (re.compile(r"(?<=\})\s*-\s*(?=\\\{)"), r"\\setminus "),
    (re.compile(r"\*\*"), "^"),
    (re.compile("<="), r"\\le "),
    (re.compile(">="), r"\\ge "),
    (re.compile("!="), r"\\ne "),
    (re.compile(r"(?<!\\)\$|(?<!\\)\\[()\[\]]"), " "),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\_"), "_"),
    (re.compile(r"\\&|\\#"), " "),
]  # fmt: skip
THOUSANDS_SPACED = re.compile(
    r"(?<![\d.,])\d{1,3}(?: +\d{3})+(?![\d.]*\d)(?!\s*/)|(?<![\d.,])\d{1,3}(?: +\d{3})+(?=\.\d)"
)
COMMA_AND_THIN = re.compile(r"(?<=\d)\s*,\s*\\[!,;:]\s*(?=\d{3}(?!\d))")
COMMA_IN_BRACES = re.compile(r"(?<=\d)\s*\{\s*,\s*\}\s*(?=(\d+))")
ORDINAL = re.compile(
    r"(?<=\d)\s*\^?\s*\{?\s*\\(?:text|mathrm|textsuperscript|rm)\s*\{?\s*(?:th|st|nd|rd)\b\s*\}?\s*\}?|(?<=\d)(?:th|st|nd|rd)\b"
)
CURRENCIES = {r"\$": "dollars", "€": "euros", "£": "pounds", "¥": "yen"}
CURRENCY = re.compile(r"\\\$|[€£¥]")
DOTTED = re.compile(r"\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?")
CELSIUS = re.compile(r"\\degree\s*(?:\\(?:mathrm|text)\s*\{\s*[CF]\s*\}|[CF](?![a-zA-Z]))")
# ]1, 2[ is (1, 2).
OPEN_LEFT = re.compile(r"(?:^|(?<=\s)|(?<=,))\](\s*[^][(){},;]+[,;][^][(){},;]+)(?=[][])")
OPEN_RIGHT = re.compile(r"([\[(]\s*[^][(){},;]+[,;][^][(){},;]+)\[")
DOUBLED = re.compile(r"\\\\(?=[a-zA-Z])")  # of a text that a program has quoted
LINES = re.compile(r"\$\s*\n+\s*\$")
SPACE = re.compile(r"\s+")


def canonical(text: str) -> str:
    r"""The text in TeX without looks: `½` is \frac{1}{2}, `x²` is x^{2}, `1\,000` is 1000, `\bigl(` is (."""
    text = without_box(text.strip())
    if "\\begin" not in text:
        text = DOUBLED.sub(r"\\", text)
    text = CURRENCY.sub(lambda sign: rf"\text{{{CURRENCIES[sign[0]]}}}", text)
    text = RAISED_RUN.sub(lambda run: "^{" + "".join(RAISED[sign] for sign in run[0]) + "}", text)
    text = LOWERED_RUN.sub(lambda run: "_{" + "".join(LOWERED[sign] for sign in run[0]) + "}", text)
    text = VULGAR.sub(_fraction, text)
    text = unicodedata.normalize("NFKC", text.translate(UNICODE)).translate(UNICODE)
    text = ORDINAL.sub("", LINES.sub(", ", text))
    text = EMPTY_DELIMITER.sub(" ", text)
    text = COMMA_AND_THIN.sub(",", text)
    text = GONE.sub("", text)
    text = COMMA_IN_BRACES.sub(lambda found: "," if len(found[1]) == 3 else ".", text)
    text = SPACES.sub(" ", text)
    for pattern, replacement in SAME_COMMANDS:
        text = pattern.sub(replacement, text)
    text = CELSIUS.sub(r"\\degree ", DOTTED.sub(r"\\overline{\1\2\3}", SPACE.sub(" ", text)))
    text = OPEN_RIGHT.sub(r"\1)", OPEN_LEFT.sub(r"(\1", text.strip()))
    text = THOUSANDS_SPACED.sub(lambda found: found[0].replace(" ", ""), text)
    text = text.strip()
    return without_full_stop(text.strip().removesuffix("\\").strip())


def without_box(text: str) -> str:
    while (box := BOX.match(text)) and closing_brace(text, box.end()) == len(text) - 1:
        text = text[box.end() : -1].strip()
    return text


def _fraction(sign: re.Match[str]) -> str:
    over, _, under = unicodedata.normalize("NFKC", sign[0]).partition("⁄")
    return rf"\frac{{{over}}}{{{under}}}"
