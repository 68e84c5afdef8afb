"""Claims about which answers are the same: those of `pairs.txt`, of every kind and in both directions."""

import pytest
from pairs import Pair, all_pairs, kinds, page

from conftest import ROOT
from selfdistill.grading.verify import CORRECT, Judgement, judge_answers

# All pairs are judged at once, which every worker would do for itself.
pytestmark = pytest.mark.xdist_group("pairs")
SECONDS = 60.0  # a busy machine must not decide
# math-verify alone never ends on it, at whatever limit, and ours, which counts, answers at once.
ENDLESS = ("3^{3^{27}}", "3^{3^{26}}")


@pytest.fixture(scope="module")
def judged() -> dict[tuple[str, str], Judgement]:
    pairs = [(pair.gold, pair.answer) for pair in all_pairs()]
    ending = [pair for pair in pairs if pair != ENDLESS]
    assert len(ending) == len(pairs) - 1
    return dict(zip([*ending, ENDLESS], [*judge_answers(ending, SECONDS), *judge_answers([ENDLESS], 5.0)], strict=True))


@pytest.mark.parametrize(
    "pair",
    all_pairs(),
    ids=lambda pair: f"{pair.kind}: {pair.gold[:30]} {'=' if pair.same else '!'} {pair.answer[:30]}",
)
def test_the_pair_is_judged_as_it_should(judged: dict[tuple[str, str], Judgement], pair: Pair) -> None:
    judgement = judged[pair.gold, pair.answer]
    assert (judgement.reason in CORRECT) == pair.same, judgement
    assert (judgement.strict == "equal") == pair.same, judgement


def test_there_are_enough_of_them_and_each_kind_has_both() -> None:
    pairs = all_pairs()
    assert len(set(pairs)) == len(pairs) >= 400
    for kind in kinds():
        assert {pair.same for pair in kind.pairs} == {True, False}, kind.name


def test_every_refusal_has_a_near_twin_that_is_accepted() -> None:
    """The same gold, or the same answer, in a pair of the other sort."""
    pairs = all_pairs()
    accepted = {pair.gold for pair in pairs if pair.same} | {pair.answer for pair in pairs if pair.same}
    alone = [pair for pair in pairs if not pair.same and pair.gold not in accepted and pair.answer not in accepted]
    assert not alone, alone


def test_the_two_readers_see_most_hard_pairs_and_disagree_on_some(judged: dict[tuple[str, str], Judgement]) -> None:
    hard = [judgement for judgement in judged.values() if judgement.lenient is not None]
    disputed = [judgement for judgement in hard if judgement.disputed]
    assert len(hard) > 200 and 0 < len(disputed) < len(hard) / 2
    assert judged["2c", "2"].disputed and judged["2c", "2"].strict == "different"
    assert judged["7", "7.00"].lenient is None and not judged["7", "7.00"].disputed


def test_the_page_is_made_of_these_pairs() -> None:
    assert (ROOT / "docs/grading.md").read_text(encoding="utf-8") == page(), "run `make grading-page`"
