r"""The answer that stands in another format than the asked one: a lenient look at what counts as no answer.

It says how much of a model's failure is form and how much is not knowing. Nothing that is found here is ever counted as
right. A box is taken before what is said to be the answer, that before the last number, and of several the last.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from selfdistill.grading.answers import CLOSE_THINK, is_placeholder, last_box, without_delimiters
from selfdistill.grading.verify import LONGEST
from selfdistill.study.grading import AnswerFormat
from selfdistill.tables.endings import OtherFormat

# Each holds to the end of its line. Bold and headings are looked past.
ANSWER_LINE = re.compile(r"\banswer\W{0,4}:\W{0,3}?[ \t]*([^\n]+)", re.IGNORECASE)
THE_ANSWER_IS = re.compile(r"\banswer\s+(?:is|=)\s*:?[ \t]*([^\n]+)", re.IGNORECASE)
HASHES = re.compile(r"####[ \t]*([^\n]+)")
SAID: dict[OtherFormat, re.Pattern[str]] = {"answer line": ANSWER_LINE, "the answer is": THE_ANSWER_IS, "####": HASHES}
NUMBER = re.compile(r"(?<![\w.])[-\u2212]?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
END_OF_SENTENCE = re.compile(r"[.!?](?=\s|$)")
BOLD = re.compile(r"\*\*|__")
WORD = re.compile(r"[A-Za-z]{2,}")
MOST_WORDS = 3  # "18 dollars per day" is read as it stands; of a longer sentence its last number


class OtherAnswer(NamedTuple):
    format: OtherFormat
    content: str


def other_answer(text: str, asked: AnswerFormat, think: bool) -> OtherAnswer | None:
    """Of a completion that ended by itself and gave no answer in the asked format; None where nothing is stated."""
    _, closed, after = text.rpartition(CLOSE_THINK)
    final = after if closed else text
    in_thought = think and not closed
    for name, content in _candidates(BOLD.sub("", final), asked, in_thought):
        stripped = without_delimiters(content)
        if not is_placeholder(stripped) and len(stripped) <= LONGEST:
            return OtherAnswer(name, stripped)
    return None


def _candidates(text: str, asked: AnswerFormat, in_thought: bool) -> Iterator[tuple[OtherFormat, str]]:
    """The best first: a box, then what is said to be the answer, the last first, then the last number."""
    if asked != "boxed" or in_thought:
        yield "box in the thought" if in_thought else "box", last_box(text) or ""
    said = [(match.start(), name, match[1]) for name, pattern in SAID.items() for match in pattern.finditer(text)]
    for _, name, content in sorted(said, reverse=True):
        yield name, content if name == "####" else _stated(content)
    yield "last number", _last(NUMBER, text)


def _last(pattern: re.Pattern[str], text: str) -> str:
    found = ""
    for match in pattern.finditer(text):
        found = match[0]
    return found


def _stated(text: str) -> str:
    """Of what follows the words "the answer is": the box in it, else its first sentence, else the number in its prose."""
    if box := last_box(text):
        return box
    sentence = END_OF_SENTENCE.split(text, maxsplit=1)[0]
    is_prose = "\\" not in sentence and len(WORD.findall(sentence)) > MOST_WORDS
    return _last(NUMBER, sentence) or sentence if is_prose else sentence
