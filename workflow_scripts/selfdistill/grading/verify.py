"""Is an answer the gold answer? Exactly where that is easy, elsewhere by two readers in processes that can be killed.

The strict one counts: our own reader, and math-verify with care where ours does not know the notation. The lenient one is
math-verify as everybody uses it. Both verdicts are kept, so that a report can tell what hangs on the choice between them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from selfdistill.grading.answers import plain_form
from selfdistill.grading.processes import ask
from selfdistill.grading.rationals import read_rational, same_number
from selfdistill.grading.reading.tokens import FUNCTIONS, NAMED
from selfdistill.grading.reading.units import unit_of
from selfdistill.tables.endings import NO_OBJECT, UNDECIDED, UNPARSED, Reading, Reason

GRADER = "2"  # the version of what is the same: a change of a verdict is a new one
CORRECT = ("equal", "equivalent")
LONGEST = 2000  # characters of an answer that are worth reading
# What each reply says of the answer; one that is not here is a word of UNDECIDED and stays as it is.
SAYS: dict[str, Reading] = {
    "equal": "equal", "equivalent": "equal", "different": "different", NO_OBJECT: "different", UNPARSED: "unread"
}  # fmt: skip
STRICT: dict[str, Reason] = {"equal": "equivalent", "different": "different", NO_OBJECT: NO_OBJECT, UNPARSED: UNPARSED}


MARKED_OR_COMMAND = re.compile(r"\\(?:text|mathrm|operatorname|mathbb|begin|end)\{[^{}]*\}|\\[A-Za-z]+")
BARE_WORD = re.compile(r"[A-Za-z]{3,}")
KNOWN_WORDS = FUNCTIONS | NAMED.keys() | {"and"}


class Judgement(NamedTuple):
    reason: Reason  # of the verdict that counts
    strict: Reading
    lenient: Reading | None = None  # None where the texts are the same or both are plain numbers

    @property
    def disputed(self) -> bool:
        return {self.strict, self.lenient} == {"equal", "different"}


def judge_answers(pairs: Sequence[tuple[str, str]], seconds: float, workers: int = 1) -> list[Judgement]:
    """The judgement of each (gold, answer); each distinct pair is judged once."""
    judged = _strictly(pairs, seconds, workers)
    hard = [pair for pair, judgement in judged.items() if judgement.lenient is not None]
    for pair, reply in zip(hard, ask([("lenient", *pair) for pair in hard], seconds, workers), strict=True):
        judged[pair] = judged[pair]._replace(lenient=_says(reply))
    return [judged[pair] for pair in pairs]


def verify_answers(pairs: Sequence[tuple[str, str]], seconds: float, workers: int = 1) -> list[Reason]:
    """The reason of the strict verdict on each (gold, answer)."""
    judged = _strictly(pairs, seconds, workers)
    return [judged[pair].reason for pair in pairs]


def _strictly(pairs: Sequence[tuple[str, str]], seconds: float, workers: int) -> dict[tuple[str, str], Judgement]:
    """`lenient` is None where nobody need be asked, and "unread" until somebody was."""
    judged: dict[tuple[str, str], Judgement] = {}
    hard: list[tuple[str, str]] = []
    for pair in dict.fromkeys(pairs):
        reason = quick_reason(*pair)
        if reason is None:
            hard.append(pair)
        else:
            judged[pair] = Judgement(reason, _says(reason))
    ours = dict(zip(hard, ask([("strict", *pair) for pair in hard], seconds, workers), strict=True))
    left = [pair for pair, reply in ours.items() if reply not in STRICT]
    theirs = dict(zip(left, ask([("careful", *pair) for pair in left], seconds, workers), strict=True))
    for pair in hard:
        found: Any = theirs[pair] if pair in theirs else STRICT[ours[pair]]
        judged[pair] = Judgement(found, _says(found), "unread")
    return judged


def _says(reply: str) -> Reading:
    assert reply in SAYS or reply in UNDECIDED, reply
    return SAYS.get(reply, reply)  # type: ignore[arg-type]


def quick_reason(gold: str, answer: str) -> Reason | None:
    """The reason where it needs no algebra: same text, two plain numbers, or too long to read."""
    if len(answer) > LONGEST:
        return UNPARSED
    plain_gold, plain_answer = plain_form(gold), plain_form(answer)
    if plain_gold == plain_answer:
        return "equal"
    gold_number, answer_number = read_rational(plain_gold), read_rational(plain_answer)
    if gold_number is None or answer_number is None:
        return None
    return "equivalent" if same_number(gold_number, answer_number) else "different"


def unreadable(golds: Iterable[str], seconds: float = 20.0, workers: int = 1) -> set[str]:
    """The gold answers that nothing could ever be equivalent to, because neither reader can read them."""
    hard = [gold for gold in dict.fromkeys(golds) if read_rational(plain_form(gold)) is None]
    replies = ask([("parse", gold) for gold in hard], seconds, workers)
    return {gold for gold, reply in zip(hard, replies, strict=True) if reply != "parsed" or _is_prose(gold)}


def _is_prose(gold: str) -> bool:
    """Bare words, which could be products of letters. Marked text is text."""
    bare = MARKED_OR_COMMAND.sub(" ", gold)
    words = [word for word in BARE_WORD.findall(bare) if word.lower() not in KNOWN_WORDS]
    return any(unit_of(word) is None for word in words)
