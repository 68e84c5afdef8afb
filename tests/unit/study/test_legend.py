"""Arms and decodes in plain words: who differs reads differently, and nothing that a study names goes without a line."""

import copy
from itertools import combinations
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.study.arms import Arm
from selfdistill.study.legend import IN_NAMES, SSD, arm_in_words, legend_of
from selfdistill.study.load import read_study, typed_study
from selfdistill.study.practice import PracticeRecipe
from selfdistill.study.recipe_words import PRACTICE_WORDS, TRAINING_WORDS
from selfdistill.study.training import NOT_BY_ARM, Recipe

STUDIES = ("config.yaml", "config/lab-full.yaml", "config/doubt-lab.yaml", "config/practice-lab.yaml")
ALL = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "config").glob("*.yaml") if file.stem != "throughputs")


def plain(file: str) -> dict[str, Any]:
    return typed_study(read_study(ROOT / file)).as_param()


def words_of(study: dict[str, Any], **fields: Any) -> str:
    return arm_in_words(study, Arm.model_validate(fields))


TRAINING = {
    "batch": 8, "micro_batch": 2, "epochs": 3, "max_steps": 7, "collation": "padding-free", "over_length": "drop",
    "precision": "pure-bf16", "lr": 1e-5, "lr_floor": 1e-6, "schedule": "linear", "warmup_steps": 9, "warmup_share": 0.1,
    "beta1": 0.8, "beta2": 0.98, "weight_decay": 0.2, "max_grad_norm": 0.5, "lora": {"rank": 8, "alpha": 16},
    "activations": "keep", "compile": True, "measure_every": 3,
}  # fmt: skip
PRACTICE = {
    "decode": "other", "generations": 3, "questions": 32, "rollouts": 4, "updates": 1, "coverage": 8, "clip": [0.1, 0.1],
    "dual_clip": None, "scale_rewards": "group", "is_clip": None, "ratio_clip": None, "teacher": {"ema": 0.005},
    "divergence": "forward", "support": None, "tail": False, "token_clip": 0.05, "prefix": 64, "base_kl": False,
    "turns": "apart",
}  # fmt: skip


def test_every_key_of_a_recipe_has_its_words_and_stands_in_this_test() -> None:
    assert set(TRAINING_WORDS) == set(TRAINING) == set(Recipe.model_fields) - NOT_BY_ARM
    assert set(PRACTICE_WORDS) == set(PRACTICE) == set(PracticeRecipe.model_fields)


@pytest.mark.parametrize("key", TRAINING)
def test_two_arms_that_differ_only_in_a_key_of_training_read_differently(key: str) -> None:
    study = plain("config.yaml")
    usual = {"decode": "t11", "keep": "finished"}
    changed = words_of(study, **usual, training={key: TRAINING[key]})
    assert changed.startswith(words_of(study, **usual)) and " instead of " in changed
    own = study["training"][key]
    assert words_of(study, **usual, training={key: own}) == words_of(study, **usual)


@pytest.mark.parametrize("key", PRACTICE)
def test_two_arms_that_differ_only_in_a_key_of_practice_read_differently(key: str) -> None:
    study = plain("config/practice-lab.yaml")
    usual = {"method": "distil", "context": "solution"}
    assert words_of(study, **usual, practice={key: PRACTICE[key]}) != words_of(study, **usual)
    assert words_of(study, **usual, practice={key: study["practice"][key]}) == words_of(study, **usual)


def test_two_adapters_that_differ_anywhere_read_differently() -> None:
    study = plain("config.yaml")
    adapters = [
        {"rank": 8, "alpha": 16},
        {"rank": 16, "alpha": 16},
        {"rank": 8, "alpha": 32},
        {"rank": 8, "alpha": 16, "modules": ["q_proj"]},
    ]
    assert len({words_of(study, decode="t11", keep="finished", training={"lora": each}) for each in adapters}) == 4


@pytest.mark.parametrize("file", ALL)
def test_no_two_arms_of_a_study_read_alike(file: str) -> None:
    study = plain(file)
    legend = legend_of(study)
    alike = [(a, b) for a, b in combinations(legend.arms, 2) if legend.arms[a] == legend.arms[b]]
    assert alike == []
    assert [*legend.arms] == ["base", *study["arms"]] and [*legend.decodes] == [*study["decodes"]]


