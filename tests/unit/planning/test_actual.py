"""What a study really took, told in the same words as its plan."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import ROOT
from selfdistill.planning.actual import _figures, spread_of
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.study.load import load_study, read_study

THROUGHPUTS = ROOT / "config/throughputs.yaml"


def test_an_answer_that_stops_exactly_at_its_cap_did_not_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan asks how many samples the filter leaves, and the filter drops such a one, whatever the engine calls its end."""
    monkeypatch.chdir(ROOT)
    study = load_study(read_study(ROOT / "config.yaml"))
    cap = study.decodes["t07"].max_tokens
    graded = pl.DataFrame({
        "prompt_ids": [[1, 2]] * 4, "decode_id": "t07", "n_tokens": [50, 60, cap, cap],
        "finish_reason": ["stop", "stop", "stop", "length"], "finish_class": ["answered", "no_answer", "cut", "cut"],
    })  # fmt: skip
    figures = Figures(load_throughputs(THROUGHPUTS), study, THROUGHPUTS)
    found = {}
    for figure in _figures(study, figures, graded, tmp_path):
        found[figure.what] = figure.actual
        if figure.what == "finished_share":
            break
    assert found["finished_share"] == 0.5


@pytest.mark.parametrize("draws", [{"base": 2, "arms": 2}, {"base": 4, "arms": 1}])
@pytest.mark.parametrize("coupling", ["shared", "own"])
def test_a_pilot_tells_the_correlation_of_true_accuracies_from_that_of_shared_noise(
    draws: dict[str, int], coupling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six thousand problems whose true accuracies are those of the base, but for one in four, and whose answers follow, in
    seven of ten draws, the noise that they share."""
    monkeypatch.chdir(ROOT)
    raw = read_study(ROOT / "config.yaml")
    raw["evaluation"] |= {"draws": draws, "coupling": coupling, "pass_at": [1]}
    study = load_study(raw)
    randomness, problems = np.random.default_rng(3), 6000
    base = randomness.beta(1.2, 1.0, problems)
    arm = np.where(randomness.random(problems) < 0.25, randomness.beta(1.2, 1.0, problems), base)
    noise = randomness.random((problems, draws["base"]))
    shared = randomness.random(noise.shape) < (0.7 if coupling == "shared" else 0.0)
    rows = []
    for model, chance, training in (
        ("base", base, None),
        ("ssd/seed-0/at-100", arm, 0),
        ("ssd/seed-1000/at-100", arm, 1),
    ):
        for draw in range(study.evaluation.draws_by_side.of(training is not None)):
            number = study.evaluation.draws_by_side.noise(draw, training)
            drawn = np.where(shared[:, number], noise[:, number], randomness.random(problems)) < chance
            rows.append(pl.DataFrame({
                "model_id": model, "problem_id": [f"p{n:05d}" for n in range(problems)], "draw": draw, "decode_id": "t05",
                "purpose": "eval", "split": "test", "verdict": ["correct" if right else "wrong" for right in drawn],
            }))  # fmt: skip
    seen = spread_of(study, pl.concat(rows))
    accuracy, spread = base.mean(), base.var()
    assert seen.accuracy == pytest.approx(accuracy, abs=0.02)
    assert seen.between_share == pytest.approx(spread / (accuracy * (1 - accuracy)), abs=0.04)
    assert seen.correlation == pytest.approx(np.corrcoef(base, arm)[0, 1], abs=0.06)
    within = (base * (1 - base)).mean()
    expected = 0.7 * (np.minimum(base, arm) - base * arm).mean() / within
    if coupling == "shared":
        assert seen.draw_correlation == pytest.approx(expected, abs=0.05)
    else:
        assert seen.draw_correlation is None
