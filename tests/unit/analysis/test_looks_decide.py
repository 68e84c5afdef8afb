"""What looks decide: the bars, Holm across looks, what is closed and what goes on; and its errors, by simulation."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from selfdistill.analysis.looks import (
    Schedule,
    after,
    chance_of_a_verdict,
    judged,
    repeated_interval,
    schedule,
    with_looks,
)
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.sequential import nominal_levels
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.looks import Record
from selfdistill.tables import words
from selfdistill.tables.problems import PROBLEMS

TIMES = (0.3, 0.6, 1.0)
SIZES = (300, 600, 1000)


def looks(current: int, **closed: Any) -> Schedule:
    return Schedule(SIZES, TIMES, current, closed)


def row(
    name: str = "h1", z: float = 0.0, equivalence_p: float = 0.5, error: float = 0.02, **other: Any
) -> dict[str, Any]:
    estimate = z * error
    return {
        "hypothesis": name, "role": words.HYPOTHESIS, "family": "primary", "estimate": estimate, "margin": 0.03,
        "low": estimate - 1.96 * error, "high": estimate + 1.96 * error, "standard_error": error,
        "p_value": float(2 * stats.norm.sf(abs(z))), "equivalence_p": equivalence_p, "verdict": words.NOT_RESOLVED,
        "question": "different", "pairs": None, "degrees_of_freedom": 1e9, "n": 400, "estimand": words.ACCURACY,
    } | other  # fmt: skip


def problems(families: list[str], dev: int = 0) -> pl.DataFrame:
    rows = [
        dict.fromkeys(PROBLEMS)
        | {"problem_id": f"p{n}", "family": family, "rank": n, "split": "dev" if n < dev else "test"}
        for n, family in enumerate(families)
    ]
    return pl.DataFrame(rows, schema=PROBLEMS)


def record(*sizes: int, current: int = 1) -> Record:
    hypothesis = Hypothesis(arm="ssd", comparison="matched", decode="t07", margin=0.03)
    return Record(looks=list(sizes), hypotheses={"h1": hypothesis, "h2": hypothesis}, current=current)


def test_information_is_the_share_of_families_of_test_problems() -> None:
    here = schedule(record(4, 6, 10), problems(["a", "a", "b", "b", "c", "d", "e", "f", "g", "h"], dev=2))
    assert here.times == pytest.approx((1 / 7, 3 / 7, 1.0)) and here.sizes == (4, 6, 10)


def test_looks_that_do_not_rise_to_the_problems_there_are_are_refused() -> None:
    with pytest.raises(UserError, match=r"evaluation\.looks: 4, 12 do not rise to the 10 problems"):
        schedule(record(4, 12), problems([str(n) for n in range(10)]))
    with pytest.raises(UserError, match="none of the first 4 problems is in test"):
        schedule(record(4, 10), problems([str(n) for n in range(10)], dev=4))


def test_the_bar_of_the_middle_look_is_the_published_one() -> None:
    equal = Schedule((1, 2, 3), (1 / 3, 2 / 3, 1.0), 2)
    assert equal.bar(0.025) == pytest.approx(stats.norm.sf(2.5114), rel=1e-3)


@pytest.mark.parametrize("current", [1, 2, 3])
@pytest.mark.parametrize("z", [1.5, 2.2, 2.6, 3.2, 4.0, -2.7])
def test_interval_p_and_bar_agree_about_zero(current: int, z: float) -> None:
    here = looks(current)
    (found,) = with_looks([row(z=z)], here)
    beats = found["p_value"] < 2 * here.bar(0.025)
    assert beats == (found["p_of_looks"] < 0.05) == (not found["low"] < 0 < found["high"])


def test_the_repeated_interval_is_longer_early_and_hardly_at_the_end() -> None:
    widths = []
    for current in (1, 2, 3):
        interval = repeated_interval(row(z=1.0), looks(current))
        widths.append((interval.high - interval.low) / (2 * 1.96 * 0.02))
    assert widths[0] > 1.9 and widths[0] > widths[1] > widths[2] > 1 and widths[2] < 1.05


def test_holm_steps_through_each_hypothesis_own_boundary() -> None:
    """The second of a pair is judged at the level of one once the first is found (Maurer and Bretz 2013)."""
    here = looks(2)
    between = stats.norm.isf(here.bar(0.025)) + 0.02, stats.norm.isf(here.bar(0.0125)) - 0.02
    rows = with_looks([row("h1", z=4.0), row("h2", z=float(np.mean(between)))], here)
    p = sorted(each["p_of_looks"] for each in rows)
    assert 2 * p[0] < 0.05 and 0.025 < p[1] < 0.05
    rows[0]["verdict"] = rows[1]["verdict"] = words.IMPROVED
    table = judged(rows, here)
    assert table["state"].to_list() == [words.SETTLED, words.SETTLED]
    assert table["bar"].to_list() == pytest.approx([2 * here.bar(0.025)] * 2)
    rows[0]["verdict"] = words.NOT_RESOLVED
    assert judged(rows, here)["bar"].to_list() == pytest.approx([2 * here.bar(0.025), 2 * here.bar(0.0125)])


def test_what_is_settled_stays_as_it_was_and_what_is_open_goes_on() -> None:
    here = looks(1)
    rows = with_looks([row("h1", z=5.0), row("h2", z=0.5)], here)
    rows[0]["verdict"] = words.IMPROVED
    table = judged(rows, here)
    assert table["state"].to_list() == [words.SETTLED, words.GOES_ON]
    verdicts = pl.DataFrame([{"hypothesis": each["hypothesis"], "role": each["role"], "estimate": each["estimate"]} for each in rows])  # fmt: skip
    following = after(record(*SIZES), verdicts, table)
    assert following.current == 2 and following.open == ["h2"]
    assert Record.model_validate(following.model_dump()) == following

    later = Schedule(SIZES, TIMES, 2, following.closed)
    again = with_looks([row("h1", z=1.0), row("h2", z=3.0)], later)
    assert again[0]["estimate"] == pytest.approx(0.1)  # as it was, though more problems were answered since
    assert again[0]["p_of_looks"] == pytest.approx(table["p_of_looks"][0])
    assert judged(again, later)["look"].to_list() == [1, 2]


def test_controls_are_left_alone() -> None:
    control = row(role=words.CONTROL, z=2.0)
    (same,) = with_looks([control], looks(1))
    assert same["p_of_looks"] == control["p_value"] and same["low"] == control["low"]
    assert judged([same], looks(1)).is_empty()


def test_a_hypothesis_is_given_up_only_where_no_truth_that_matters_gives_it_a_verdict() -> None:
    here = looks(2)
    noisy = row(z=0.1, error=0.2)  # the last look's standard error is five times the margin
    chance = chance_of_a_verdict(noisy, here, 0.05, 0.05)
    assert chance is not None and chance < 0.10
    assert judged(with_looks([noisy], here), here)["state"].to_list() == [words.GIVEN_UP]
    # Equivalence is still to be had: what cannot be found different any more is not given up.
    near = row(z=0.1, error=0.012)
    chance = chance_of_a_verdict(near, here, 0.05, 0.05)
    assert chance is not None and chance > 0.5
    # A large effect is not given up for the margin's being small.
    assert (chance_of_a_verdict(row(z=2.4, error=0.2), here, 0.05, 0.05) or 0) > 0.5


def test_the_last_look_ends_it_and_numbers_that_are_not_known_end_nothing() -> None:
    assert judged(with_looks([row(z=1.0)], looks(3)), looks(3))["state"].to_list() == [words.LAST_LOOK]
    unknown = row() | dict.fromkeys(("estimate", "standard_error", "p_value", "equivalence_p", "low", "high"))
    (found,) = judged(with_looks([unknown], looks(1)), looks(1)).to_dicts()
    assert (found["state"], found["p_of_looks"], found["chance"]) == (words.GOES_ON, None, None)


def test_what_is_not_measurable_is_sampled_no_further() -> None:
    here = looks(1)
    (found,) = judged(with_looks([row(verdict=words.NOT_MEASURABLE)], here), here).to_dicts()
    assert found["state"] == words.GIVEN_UP and "More problems would not make it measurable" in found["sentence"]


def test_a_question_of_non_inferiority_is_given_up_where_even_no_effect_would_not_answer_it() -> None:
    here = looks(2)
    asked = row(z=0.0, question="not_worse")
    states = [
        judged(with_looks([asked | {"standard_error": error, "p_value": p}], here), here)["state"][0]
        for error, p in ((0.01, 0.5), (0.2, 0.9))
    ]
    assert states == [words.GOES_ON, words.GIVEN_UP]


def test_the_sentence_says_which_look_and_which_bar() -> None:
    here = Schedule(SIZES, (1 / 3, 2 / 3, 1.0), 2)
    (found,) = judged(with_looks([row(z=1.0)], here), here).to_dicts()
    assert found["sentence"].replace("\u202f", ",").replace("\u2009", ",") == (
        "Look 2 of 3 (600 of 1,000 problems): p must be below 0.012 at this look, not below 0.05. "
        "It is not settled and goes on to the next look."
    )
    settled = row(z=4.0, verdict=words.IMPROVED)
    (found,) = judged(with_looks([settled], here), here).to_dicts()
    assert "too large on average" in found["sentence"]


# Errors, with t tests of real (not normal) differences of one answer a side: they are 1, 0 or −1.


def simulated(effect: float, studies: int, sizes: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the differences at each look, and its standard error."""
    generator = np.random.default_rng(seed)
    differing = 0.3
    up = (differing + effect) / 2
    draws = generator.random((studies, sizes[-1]))
    values = np.where(draws < up, 1.0, np.where(draws < differing, -1.0, 0.0))
    first, second = np.cumsum(values, axis=1), np.cumsum(values**2, axis=1)
    n = np.array(sizes)
    mean = first[:, n - 1] / n
    return mean, np.sqrt((second[:, n - 1] / n - mean**2) / (n - 1))