@pytest.mark.parametrize("file", STUDIES)
def test_all_that_tells_arms_apart_is_said(file: str) -> None:
    """Whatever of decode, keep, context, targets, method and neighbours an arm names, its line changes when that is taken out."""
    study = plain(file)
    other: dict[str, Any] = {
        "decode": "else", "keep": "everything", "context": None, "targets": "sampled", "length_like": None, "training": {},
        "practice": {}, "replays": None, "method": "grpo",
    }  # fmt: skip
    for fields in study["arms"].values():
        if fields["resample"]:
            continue
        for key, value in other.items():
            if (
                key in fields
                and fields[key] not in (value, None)
                and not (key == "context" and _tells_nothing(study, fields))
            ):
                instead = copy.deepcopy(fields) | {key: value}
                assert arm_in_words(study, Arm.model_construct(**instead)) != arm_in_words(study, Arm(**fields)), key


def _tells_nothing(study: dict[str, Any], fields: dict[str, Any]) -> bool:
    return bool(study["contexts"][fields["context"]]["wording"] == "{prompt}")


def test_the_kinds_of_arms_read_as_they_are() -> None:
    lab, doubt, practice = (legend_of(plain(file)).arms for file in (STUDIES[0], STUDIES[2], STUDIES[3]))
    assert lab["base"] == "the model as it is; nothing is trained"
    assert lab["ssd"] == (
        "learns the base’s own samples at t11; those that the token cap cut are left out; trained 2 times"
    )
    assert lab["keep-cut"] == "learns the base’s own samples at t11; those that the token cap cut are kept"
    assert lab["soft"].endswith("at each token it learns the base’s whole distribution (soft targets)")
    assert lab["aa"] == "the base once more, with other random numbers; nothing is trained (A/A control)"
    assert (
        "it gave them when told another right answer to the same problem (guided), and learns them without"
        in doubt["guided"]
    )
    assert "of each problem the one nearest in length to what guided learns" in doubt["unguided-short"]
    assert practice["grpo"] == (
        "answers while it trains (on-policy) and is rewarded for right ones, by group relative policy optimisation (GRPO); "
        "learning rate 3e-05 instead of 0.0003; trained 3 times"
    )
    assert "LoRA of rank 16 and alpha 32 instead of all weights" in practice["opsd"]
    assert "answers to a question: 1 instead of 8" in practice["opsd"]
    assert practice["sdpo-replays-grpo"].startswith("learns from the answers of grpo and is taught")
    assert practice["null-teacher"].endswith("told nothing more")
    assert "dataset’s own solutions" in words_of(plain(STUDIES[0]), samples="reference")


def test_decodes_say_their_law_and_what_they_are_for() -> None:
    legend = legend_of(plain("config/smoke.yaml"))
    assert legend.cap == "at most 224 tokens each"
    assert legend.decodes == {
        "t07": "temperature 0.7, top-k 20, top-p 0.95 (for evaluation)",
        "t11": "temperature 1.1, top-k 20, top-p 0.95 (for training samples)",
        "t15": "temperature 1.5, top-k 20, top-p 0.95 (for evaluation)",
        "plain": "temperature 1, the model’s own distribution (for training samples, for evaluation of the base)",
    }
    mixed = plain("config/smoke.yaml")
    mixed["decodes"]["t07"] |= {"temperature": 0.0, "max_tokens": 100}
    said = legend_of(mixed)
    assert said.cap == "" and "at most 224 tokens" in said.decodes["t11"]
    assert "at most 100 tokens, always the likeliest token" in said.decodes["t07"]


@pytest.mark.parametrize("word", IN_NAMES)
def test_a_method_is_spelled_out_that_names_are_made_of(word: str) -> None:
    assert IN_NAMES[word].startswith(f"{word.upper()} is ")
    assert IN_NAMES[word] in legend_of(plain("config/practice-lab.yaml")).sentences
    assert IN_NAMES[word] not in legend_of(plain("config.yaml")).sentences


def test_ssd_is_spelled_out_where_a_reader_meets_it() -> None:
    assert SSD in legend_of(plain("config.yaml")).sentences and "simple self-distillation" in SSD
    assert SSD not in legend_of(plain("config/practice-lab.yaml")).sentences
    named = plain("config/practice-lab.yaml")
    named["arms"]["on-policy-ssd"] = named["arms"].pop("sdpo-ema")
    assert SSD in legend_of(named).sentences


def test_what_all_arms_share_is_said_once() -> None:
    assert (
        legend_of(plain("config/smoke.yaml")).shared
        == "all weights; learning rate 3e-05; 208 examples in batches of 16"
    )
    assert "10 generations of 16 questions with 8 answers each" in legend_of(plain("config/practice-lab.yaml")).shared
    untrained = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text()) | {"arms": {"aa": {"resample": True}}}
    assert legend_of(untrained).shared == "" and legend_of({}).decodes == {}
