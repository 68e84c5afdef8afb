"""A judge's reply as counts, or why it is none. What is repaired changes no number; what would have to be guessed is refused.

Repaired: a thought before the object, words or a code fence around it, commas before a closing bracket, whole numbers
written as text or with a decimal point. Refused: a reply that was cut, two objects that say different things or of which
one says something of a kind that is no count, a kind that is missing or named twice, and any value that is not a whole
number of 0 or more. The form that was asked for says nothing of a kind, and what names none is text.
"""

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

from selfdistill.annotation.contract import STOPPED
from selfdistill.grading.answers import CLOSE_THINK, OPEN_THINK
from selfdistill.tables import words

MOST = 10**6  # of one kind in one answer; more is no count
WHOLE = re.compile(r"\d{1,7}(\.0+)?")
IN_ORDER = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)


class Parse(NamedTuple):
    """`detail` says what was repaired or why the reply was refused; nothing where it is as asked."""

    parse: str
    counts: dict[str, int] | None
    detail: str | None

    @property
    def judged(self) -> int | None:
        return None if self.counts is None else sum(self.counts.values())


class NoCounts(ValueError):
    """Why an object holds no counts."""


def refused(why: str) -> Parse:
    return Parse(words.REFUSED_REPLY, None, why)


def read_reply(reply: str, finish_reason: str, kinds: Collection[str]) -> Parse:
    if finish_reason != STOPPED:
        return refused(f"the reply did not end by itself ({finish_reason})")
    thought, closed, said = reply.rpartition(CLOSE_THINK)
    if not closed and OPEN_THINK in said:
        return refused("the thought is not closed")
    repairs = ["a thought before it"] if thought.strip() else []
    texts, unclosed = objects_in(said)
    if not texts:
        return refused("it holds no JSON object that closes")
    if said.strip() != texts[0]:
        repairs.append("text around it")
    found: dict[str, dict[str, int]] = {}
    failures, rivals = [], ["it does not close"] if says_of_a_kind(unclosed, kinds) else []
    for text in texts:
        try:
            counts, mended = read_object(text, kinds)
        except NoCounts as error:
            failures.append(str(error))
            rivals += [str(error)] if says_of_a_kind(text, kinds) else []
        else:
            found[json.dumps(counts, sort_keys=True)] = counts
            repairs += mended
    if not found:
        return refused(failures[-1])
    if rivals:
        return refused(f"an object beside the one that is read names a kind and holds no counts ({rivals[0]})")
    if len(found) > 1:
        return refused("it holds objects that say different things")
    (counts,) = found.values()
    repairs = list(dict.fromkeys(repairs))
    return Parse(words.REPAIRED if repairs else words.AS_ASKED, counts, "; ".join(repairs) or None)


def read_object(text: str, kinds: Collection[str]) -> tuple[dict[str, int], list[str]]:
    """The counts of one JSON object, and what was mended to read them."""
    repairs = []
    try:
        content = loaded(text)
    except json.JSONDecodeError:
        mended = IN_ORDER.sub(lambda found: found[0] if found[0] != "," else "", text)
        try:
            content = loaded(mended)
        except json.JSONDecodeError as error:
            raise NoCounts(f"it is no JSON ({error.msg} at character {error.pos})") from None
        repairs.append("commas before a closing bracket")
    if lacking := [kind for kind in kinds if kind not in content]:
        raise NoCounts(f"it lacks {', '.join(lacking)}")
    counts = {kind: whole_number(kind, content[kind]) for kind in kinds}
    if any(type(content[kind]) is not int for kind in kinds):
        repairs.append("whole numbers written otherwise")
    return counts, repairs


def says_of_a_kind(text: str, kinds: Collection[str]) -> bool:
    """Whether something stands after the name of a kind; the form that was asked for has dots there."""
    names = "|".join(map(re.escape, kinds))
    return re.search(rf"(?<!\w)({names})[\"']?\s*:(?!\s*(…|\.\.\.))", text) is not None


def whole_number(kind: str, value: Any) -> int:
    if isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or not 0 <= value <= MOST:
        raise NoCounts(f"{kind} is {shown(value)}, and a count is a whole number of 0 or more")
    if value != int(value):
        raise NoCounts(f"{kind} is {shown(value)}, and a count is whole")
    return int(value)


def loaded(text: str) -> dict[str, Any]:
    """An object; one that names a key twice says two things of it."""

    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            raise NoCounts("it names a key twice")
        return content

    try:
        content: dict[str, Any] = json.loads(text, object_pairs_hook=each_once)
    except RecursionError:
        raise NoCounts("it is nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # digits beyond what Python turns into a number
        raise NoCounts(str(error)) from None
    return content


def objects_in(text: str) -> tuple[list[str], str]:
    """What stands between outermost braces that close, and what follows one that does not. Braces within a string of an
    object are letters of it."""
    closed = []
    depth, begin, in_string, escaped = 0, 0, False, False
    for place, letter in enumerate(text):
        if in_string:
            in_string = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == "{":
            begin = begin if depth else place
            depth += 1
        elif letter == '"' and depth:
            in_string = True
        elif letter == "}" and depth:
            depth -= 1
            if not depth:
                closed.append(text[begin : place + 1])
    return closed, text[begin:] if depth else ""


def shown(value: Any) -> str:
    """A value of the reply, as far as it is short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"
