"""Where a study with looks stands: what each model is asked at a look, and a record that fits its plan."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.asked import Asked, asked_of
from selfdistill.sampling.plan import make_plan
from selfdistill.study.load import load_study
from selfdistill.study.looks import Closed, Record, record_of, sizes_at, write_record
from selfdistill.study.study import Study
from selfdistill.tables.problems import PROBLEMS, PROMPTS

FINISHED = "ssd/seed-0/at-100"


def study(**hypotheses: dict[str, Any]) -> Study:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    raw["evaluation"]["looks"] = [30, 60, 90]
    if hypotheses:
        raw["hypotheses"] = {
            name.replace("_", "-"): {"comparison": "matched", "margin": 0.03} | fields
            for name, fields in hypotheses.items()
        }
    return load_study(raw, ROOT)


AT_07 = {"arm": "ssd", "decode": "t07"}
AT_15 = {"arm": "ssd", "decode": "t15"}
AGAINST = {"arm": "ssd", "against": "filter-only", "decode": "t07"}
FAIR = {"arm": "ssd", "comparison": "fair"}


def at(here: Study, current: int, **closed: int) -> Record:
    at_looks = {name.replace("_", "-"): Closed(look=look, row={}, judged={}) for name, look in closed.items()}
    return Record(looks=here.evaluation.looks, hypotheses=here.hypotheses, current=current, closed=at_looks)


def test_the_first_look_asks_everything_at_its_size() -> None:
    here = study()
    sizes = sizes_at(here, at(here, 1))
    assert set(sizes) == {
        "base",
        "aa",
        *(f"{arm}/seed-0/at-100" for arm in ("ssd", "keep-cut", "filter-only", "fixed-point")),
    }
    assert {size for decodes in sizes.values() for size in decodes.values()} == {30}
    assert set(sizes["base"]) == {"t07", "t15", "plain"} and set(sizes[FINISHED]) == {"t07", "t15"}


def test_only_what_an_open_hypothesis_needs_goes_on() -> None:
    here = study(a=AT_07, b=AT_15)
    sizes = sizes_at(here, at(here, 3, a=1))
    assert sizes[FINISHED] == {"t07": 30, "t15": 90}
    assert sizes["base"] == {"t07": 30, "t15": 90, "plain": 30}
    assert sizes["keep-cut/seed-0/at-100"] == {"t07": 30, "t15": 30}


def test_what_two_hypotheses_need_stands_at_the_later_look() -> None:
    here = study(a=AT_07, against=AGAINST)
    sizes = sizes_at(here, at(here, 3, against=2))
    assert sizes[FINISHED]["t07"] == sizes["base"]["t07"] == 90
    assert sizes["filter-only/seed-0/at-100"]["t07"] == 60


def test_a_fair_choice_needs_every_decode_of_the_menu() -> None:
    here = study(a=FAIR)
    sizes = sizes_at(here, at(here, 2))
    assert sizes["base"] == {"t07": 60, "t15": 60, "plain": 30} and set(sizes[FINISHED].values()) == {60}
    assert set(sizes["aa"].values()) == {30}


def test_a_look_asks_for_all_that_the_look_before_it_asked_for() -> None:
    """Request by request: nothing is sampled twice, whatever was closed."""
    here = study(a=AT_07, b=AT_15)
    rows = [dict.fromkeys(PROBLEMS) | {"problem_id": f"p{n}", "rank": n} for n in range(90)]
    problems = pl.DataFrame(rows, schema=PROBLEMS)
    prompts = pl.DataFrame([{"problem_id": f"p{n}", "prompt_ids": [n]} for n in range(90)], schema_overrides=PROMPTS)

    def requests(record: Record, model: str) -> set[str]:
        asked = Asked.model_validate(asked_of(here, model, sizes_at(here, record)).as_param())
        return set(make_plan(model, "digest", asked, problems.clear(), problems, prompts)["request_id"])

    for model, counts in (("base", [90, 120, 150]), (FINISHED, [60, 90, 120])):
        looks = [requests(at(here, 1), model), requests(at(here, 2, a=1), model), requests(at(here, 3, a=1), model)]
        assert looks[0] < looks[1] < looks[2] and [len(look) for look in looks] == counts
        assert looks[2] < requests(at(here, 3), model)


def test_the_last_look_asks_what_a_study_without_looks_asks() -> None:
    here = study(a=FAIR)
    last = sizes_at(here, at(here, 3))
    for model in (FINISHED, "ssd/seed-0/at-050", "samples-t11"):
        assert asked_of(here, model, last) == asked_of(here, model)
    assert asked_of(here, "base", last).problems_at == {"plain": 30}


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    here = study(a=AT_07, b=AT_15)
    assert record_of(here, tmp_path / "looks.json") == at(here, 1)
    written = at(here, 2, a=1)
    write_record(written, tmp_path / "looks.json")
    assert record_of(here, tmp_path / "looks.json") == written
    assert written.open == ["b"] and (written.look_of("a"), written.look_of("b")) == (1, 2)


def test_a_plan_that_changed_after_a_look_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "looks.json"
    write_record(at(study(a=AT_07, b=AT_15), 2), file)
    with pytest.raises(UserError, match=r"hypotheses\.b: is not what it was when look 1 was judged .*looks\.json\)"):
        record_of(study(a=AT_07, b=AT_15 | {"margin": 0.05}), file)
    with pytest.raises(UserError, match=r"hypotheses\.c: is not what it was"):
        record_of(study(a=AT_07, b=AT_15, c=FAIR), file)
    other = json.loads(file.read_text()) | {"looks": [30, 90]}
    file.write_text(json.dumps(other))
    with pytest.raises(UserError, match=r"evaluation\.looks: is not what it was"):
        record_of(study(a=AT_07, b=AT_15), file)
    file.write_text("{")
    with pytest.raises(UserError, match=r"looks\.json: is no record of looks; remove it"):
        record_of(study(a=AT_07), file)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "not to the end": ({"looks": [30, 60]}, "evaluation.looks: ends with 60, but the last look is the full budget (evaluation.budgets.full: 90)"),
    "falling": ({"looks": [60, 30, 90]}, "evaluation.looks: give at least two rising numbers"),
    "twice the same": ({"looks": [60, 60, 90]}, "evaluation.looks: give at least two rising numbers"),
    "one look": ({"looks": [90]}, "one look needs no key"),
    "before the quick budget": ({"looks": [20, 90]}, "evaluation.looks: begins with 20 problems, but earlier checkpoints"),
    "a number for all": ({"looks": [30, 90], "budgets": {"quick": 30, "full": "all"}}, "evaluation.looks: ends with 90, but the last look is the full budget (evaluation.budgets.full: all)"),
    "all in the middle": ({"looks": [30, "all", 90]}, "evaluation.looks: give at least two rising numbers"),
}  # fmt: skip


@pytest.mark.parametrize(("evaluation", "complaint"), WRONG.values(), ids=WRONG)
def test_looks_that_do_not_fit_the_study_are_told(evaluation: dict[str, Any], complaint: str) -> None:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    raw["evaluation"] |= evaluation
    with pytest.raises(UserError) as told:
        load_study(raw, ROOT)
    assert complaint in str(told.value)


def test_looks_need_hypotheses_and_may_end_with_all() -> None:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    raw["evaluation"] |= {"looks": [30, 60, "all"], "budgets": {"quick": 30, "full": "all"}}
    assert load_study(raw, ROOT).evaluation.sizes == {"quick": 30, "full": "all", "look-1": 30, "look-2": 60}
    with pytest.raises(UserError, match=r"evaluation\.looks: judges hypotheses, and this study states none"):
        load_study({key: value for key, value in raw.items() if key != "hypotheses"}, ROOT)


def test_a_study_without_looks_is_asked_what_it_always_was() -> None:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    here = load_study(raw, ROOT)
    assert here.evaluation.sizes == here.evaluation.budgets
    assert "problems_at" not in asked_of(here, "base").as_param()
