"""What a plan asks for: whole budgets, and mixtures whose problems are asked more often than the rest."""

from typing import Any

import polars as pl
import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.asked import Asked, asked_of, noises_shared
from selfdistill.sampling.plan import make_plan
from selfdistill.study.load import load_study
from selfdistill.study.study import Study
from selfdistill.tables.problems import PROBLEMS, PROMPTS

SHARED = [0, 1]
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


def planned(digest: str = "digest", **asked: Any) -> pl.DataFrame:
    fields = {"dtype": "float32", "decodes": {"t07": DECODE}, "train": [], "train_samples": 0, "eval": ["t07"],
              "eval_problems": HERE, "draws": 1, "stream": "", "seed": 7, "shards": 2}  # fmt: skip
    prompts = pl.DataFrame([{"problem_id": f"p{n:02d}", "prompt_ids": [n, 1]} for n in range(HERE)], schema_overrides=PROMPTS)  # fmt: skip
    return make_plan(
        "base",
        digest,
        Asked.model_validate(fields | asked),
        problems() if "train" in asked else pl.DataFrame(schema=PROBLEMS),
        problems(),
        prompts,
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
    own = {"coupling": "own"}
    assert set(asked_of(study(own), "base").as_param()) == {
        "dtype", "decodes", "train", "train_samples", "eval", "eval_problems", "draws", "stream", "seed", "shards",
        "abort_loops",
    }  # fmt: skip
    mixed = study(own | {"mixtures": {"hard": {"olympiad": 5}}})
    assert asked_of(mixed, "base").as_param() == asked_of(study(own), "base").as_param()
    more = study({"mixtures": {"hard": {"olympiad": 5}}, "mixture_draws": {"hard": 4}})
    assert asked_of(more, "base").as_param()["mixture_draws"] == {"hard": 4}
    assert Asked.model_validate(asked_of(more, "base").as_param()) == asked_of(more, "base")


def test_the_base_and_its_twin_are_asked_as_often_and_the_arms_as_often_as_they_should() -> None:
    uneven = study({"draws": {"base": 4, "arms": 1}})
    draws = {
        model: asked_of(uneven, model).draws
        for model in ("base", "aa", "ssd/seed-0/at-100", "ssd/seed-0/at-050", "samples-t11")
    }
    assert draws == {"base": 4, "aa": 4, "ssd/seed-0/at-100": 1, "ssd/seed-0/at-050": 1, "samples-t11": 0}
    assert asked_of(study({"draws": {"base": 2, "arms": 2}}), "base") == asked_of(study({"draws": 2}), "base")


def test_requests_that_are_not_coupled_keep_the_names_and_seeds_that_they_had() -> None:
    """Written down when there was no coupling: a journal of that time serves a study of today."""
    first = planned(draws=2).head(2)
    assert first["request_id"].to_list() == ["d0479fbb0b37716133a7ec47fa29fc91", "6f0b2d943074281328b0be1aea0943c8"]
    assert all(
        seed == int(key[:16], 16) >> 1 for key, seed in planned(draws=2).select("request_id", "seed").iter_rows()
    )


def test_coupled_models_share_the_noise_of_every_answer_and_no_name() -> None:
    base, arm = (planned(draws=2, noises=SHARED, digest=digest) for digest in ("base", "arm"))
    assert base["seed"].equals(arm["seed"]) and base["seed"].n_unique() == base.height
    own = [planned(draws=2, digest=digest) for digest in ("base", "arm")]
    names = pl.concat([each["request_id"] for each in (base, arm, *own)])
    assert names.n_unique() == names.len()
    assert not set(base["seed"]) & {seed for each in own for seed in each["seed"]}


@pytest.mark.parametrize(
    "change", [{"stream": "aa"}, {"seed": 8}, {"dtype": "bfloat16"}, {"decodes": {"t07": DECODE | {"top_k": 5}}}]
)
def test_another_stream_study_precision_or_decode_has_another_noise(change: dict[str, Any]) -> None:
    usual, other = planned(draws=2, noises=SHARED), planned(draws=2, noises=SHARED, **change)
    assert not set(usual["seed"]) & set(other["seed"])


def test_further_draws_are_coupled_and_change_none_and_training_samples_are_not_coupled() -> None:
    few, many = planned(noises=SHARED), planned(noises=SHARED, draws=4)
    assert set(few.select("request_id", "seed").iter_rows()) <= set(many.select("request_id", "seed").iter_rows())
    mixed = planned(noises=SHARED, mixtures={"few": {"fresh": 2}}, mixture_draws={"few": 4})
    assert set(mixed.select("request_id", "seed").iter_rows()) <= set(many.select("request_id", "seed").iter_rows())
    train: dict[str, Any] = {"train": ["t07"], "train_samples": HERE, "eval": []}
    assert planned(noises=SHARED, **train).equals(planned(**train))
    assert not asked_of(study({"coupling": "shared"}), "samples-t11").noises


def test_trainings_of_an_arm_take_turns_at_the_noises_of_the_base() -> None:
    raw = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    raw["evaluation"] |= {"coupling": "shared", "draws": {"base": 4, "arms": 1}}
    raw["arms"]["ssd"]["seeds"] = [0, 7, 5]
    taken = {
        model: asked_of(load_study(raw, ROOT), model).noises
        for model in ("base", "aa", "ssd/seed-0/at-100", "ssd/seed-7/at-050", "ssd/seed-5/at-100")
    }
    assert list(taken.values()) == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1]]
    base = planned(draws=4, noises=taken["base"], digest="base")
    third = planned(draws=1, noises=taken["ssd/seed-5/at-100"], digest="arm")
    assert third["seed"].equals(base.filter(pl.col("draw") == 2)["seed"])
    # The further answers to a mixture have further noises, each once.
    mixed = planned(
        draws=1, noises=taken["ssd/seed-5/at-100"], mixtures={"few": {"fresh": 1}}, mixture_draws={"few": 6}
    )
    assert mixed["seed"].n_unique() == mixed.height and mixed["request_id"].n_unique() == mixed.height


def test_who_shares_noise_with_the_base_is_told_without_twins_and_not_at_all_without_coupling() -> None:
    models = ["base", "aa", "ssd/seed-0/at-100"]
    assert noises_shared(study({"coupling": "shared", "draws": 2}), models) == {
        "base": [0, 1],
        "ssd/seed-0/at-100": [0, 1],
    }
    assert noises_shared(study({"coupling": "own"}), models) == {}
