"""What looks are expected to take, against simulated studies that stop by the same rules."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from conftest import ROOT
from selfdistill.analysis.looks import FUTILE, best_chance
from selfdistill.planning.cost import stages
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.planning.looks import EQUAL, FOUND, TRUTHS, expectations, expected, rules
from selfdistill.planning.power import Reach, reaches
from selfdistill.planning.printed import as_data, as_text
from selfdistill.statistics.sequential import boundaries
from selfdistill.study.load import load_study
from selfdistill.study.study import Study

SIZES, TIMES = (300, 600, 1000), (0.3, 0.6, 1.0)


def reach(error: float, margin: float = 0.02) -> Reach:
    return Reach("h", "primary", 0.05, 700, 700, 1, 1, error, error, 0.05, 0.05, margin)


def simulated(margin: float, drift: float, studies: int = 40_000) -> tuple[float, float, float]:
    """Problems on average, found, equivalent: path by path, by the rules as they are worded."""
    steps = np.diff((0.0, *TIMES))
    paths = np.cumsum(np.random.default_rng(3).normal(drift * steps, np.sqrt(steps), size=(studies, 3)), axis=1)
    bounds, equivalence = boundaries(TIMES, 0.025), boundaries(TIMES, 0.05)
    taken = found = equal = 0.0
    going = np.ones(studies, dtype=bool)
    for look, (time, size) in enumerate(zip(TIMES, SIZES, strict=True)):
        z = paths[:, look] / math.sqrt(time)
        differs = np.abs(z) >= bounds[look]
        same = ~differs & (margin * math.sqrt(time) - np.abs(z) >= equivalence[look])
        last = look == len(SIZES) - 1
        places = np.linspace(-8, 8, 400)
        chance = 1.0 if last else [best_chance(bounds[-1], margin - equivalence[-1], margin, b, time) for b in places]
        chances = np.interp(paths[:, look], places, np.broadcast_to(chance, places.shape))
        stops = going & (differs | same | (chances < FUTILE) | last)
        found, equal = found + float((going & differs).mean()), equal + float((going & same).mean())
        taken += size * float(stops.mean())
        going &= ~stops
    return taken, found, equal


@pytest.mark.parametrize("margin", [1.2, 3.0, 4.5])
@pytest.mark.parametrize("margins", [0.0, 1.0, 2.0])
def test_expectations_are_those_of_simulated_studies(margin: float, margins: float) -> None:
    error = 0.02 / margin
    said = expected("h", "", margins * 0.02, reach(error), SIZES)
    taken, found, equal = simulated(margin, margins * margin)
    assert said.problems == pytest.approx(taken, rel=0.02)
    assert said.found == pytest.approx(found, abs=0.01) and said.equivalent == pytest.approx(equal, abs=0.01)


def test_errors_of_the_rules_are_within_five_percent_also_where_futility_binds() -> None:
    for margin in (1.0, 2.5, 4.0):
        none, at_the_margin = (expected("h", "", effect * 0.02, reach(0.02 / margin), SIZES) for effect in (0.0, 1.0))
        assert none.found <= 0.0501 and at_the_margin.equivalent <= 0.0501


def test_one_look_at_the_end_is_the_usual_test() -> None:
    kinds, going_on = rules([1.0], 3.0)
    assert going_on == [[]]
    assert kinds[0][FOUND][1][0] == pytest.approx(stats.norm.isf(0.025))
    assert kinds[0][EQUAL][0][1] == pytest.approx(3.0 - stats.norm.isf(0.05))


def study(looks: list[int]) -> Study:
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    raw["evaluation"]["looks"] = looks
    return load_study(raw, ROOT)


def test_the_plan_says_what_looks_take() -> None:
    here = study([300, 450, 600])
    figures = Figures(load_throughputs(ROOT / "config/throughputs.yaml"), here, Path("config/throughputs.yaml"))
    parts, found = stages(here, figures), reaches(here, figures)
    said = as_text(here, figures, parts, found, None)
    assert "With looks after 300, 450, 600 problems" in said
    assert all(truth in said for truth in TRUTHS)
    data = as_data(here, figures, parts, found, None)
    of_accuracy = [each for each in here.hypotheses.values() if each.outcome == "accuracy"]
    assert len(data["looks"]) == 3 * len(of_accuracy)
    none, _, twice = (each["problems"] for each in data["looks"][:3])
    assert none < 600 and twice < 600
    usual = study([])
    assert expectations(usual, found) == [] and "looks" not in as_data(usual, figures, parts, found, None)
    assert "With looks" not in as_text(usual, figures, parts, found, None)
