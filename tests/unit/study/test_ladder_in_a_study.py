"""A ladder that cannot be climbed is one sentence while the study is read; it names what is sampled, and changes nothing else."""

import copy
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.asked import asked_of
from selfdistill.sampling.plan import lowered, plan_of_chosen
from selfdistill.study.ladder_models import climbers, contexts_of_rungs, ladder_models, rungs_of
from selfdistill.study.load import load_study
from selfdistill.study.models import evaluated, shown_to, sources_of_samples
from selfdistill.study.names import parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables.problems import PROBLEMS, PROMPTS

SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
CONTEXTS = {
    "guided": {"wording": "guided", "solution": "sibling"},
    "no-thought": {"wording": "guided", "solution": "sibling", "thought": False},
    "regenerated": {"wording": "guided", "solution": "context", "context": "guided"},
    "bare": {"wording": "unguided"},
}
LADDER: dict[str, Any] = {
    "contexts": ["no-thought", "regenerated", "guided"], "decode": "plain", "draws": 4, "problems": 20, "pool": 60,
    "solved": [0.25, 0.75],
}  # fmt: skip


def raw(**more: Any) -> dict[str, Any]:
    found = copy.deepcopy(SMOKE)
    found["contexts"] = copy.deepcopy(CONTEXTS)
    found["ladder"] = copy.deepcopy(LADDER) | more
    return found


def study(**more: Any) -> Study:
    return load_study(raw(**more), ROOT)


def complaints(content: dict[str, Any]) -> list[str]:
    with pytest.raises(UserError) as error:
        load_study(content, ROOT)
    return [line.removeprefix("study file: ") for line in str(error.value).splitlines()]


def test_the_base_is_asked_to_choose_and_then_on_every_rung() -> None:
    found = study()
    assert climbers(found) == ["base"] and contexts_of_rungs(found) == ["unguided", *LADDER["contexts"]]
    assert list(ladder_models(found)) == [
        "ladder", "ladder-unguided", "ladder/in-no-thought", "ladder/in-regenerated", "ladder/in-guided",
    ]  # fmt: skip
    assert rungs_of(found, "base") == list(ladder_models(found))[1:]
    assert shown_to(found, "ladder/in-guided") == "ladder"
    assert shown_to(found, "ladder/in-regenerated") == "ladder/in-guided"


def test_a_trained_model_climbs_with_its_own_answers_and_every_name_is_a_models() -> None:
    found = study(arms=["ssd"])
    assert climbers(found) == ["base", "ssd/seed-0/at-100"]
    mine = [name for name, rung in ladder_models(found).items() if rung.climber != "base"]
    assert mine[:3] == ["ladder-of-ssd-0", "ladder-of-ssd-0-unguided", "ladder-of-ssd-0/in-no-thought"]
    assert shown_to(found, "ladder-of-ssd-0/in-guided") == "ladder-of-ssd-0"
    for name in ladder_models(found):
        assert parse_model_id(name).training_seed is None


def test_the_answers_that_choose_are_not_those_of_the_first_rung() -> None:
    choosing, first, told = (asked_of(study(), name) for name in ("ladder", "ladder-unguided", "ladder/in-guided"))
    assert (choosing.train_samples, choosing.train_draws, choosing.first_draw) == (60, 4, 0)
    assert (first.train_samples, first.train_draws, first.first_draw) == (20, 4, 4)
    assert (told.train_samples, told.train_draws, told.first_draw) == (20, 4, 0)
    assert choosing.train == ["plain"] and not choosing.eval


