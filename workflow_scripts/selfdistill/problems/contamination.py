"""Which training problems give an evaluation problem away: the same text, most of its n-grams, or its word pairs."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from selfdistill.grading.verify import CORRECT, quick_reason
from selfdistill.problems.similarity import alike, contained, word_grams
from selfdistill.problems.sources import RawProblem
from selfdistill.study.problems import Contamination

Method = Literal["exact", "ngram", "jaccard"]


class Match(NamedTuple):
    train: RawProblem
    evaluation: RawProblem
    method: Method
    overlap: float
    answers_agree: bool


def find_contamination(
    train: Sequence[RawProblem], evaluation: Sequence[RawProblem], settings: Contamination
) -> list[Match]:
    """Every pair that matches, under the first of exact, n-gram and Jaccard that says so.

    An evaluation problem of fewer words than an n-gram has none; the other two rules look after it.
    """
    found: dict[tuple[int, int], tuple[Method, float]] = {}
    position = {problem.problem_id: number for number, problem in enumerate(evaluation)}
    for number, problem in enumerate(train):
        if problem.problem_id in position:
            found[number, position[problem.problem_id]] = ("exact", 1.0)

    needles = [word_grams(problem.problem, settings.ngram) for problem in evaluation]
    stacks = (word_grams(problem.problem, settings.ngram) for problem in train)
    for pair in contained(needles, stacks, settings.overlap):
        found.setdefault((pair.other, pair.one), ("ngram", pair.similarity))

    lower = min(settings.jaccard, settings.jaccard_same_answer)
    eval_pairs, train_pairs = ([word_grams(problem.problem, 2) for problem in side] for side in (evaluation, train))
    for pair in alike(eval_pairs, train_pairs, lower):
        same = answers_agree(train[pair.other], evaluation[pair.one])
        if pair.similarity >= (settings.jaccard_same_answer if same else settings.jaccard):
            found.setdefault((pair.other, pair.one), ("jaccard", pair.similarity))

    return [
        Match(train[t], evaluation[e], method, overlap, answers_agree(train[t], evaluation[e]))
        for (t, e), (method, overlap) in sorted(found.items())
    ]


def answers_agree(one: RawProblem, other: RawProblem) -> bool:
    """Same text or same number. Algebra is not tried: it only chooses between two thresholds here."""
    return quick_reason(one.answer, other.answer) in CORRECT