def t_levels(statistic: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    return np.stack([stats.t.sf(statistic[:, k], size - 1) for k, size in enumerate(sizes)], axis=1)


STUDIES = 6000
SMALL = (90, 180, 300)
ALLOWED = 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / STUDIES)


def test_false_positives_over_all_looks_stay_below_five_percent() -> None:
    mean, error = simulated(0.0, STUDIES, SMALL, seed=1)
    p = 2 * t_levels(np.abs(mean / error), SMALL)
    looked = (p < 2 * np.array(nominal_levels(TIMES, 0.025))).any(axis=1).mean()
    naive = (p < 0.05).any(axis=1).mean()
    assert looked < ALLOWED < 0.09 < naive


def test_false_equivalence_over_all_looks_stays_below_five_percent() -> None:
    margin = 0.08
    mean, error = simulated(margin, STUDIES, SMALL, seed=2)
    p = t_levels((margin - np.abs(mean)) / error, SMALL)
    assert (p < nominal_levels(TIMES, 0.05)).any(axis=1).mean() < ALLOWED < (p < 0.05).any(axis=1).mean()


@pytest.mark.parametrize("effect", [0.0, 0.06, 0.12])
def test_repeated_intervals_cover_at_every_look_together(effect: float) -> None:
    mean, error = simulated(effect, STUDIES, SMALL, seed=3)
    p = 2 * t_levels(np.abs((mean - effect) / error), SMALL)
    assert (p > 2 * np.array(nominal_levels(TIMES, 0.025))).all(axis=1).mean() > 1 - ALLOWED


def test_an_early_stop_overstates_what_it_found() -> None:
    effect = 0.09
    mean, error = simulated(effect, STUDIES, SMALL, seed=4)
    p = 2 * t_levels(np.abs(mean / error), SMALL)
    out = p < 2 * np.array(nominal_levels(TIMES, 0.025))
    first = out[:, 0]
    assert first.any() and mean[first, 0].mean() > 1.5 * effect
