"""Is an answer the gold answer? Exactly where that is easy, by math-verify in processes that can be killed elsewhere."""

import re
from collections.abc import Iterable, Sequence

from selfdistill.grading.answers import plain_form
from selfdistill.grading.processes import ask
from selfdistill.grading.rationals import read_rational, same_number
from selfdistill.tables.endings import Reason

CORRECT = ("equal", "equivalent")
LONGEST = 2000  # characters of an answer that are worth reading


def verify_answers(pairs: Sequence[tuple[str, str]], seconds: float, workers: int = 1) -> list[Reason]:
    """The reason for each (gold, answer); each distinct pair is judged once."""
    reasons: dict[tuple[str, str], Reason] = {}
    hard: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in dict.fromkeys(pairs):
        reason = quick_reason(*pair)
        if reason is None:
            hard[pair] = plain_form(pair[0]), plain_form(pair[1])
        else:
            reasons[pair] = reason
    questions = list(dict.fromkeys(hard.values()))
    replies = ask([("judge", *question) for question in questions], seconds, workers)
    judged = dict(zip(questions, replies, strict=True))
    reasons.update({pair: judged[question] for pair, question in hard.items()})  # type: ignore[misc]
    return [reasons[pair] for pair in pairs]


# Runs of letters that are mathematics and not prose.
FUNCTIONS = {
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "log",
    "exp",
    "sqrt",
    "max",
    "min",
    "gcd",
    "lcm",
    "arcsin",
    "arccos",
}
FUNCTIONS |= {"arctan", "sinh", "cosh", "tanh", "inf", "infty", "mod", "det", "deg"}


def quick_reason(gold: str, answer: str) -> Reason | None:
    """The reason where it needs no algebra: same text, two plain numbers, or too long to read."""
    if len(answer) > LONGEST:
        return "unparsed"
    plain_gold, plain_answer = plain_form(gold), plain_form(answer)
    if plain_gold == plain_answer:
        return "equal"
    gold_number, answer_number = read_rational(plain_gold), read_rational(plain_answer)
    if gold_number is None or answer_number is None:
        return None
    return "equivalent" if same_number(gold_number, answer_number) else "different"


def unreadable(golds: Iterable[str], seconds: float = 20.0, workers: int = 1) -> set[str]:
    """The gold answers that nothing could ever be equivalent to, because math-verify cannot read them."""
    hard = [gold for gold in dict.fromkeys(golds) if read_rational(plain_form(gold)) is None]
    replies = ask([("parse", plain_form(gold)) for gold in hard], seconds, workers)
    return {gold for gold, reply in zip(hard, replies, strict=True) if reply != "parsed" or _is_prose(gold)}


def _is_prose(gold: str) -> bool:
    """Bare words, which math-verify would read as products of letters, and divisions by nothing. Marked text is text."""
    bare = re.sub(r"\\(?:text|mathrm|operatorname|mathbb|begin|end)\{[^{}]*\}|\\[A-Za-z]+", " ", gold)
    words = [word for word in re.findall(r"[A-Za-z]{3,}", bare) if word.lower() not in FUNCTIONS]
    return bool(words) or re.search(r"/\s*0(?![\d.])", gold) is not None
