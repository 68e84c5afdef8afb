"""Which of a problem's answers are the same answer: the classes that vote in maj@k.

All that the grader credits is one class, for all of it equals the gold. The others are the same where their texts are, or
where the strict reader says so of a pair; sameness is carried on, so that chains of it make one class.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import polars as pl

from selfdistill.grading.answers import plain_form
from selfdistill.grading.verify import CORRECT as SAME
from selfdistill.grading.verify import verify_answers
from selfdistill.tables.endings import CORRECT

RIGHT = 0  # the class of what is right; null: no answer, and so no vote


def answer_classes(answers: pl.DataFrame, group: Sequence[str], seconds: float, workers: int = 1) -> pl.Series:
    """The class of each row within its group (the answers of one model to one problem at one decode), from its extracted
    answer and its verdict."""
    forms = [
        None if answer is None or verdict == CORRECT else plain_form(answer)
        for answer, verdict in answers.select("extracted", "verdict").iter_rows()
    ]
    groups = answers.select(group).rows()
    by_group: dict[tuple[object, ...], set[str]] = {}
    for name, form in zip(groups, forms, strict=True):
        if form is not None:
            by_group.setdefault(name, set()).add(form)
    pairs = {pair for together in by_group.values() for pair in combinations(sorted(together), 2)}
    same = _same_pairs(sorted(pairs), seconds, workers)
    classes = {name: _classes(together, same) for name, together in by_group.items()}
    return pl.Series(
        "answer_class",
        [
            RIGHT if verdict == CORRECT else None if form is None else classes[name][form]
            for name, form, verdict in zip(groups, forms, answers["verdict"], strict=True)
        ],
        dtype=pl.Int32,
    )


def _same_pairs(pairs: Sequence[tuple[str, str]], seconds: float, workers: int) -> set[tuple[str, str]]:
    reasons = verify_answers(pairs, seconds, workers)
    return {pair for pair, reason in zip(pairs, reasons, strict=True) if reason in SAME}


def _classes(forms: Iterable[str], same: set[tuple[str, str]]) -> dict[str, int]:
    """A number for each form, the same for those that a chain of pairs joins."""
    ordered = sorted(forms)
    found = {form: number for number, form in enumerate(ordered, start=RIGHT + 1)}
    for one, other in combinations(ordered, 2):
        if (one, other) in same and found[one] != found[other]:
            kept, given_up = found[one], found[other]
            found = {form: kept if number == given_up else number for form, number in found.items()}
    return found
