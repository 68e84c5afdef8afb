"""What a plan asks for: whole budgets, and mixtures whose problems are asked more often than the rest."""

from typing import Any

import polars as pl
import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.plan import Asked, asked_of, make_plan
from selfdistill.study.load import load_study
from selfdistill.study.study import Study
from selfdistill.tables.problems import PROBLEMS, PROMPTS

DECODE = {"temperature": 0.7, "max_tokens": 20}
# Two sources by turns, ranked as numbered: problem 0, 2, 4, … are of the first.
SOURCES = ("archive", "fresh")
HERE = 12


def problems(count: int = HERE) -> pl.DataFrame:
    rows = [
        {"problem_id": f"p{n:02d}", "source": SOURCES[n % 2], "family": f"p{n:02d}", "level": 1, "problem": f"What is {n}?",
         "answer": str(n), "split": "test", "rank": n}
        for n in range(count)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=PROBLEMS)


def planned(**asked: Any) -> pl.DataFrame:
    fields = {"dtype": "float32", "decodes": {"t07": DECODE}, "train": [], "train_samples": 0, "eval": ["t07"],
              "eval_problems": HERE, "draws": 1, "stream": "", "seed": 7, "shards": 2}  # fmt: skip
    prompts = pl.DataFrame([{"problem_id": f"p{n:02d}", "prompt_ids": [n, 1]} for n in range(HERE)], schema_overrides=PROMPTS)  # fmt: skip
    return make_plan(
        "base", "digest", Asked.model_validate(fields | asked), pl.DataFrame(schema=PROBLEMS), problems(), prompts
    )


def study(evaluation: dict[str, Any]) -> Study:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    raw["evaluation"] |= evaluation
    return load_study(raw, ROOT)


def test_a_whole_budget_asks_for_what_its_number_would_ask_for() -> None:
    assert planned(eval_problems="all").equals(planned(eval_problems=HERE))


def test_a_mixture_with_draws_of_its_own_adds_requests_and_changes_none() -> None:
    usual = planned(draws=2)
    more = planned(draws=2, mixtures={"few": {"fresh": 2, "archive": 1}}, mixture_draws={"few": 5})
    assert more.head(usual.height).equals(usual)
    added = more.slice(usual.height)
    assert set(added["purpose"]) == {"mixture"}
    assert sorted(added.select("problem_id", "draw").rows()) == [
        (problem, draw) for problem in ("p00", "p01", "p03") for draw in (2, 3, 4)
    ]
    # What more draws of everything would have sampled, so that nothing is lost when a study changes its mind.
    assert set(more["request_id"]) <= set(planned(draws=5)["request_id"])


def test_a_whole_source_is_all_of_it_and_overlapping_mixtures_ask_for_the_most() -> None:
    mixtures = {"whole": {"fresh": "all"}, "three": {"fresh": 3}, "once-more": {"archive": 1}}
    more = planned(mixtures=mixtures, mixture_draws={"whole": 3, "three": 4, "once-more": 2})
    draws = dict(more.group_by("problem_id").len().rows())
    assert draws == {
        **dict.fromkeys(("p01", "p03", "p05"), 4), **dict.fromkeys(("p07", "p09", "p11"), 3),
        "p00": 2, **dict.fromkeys(("p02", "p04", "p06", "p08", "p10"), 1),
    }  # fmt: skip
    assert more["request_id"].n_unique() == more.height


def test_a_whole_source_needs_a_budget_that_holds_it() -> None:
    whole: dict[str, Any] = {"mixtures": {"whole": {"fresh": "all"}}, "mixture_draws": {"whole": 2}}
    assert planned(eval_problems=HERE, **whole).height == HERE + HERE // 2
    with pytest.raises(
        UserError,
        match=r"mixtures\.whole\.fresh: asks for all 6 problems, but the full budget of 8 has 4 of that source; lower it or "
        r"raise evaluation\.budgets\.full to all\.",
    ):
        planned(eval_problems=8, **whole)
    with pytest.raises(UserError, match=r"mixtures\.whole\.elsewhere: asks for all 0 problems"):
        planned(mixtures={"whole": {"elsewhere": "all"}}, mixture_draws={"whole": 2})


def test_only_models_at_the_full_budget_get_the_further_draws() -> None:
    asked = {"mixtures": {"hard": {"olympiad": "all"}, "half": {"olympiad": 5}}, "mixture_draws": {"hard": 16},
             "budgets": {"quick": 30, "full": "all"}}  # fmt: skip
    found = {model: asked_of(study(asked), model) for model in ("base", "aa", "ssd/seed-0/at-100")}
    assert all((each.eval_problems, each.mixture_draws) == ("all", {"hard": 16}) for each in found.values())
    assert all(each.mixtures == {"hard": {"olympiad": "all"}} for each in found.values())
    for model in ("ssd/seed-0/at-050", "samples-t11"):
        assert not asked_of(study(asked), model).mixtures and not asked_of(study(asked), model).mixture_draws


def test_a_study_without_such_mixtures_writes_the_parameter_that_it_always_wrote() -> None:
    assert set(asked_of(study({}), "base").as_param()) == {
        "dtype", "decodes", "train", "train_samples", "eval", "eval_problems", "draws", "stream", "seed", "shards",
        "abort_loops",
    }  # fmt: skip
    mixed = study({"mixtures": {"hard": {"olympiad": 5}}})
    assert asked_of(mixed, "base").as_param() == asked_of(study({}), "base").as_param()
    more = study({"mixtures": {"hard": {"olympiad": 5}}, "mixture_draws": {"hard": 4}})
    assert asked_of(more, "base").as_param()["mixture_draws"] == {"hard": 4}
    assert Asked.model_validate(asked_of(more, "base").as_param()) == asked_of(more, "base")
