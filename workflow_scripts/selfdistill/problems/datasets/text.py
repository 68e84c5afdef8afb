"""What a problem's text must not hold: control characters, broken LaTeX, pictures, links. The text is not trusted."""

import re

# \ud800-\udfff alone are no characters and cannot be written as UTF-8.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
# A LaTeX command that a careless program read as an escape: \frac as a form feed and "rac". To drop the form feed
# alone would leave a problem that looks whole and is not.
EATEN_COMMAND = re.compile(
    r"\x07(?:lpha|pprox|ngle)|\x08(?:oxed|inom|eta|egin|ar\b|f\b)|\x0b(?:ec|ert|arphi)|\x0c(?:rac|orall|loor)"
    r"|\r(?:ight|ho\b|angle|m\b)|\t(?:ext\b|imes\b|heta\b|frac|an\b|riangle)"
)
PICTURE = re.compile(
    r"\[/?asy\]|\\includegraphics|\\begin\s*\{(?:tikzpicture|asy|picture|figure)\}|!\[|<\s*(?:img|image|svg|figure)|\[img"
    r"|https?://|www\.|\.(?:png|jpe?g|gif|svg)\b",
    re.IGNORECASE,
)
POINTS_AT_A_PICTURE = re.compile(
    r"\b(?:shown|given|depicted|illustrated|pictured|drawn|seen|as)\s+(?:\w+\s+)?(?:in|by|on)\s+(?:(?:the|this)\s+)?"
    r"(?:\w+\s+)?(?:figure|diagram|picture|image|chart|graph|drawing|sketch)"
    r"|\b(?:see|refer to|consider)\s+(?:the\s+)?(?:\w+\s+)?(?:figure|diagram|picture|drawing)\b"
    r"|\bfig(?:ure)?\.?\s*\d"
    r"|\b(?:in|from)\s+the\s+(?:figure|diagram|picture|drawing)\b"
    r"|\b(?:figure|diagram|picture|drawing|image|graph)\s+(?:below|above|shows|at right|on the (?:right|left))"
    r"|\b(?:as|are|is)\s+shown\s*(?:below|above|\.|,|:|$)"
    r"|\b(?:shown|pictured|depicted)\s+(?:below|above)\b",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """The text with nothing but newlines and tabs beside its printable characters."""
    return CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def is_broken(text: str) -> bool:
    return EATEN_COMMAND.search(text) is not None


def needs_a_picture(text: str) -> bool:
    """A picture or a link stands in it, or it speaks of one that did not come along."""
    return PICTURE.search(text) is not None or POINTS_AT_A_PICTURE.search(text) is not None