def test_every_chosen_problem_is_asked_in_every_draw_whatever_its_rank() -> None:
    ranks, schema = [3, 17, 40], {name: PROBLEMS[name] for name in ("problem_id", "rank")}
    chosen = pl.DataFrame({"problem_id": [f"p{rank}" for rank in ranks], "rank": ranks}, schema=schema)
    prompts = pl.DataFrame({"problem_id": chosen["problem_id"], "prompt_ids": [[1], [2], [3]]}, schema=PROMPTS)
    first = plan_of_chosen("ladder-unguided", "digest", asked_of(study(), "ladder-unguided"), chosen, prompts)
    assert first.group_by("problem_id").agg("draw").sort("problem_id")["draw"].to_list() == [[4, 5, 6, 7]] * 3
    asked = asked_of(study(), "ladder-unguided")
    assert asked.train_samples == 20 and lowered(asked, 20) is None
    assert (lowered(asked, 3) or "").endswith("there are 3: all are asked.")
    told = plan_of_chosen("ladder/in-guided", "digest", asked_of(study(), "ladder/in-guided"), chosen, prompts, {"p17"})
    assert set(told["problem_id"]) == {"p3", "p40"} and set(told["draw"]) == {0, 1, 2, 3}


def test_a_ladder_changes_nothing_that_is_asked_otherwise() -> None:
    without = copy.deepcopy(raw())
    without.pop("ladder")
    one, other = load_study(without, ROOT), study()
    assert ladder_models(one) == {} and evaluated(one) == evaluated(other)
    for model in (*evaluated(one), *sources_of_samples(one)):
        assert asked_of(one, model).as_param() == asked_of(other, model).as_param()
        assert "first_draw" not in asked_of(other, model).as_param()
    assert "ladder" not in one.as_param() and "ladder" in other.as_param()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"contexts": ["guide"]}, "ladder.contexts: no context is named 'guide'; did you mean 'guided'?"),
    ({"contexts": ["bare", "guided"]}, "ladder.contexts: bare tells nothing, and the first rung is without a context already; remove it."),
    ({"contexts": ["guided", "guided"]}, "ladder.contexts: names a context twice; once is enough."),
    (
        {"contexts": ["regenerated"]},
        "ladder.contexts: regenerated shows answers under guided, which is no rung of the ladder; add it, or remove regenerated.",
    ),
    ({"decode": "plane"}, "ladder.decode: no decode is named 'plane'; did you mean 'plain'?"),
    ({"arms": ["aa"]}, "ladder.arms: 'aa' trains nothing, it is the base sampled anew; name trained arms."),
    ({"arms": ["ssd", "ssd"]}, "ladder.arms: names an arm twice; once is enough."),
    (
        {"arms": ["ssd"], "use": "train"},
        "ladder.arms: climb training problems (ladder.use: train), which these arms have learnt; set ladder.use: eval, or remove the arms.",
    ),
    ({"solved": [0.75, 0.25]}, "ladder.solved: the lowest share (0.75) lies above the highest (0.25); turn them round."),
    ({"solved": [0.0, 0.0]}, "ladder.solved: a problem that is never solved has no right answer to be told; raise the highest share."),
    (
        {"solved": [0.3, 0.4]},
        "ladder.solved: of 4 answers no number of right ones is a share between 0.3 and 0.4, so that no problem could be chosen; "
        "widen it or raise ladder.draws.",
    ),
    ({"pool": 10}, "ladder.pool: 10 problems are fewer than the 20 of ladder.problems; raise it."),
    ({"draws": 0}, "ladder.draws: needs a whole number above 0, but is 0."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), WRONG, ids=[sentence[:40] for _, sentence in WRONG])
def test_a_ladder_that_cannot_be_climbed_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    found = complaints(raw(**change))
    assert len(found) == 1 and found[0].endswith(sentence), found


def test_names_of_the_ladder_are_taken() -> None:
    content = raw()
    content["arms"]["ladder"] = {"resample": True}
    assert any(line.endswith("name the arm otherwise, without ladder before it.") for line in complaints(content))
    content = raw()
    content["contexts"]["unguided"] = CONTEXTS["guided"]
    content["ladder"]["contexts"].append("unguided")
    assert any("unguided: is the name of the ladder's first rung" in line for line in complaints(content))
