"""When are two problems the same? When their normalised texts are; the hash of that text is the problem's name."""

import hashlib
import re
import unicodedata

from selfdistill.grading.answers import SPACING

# NFKC would turn x² into x2; as ^2 it stays a power.
SUPERSCRIPTS = str.maketrans({superscript: f"^{digit}" for digit, superscript in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})
WHITESPACE = re.compile(r"\s+")
WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")


def normalised(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(SUPERSCRIPTS))
    return WHITESPACE.sub(" ", SPACING.sub(" ", text)).strip().casefold()


def problem_id(text: str) -> str:
    return hashlib.sha256(normalised(text).encode()).hexdigest()[:16]


def words(text: str) -> list[str]:
    """Words and numbers, in order; operators and punctuation are not words."""
    return WORD.findall(normalised(text))
