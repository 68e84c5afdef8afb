"""What the plan proposes settles what it says, and a pilot is taken at its word."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from conftest import ROOT
from selfdistill.analysis.components import variance_components
from selfdistill.foundation.errors import UserError
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.planning.pilot import Pilot, pilot_of
from selfdistill.planning.power import reaches, stated
from selfdistill.planning.printed import as_data, as_text
from selfdistill.planning.proposal import proposed, with_problems
from selfdistill.study.load import load_study, read_study
from selfdistill.study.study import Study
from selfdistill.tables.analysis import VARIANCE
from selfdistill.tables.whole import write_table

FILE = ROOT / "config/throughputs.yaml"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def lab(margin: float = 0.05, **changes: Any) -> tuple[Study, Figures]:
    raw = read_study(ROOT / "config.yaml")
    raw["hypotheses"] = {
        "ssd": {"arm": "ssd", "comparison": "matched", "decode": "t07", "margin": margin},
        "filter": {"arm": "filter-only", "comparison": "matched", "decode": "t07", "margin": margin},
        "aa": {"arm": "aa", "comparison": "matched", "decode": "t07", "family": "control", "margin": 0.001},
    }
    raw["evaluation"] |= changes
    study = load_study(raw)
    figures = Figures(load_throughputs(FILE), study, FILE)
    return counted(study, figures), figures


def test_a_claim_of_the_method_has_the_noise_of_training_in_it() -> None:
    study, figures = lab()
    found = {reach.hypothesis: reach for reach in reaches(study, figures)}
    ssd, tau = found["ssd"], figures.value("training_sd")
    spread = stated(study, figures).spread
    within = (1 - spread.between_share) * spread.of_one_answer
    # Two trainings with two draws each: what one training's draws add to its own effect, without the noise that both have.
    own = within * (1 - spread.draw_correlation) / 2 / ssd.units
    variance = ssd.standard_error**2 + tau**2 / 2
    common = ssd.standard_error**2 - own / 2
    freedom = variance**2 / (common**2 / (ssd.units - 1) + ((tau**2 + own) / 2) ** 2 / 1)
    reach = (stats.t.ppf(1 - ssd.alpha / 2, freedom) + stats.t.ppf(0.8, freedom)) * math.sqrt(variance)
    assert ssd.detectable_of_method == pytest.approx(reach, rel=1e-6) and reach > ssd.detectable
    assert found["filter"].trainings == 1 and found["filter"].detectable_of_method is None
    assert found["aa"].trainings == 0


def test_the_proposed_design_settles_every_question_and_a_wider_margin_costs_less() -> None:
    tokens = []
    for margin in (0.05, 0.08):
        study, figures = lab(margin)
        proposal = proposed(study, figures, stated(study, figures))
        assert proposal is not None and proposal.cheapest is not None and proposal.beyond == []
        best = proposal.cheapest
        assert best.margin_reached <= margin and best.problems <= proposal.most_problems
        assert best.coupling == "shared"  # the same for no more tokens
        tokens.append(best.tokens)
    assert tokens[1] < tokens[0]


def test_what_today_reaches_costs_no_more_than_today() -> None:
    study, figures = lab(draws=4, coupling="own")
    proposal = proposed(study, figures, stated(study, figures))
    assert proposal is not None and proposal.as_far is not None
    assert proposal.as_far.tokens < 0.6 * proposal.today.tokens  # shared noise is most of it


def test_a_question_beyond_all_problems_is_named_and_left_out() -> None:
    study, figures = lab()
    narrow = study.hypotheses["filter"].model_copy(update={"margin": 0.0001})
    study = study.model_copy(update={"hypotheses": study.hypotheses | {"filter": narrow}})
    proposal = proposed(study, figures, stated(study, figures))
    assert proposal is not None and proposal.beyond == ["filter"] and proposal.cheapest is not None
    said = as_text(study, figures, [], reaches(study, figures), None, proposal)
    assert "settles filter: choose a wider margin" in said and "Proposed: " in said and "Of the method" in said
    assert as_data(study, figures, [], [], None, proposal)["proposal"]["cheapest"]["draws"]["base"] >= 1


def test_fewer_problems_keep_the_quick_budget_within_the_full() -> None:
    study, _ = lab()
    assert with_problems(study, 120).evaluation.budgets == {"quick": 120, "full": 120}


def graded(draws: int, problems: int = 300) -> pl.DataFrame:
    random, frames = np.random.default_rng(3), []
    chance = random.beta(3, 2, problems)
    for model in ("base", "ssd/seed-0/at-100", "ssd/seed-1000/at-100", "filter-only/seed-0/at-100"):
        own = chance if model == "base" else np.clip(chance + random.normal(0, 0.1, problems), 0, 1)
        for draw in range(draws):
            right = random.random(problems) < own
            frames.append(pl.DataFrame({
                "model_id": model, "decode_id": "t07", "problem_id": [f"p{i:04d}" for i in range(problems)],
                "purpose": "eval", "draw": draw, "family": [f"f{i}" for i in range(problems)], "split": ["dev" if i % 10 == 0 else "test" for i in range(problems)],
                "rank": range(problems), "n_tokens": 100, "finish_class": "answered", "think_closed": True,
                "boxed": True, "verdict": np.where(right, "correct", "wrong"),
            }))  # fmt: skip
    return pl.concat(frames)


def pilot(folder: Path, draws: int, figures: Figures, study: Study) -> Pilot:
    evaluation = study.evaluation.model_copy(
        update={"draws": draws, "coupling": "own", "budgets": {"quick": 300, "full": 300}}
    )
    table = variance_components(graded(draws), study.arms, evaluation, {})
    (folder / "analysis").mkdir()
    write_table(table, folder / "analysis/variance.parquet", VARIANCE)
    return pilot_of(folder, figures)


def test_a_pilot_gives_the_variances_and_unknown_things_come_from_the_figures(tmp_path: Path) -> None:
    study, figures = lab()
    found = pilot(tmp_path, 2, figures, study)
    components = found.components(study, study.hypotheses["filter"])
    truth = 3 * 2 / 25 - 3 * 2 / (25 * 6)  # E[p(1 − p)] of Beta(3, 2), of the base
    assert components.other.draws == pytest.approx(truth, rel=0.12)
    assert components.problems == pytest.approx(0.01, abs=0.02) and components.other.trainings is None
    assert components.coupled == pytest.approx(
        figures.value("draw_correlation") * math.sqrt(components.side.draws * components.other.draws)
    )
    design = found.design(study, study.hypotheses["filter"], 420)
    assert design.problems == 420 and design.is_coupled and design.families == pytest.approx(420)
    of_ssd = found.components(study, study.hypotheses["ssd"]).side
    assert of_ssd.trainings is not None and of_ssd.trainings >= 0
    planned = {reach.hypothesis: reach for reach in reaches(study, figures, found)}
    assert planned["filter"].standard_error < planned["filter"].standard_error_uncoupled


def test_a_pilot_of_one_draw_or_none_at_all_is_refused(tmp_path: Path) -> None:
    study, figures = lab()
    with pytest.raises(UserError, match="is no pilot"):
        pilot_of(tmp_path / "nowhere", figures)
    with pytest.raises(UserError, match="cannot tell problems from draws"):
        pilot(tmp_path, 1, figures, study)
