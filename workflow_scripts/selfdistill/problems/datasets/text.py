"""What a problem's text must not hold: control characters, LaTeX that cannot be read, the answers of other problems."""

import re

# \ud800-\udfff alone are no characters and cannot be written as UTF-8.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")

# U+2028 and U+2029 are newlines to whoever cuts a file of JSON Lines by the rules of Unicode.
NEWLINE = re.compile(r"\r\n?|[\u2028\u2029]")

# Relay and team rounds hand an answer on: what the text asks for depends on a number that stands elsewhere.
NUMBERED = r"(?:problem|question|exercise|item)\s*(?:#|no\.?|number)?\s*\d+"
BEFORE = r"(?:previous|preceding|last|prior)\s+(?:problem|question|exercise|part)"
OTHER_ANSWERS = re.compile(
    r"\bT\s*=\s*T\s*N\s*Y\s*W\s*R\b|\bTNYWR\b|\b(?:number|answer|value)s?\s+(?:that\s+)?you\s+(?:will\s+)?receive\b"
    rf"|\b(?:answers?|results?|solutions?|responses?)\s+(?:to|of|from|in|obtained in)\s+(?:the\s+)?(?:{NUMBERED}|{BEFORE})\b"
    rf"|\b(?:as|found|defined|described|computed|calculated|obtained|used|continued?)\s+(?:in|from)\s+(?:the\s+)?(?:{NUMBERED}|{BEFORE})\b"
    rf"|\$[^$]{{1,20}}\$\s+(?:in|from|of)\s+(?:{NUMBERED}|{BEFORE})\b|\brefer(?:ring)?\s+(?:back\s+)?to\s+(?:{NUMBERED})"
    rf"|\bin\s+the\s+{BEFORE}\b",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """The text with nothing but newlines and tabs beside its printable characters."""
    return CONTROL.sub("", NEWLINE.sub("\n", text)).strip()


def speaks_of_other_answers(text: str) -> bool:
    """Whether it builds on the answer of another problem. "Let T = 8" stands alone; "Let T = TNYWR" does not."""
    return OTHER_ANSWERS.search(text) is not None
