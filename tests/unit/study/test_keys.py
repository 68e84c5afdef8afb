"""What is told of each key: a sentence, a unit, an example that fits, and what runs again, held against requests and trainings."""

import copy
import json
import re
import runpy
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import pytest
import yaml
from pydantic import TypeAdapter

from conftest import ROOT
from selfdistill.sampling.asked import asked_of
from selfdistill.study import keys
from selfdistill.study.identity import differences
from selfdistill.study.keys import AGAIN, EXAMPLES, RUNS_AGAIN, UNITS, Key, all_keys, runs_again
from selfdistill.study.models import evaluated, runs, sources_of_samples
from selfdistill.study.study import Study
from selfdistill.study.words import in_words, standing_at
from selfdistill.training.asked import settings_of
from selfdistill.training.settings import RunSettings, run_identity

KEYS = {key.path: key for key in all_keys()}
VALUES = [key for key in KEYS.values() if key.holds_a_value]
REFERENCE = runpy.run_path(str(ROOT / "config/make_reference.py"))


def test_every_key_has_a_sentence_and_editors_show_it() -> None:
    assert [key.path for key in KEYS.values() if not (key.field.description or "").endswith((".", ")"))] == []
    schema = json.loads((ROOT / "config/schema.json").read_text())
    for section in (schema, *schema["$defs"].values()):
        assert [name for name, stands in section["properties"].items() if not stands.get("description")] == []
    assert schema["$defs"]["Training"]["properties"]["lr"]["description"].endswith("Runs again: trainings.")


def test_every_number_has_a_unit() -> None:
    """Not the values that a chat template takes."""
    numbers = {key.path for key in VALUES if "number" in in_words(key.field.annotation, key.field.metadata)}
    assert numbers - {path for path in numbers if path.endswith(".chat")} | {"practice.clip"} == set(UNITS)


def test_what_is_told_is_told_of_a_key_that_is_there() -> None:
    assert set(AGAIN) - set(KEYS) == set() and set(EXAMPLES) - set(KEYS) == set()
    assert set(AGAIN.values()) <= set(RUNS_AGAIN)
    assert {runs_again(key.path) for key in VALUES} == set(RUNS_AGAIN)


@pytest.mark.parametrize("key", VALUES, ids=lambda key: key.path)
def test_every_key_has_an_example_that_fits_it(key: Key) -> None:
    example = REFERENCE["example_of"](key)
    assert example is not None or key.path == "evaluation.mixture_draws"
    python = json.dumps(example)
    TypeAdapter(Annotated[key.field.annotation, key.field]).validate_json(python)  # type: ignore[arg-type]
    assert example != key.field.default or example is None, "an example that is the default shows nothing"


def test_no_section_says_the_same_twice() -> None:
    for key in KEYS.values():
        if key.inner is not None and "." not in key.path:
            said = re.findall(r"\w+", REFERENCE["about"](key).lower())
            parts = [tuple(said[at : at + 6]) for at in range(len(said) - 5)]
            assert len(parts) == len(set(parts)), key.path


# What runs again, held against what decides a sample and a training.


def whole() -> dict[str, Any]:
    """A study that has every key, of which no more is asked than that its types fit."""
    study = yaml.safe_load((ROOT / "docs/examples/every-table.yaml").read_text())
    study["model"]["revision"] = "a" * 40
    study["problems"]["sources"]["search-train"] |= {"hub": "owner/data", "revision": "b" * 40}
    study["problems"]["sources"]["search-eval"]["loader"] = "gsm8k"
    study["contexts"]["other"] = {"wording": "unguided"}
    study["sampling"] |= {"abort_loops": {}, "export_limit": 0.5}
    study["training"] |= {
        "lora": {"rank": 4, "alpha": 8},
        "checkpoints": [50, 100],
        "warmup_share": 0.1,
        "max_steps": 9,
    }
    study["training"]["processes"] = 1
    study["arms"]["learner"] = {"decode": "t07", "method": "distil"}
    study["practice"] = {"teacher": {"ema": 0.1}, "token_clip": 0.1, "coverage": 9}
    study["evaluation"] |= {
        "draws": {"base": 2, "arms": 1},
        "mixtures": {"hard": {"search-eval": 9}},
        "looks": [30, 60],
    }
    study["evaluation"] |= {
        "mixture_draws": {"hard": 3},
        "decodes": {"base": ["plain"], "final": ["plain"], "earlier": ["t07"]},
    }
    study["reported"] = {"theirs": {"hypothesis": "told-against-not-told", "difference": -0.1, "source": "somebody"}}
    return Study.model_validate(study).model_dump()


WHOLE = whole()
# Where the next value is not to be had from the type alone.
OTHERWISE: dict[str, Any] = {
    "plugins": ["plugins/mine.py"],
    "model.chat": {"enable_thinking": False},
    "model.hub": "owner/name",
    "problems.sources.NAME.options": {"levels": [5]},
    "problems.sources.NAME.loader": "gsm8k",
    "sampling.gpus": 1,
    "training.lora.modules": ["q_proj"],
    "training.trackers": ["wandb"],
    "evaluation.budgets": {"quick": 21, "full": 61},
    "evaluation.mixtures": {"hard": {"search-eval": 9}, "more": {"search-eval": 8}},
    "evaluation.draws": 3,
    "evaluation.mixture_draws": {"hard": 4},
    "evaluation.looks": [20, 60],
    "evaluation.decodes.earlier": ["plain"],
    "training.checkpoints": [100],
    "arms.NAME.seeds": [0, 7],
    "arms.NAME.training": {"lr": 1e-3},
    "arms.NAME.practice": {"prefix": 8},
    "arms.NAME.context": "other",
    "practice.clip": [0.1, 0.3],
    "practice.teacher": "fixed",
    "ladder.contexts": ["other"],
    "ladder.solved": [0.5, 1.0],
    "ladder.arms": ["guided"],
    "disagreement.arms": ["guided"],
    "annotation.arms": ["guided"],
    "annotation.judge.key_from": "OTHER_KEY",
    "contexts.NAME.chat": {"enable_thinking": False},
    "annotation.judge.chat": {"enable_thinking": False},
    "doubt.patterns": {"so-so": "so so"},
}
BY_NAME = {"arms.NAME": "guided", "decodes.NAME": "plain", "contexts.NAME": "guided", "problems.sources.NAME": "search-train",
           "hypotheses.NAME": "told-against-not-told", "reported.NAME": "theirs"}  # fmt: skip


def changed(key: Key) -> dict[str, Any]:
    study = copy.deepcopy(WHOLE)
    section: Any = study
    names = BY_NAME | ({"problems.sources.NAME": "search-eval"} if key.name == "options" else {})
    before = next((prefix for prefix in BY_NAME if key.path.startswith(f"{prefix}.")), "")
    if key.path in ("arms.NAME.method", "arms.NAME.practice", "arms.NAME.replays"):
        path = ["arms", "learner", key.name]
    else:
        path = (
            key.path.replace(before, f"{before.removesuffix('.NAME')}.{names[before]}").split(".")
            if before
            else key.path.split(".")
        )
    for part in path[:-1]:
        section = section[part]
    section[path[-1]] = OTHERWISE.get(key.path, another(section.get(path[-1]), path))
    return study


def another(value: Any, path: list[str]) -> Any:
    kind = standing_at(Study, path).annotation
    if get_origin(kind) is Literal:
        return next(name for name in get_args(kind) if name != value)
    if isinstance(value, bool) or kind is bool:
        return not value
    if isinstance(value, int | float) or kind in (int, float):
        return (value or 1) + 1 if isinstance(value, int) or kind is int else (value or 0.5) * 0.9
    if isinstance(value, list):
        return value[:-1] if value and isinstance(value[0], str) else [*value, 1] if not value or value[0] != 1 else [2]
    if path[-1] == "revision":
        return "c" * 40
    return next(name for name in ("t07", "plain", "guided", "unguided") if name != value)


def sampled(study: Study) -> dict[str, Any]:
    """Model → all that decides its requests, but its weights and what a problem's text is; and what decides the prompts."""
    models = [*sources_of_samples(study), *evaluated(study)]
    asked = {model: asked_of(study, model).model_dump(exclude={"shards"}) for model in models}
    prompts = [study.problems.prompt, study.problems.examples, study.model.chat, study.contexts]
    return asked | {"": [*prompts, study.evaluation.looks]}


def samples_anew(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """A checkpoint that was not there before is a training's doing."""
    new = [model for model in after if model not in before and "/seed-" not in model]
    return bool(new) or any(asked != after[model] for model, asked in before.items() if model in after)


def trained(study: Study) -> Iterator[Any]:
    """All that decides a training, but what its examples say."""
    yield study.training.examples, study.problems.reference
    for run in runs(study):
        arm, _, seed = run.partition("/seed-")
        of_arm = study.arms[arm]
        settings = RunSettings.model_validate(settings_of(study, arm, int(seed)))
        yield run, of_arm.differences, run_identity(settings, {})["settings"]
        if of_arm.method and study.practice:
            shared = study.practice.model_dump(exclude={"turns"})  # the decode, where the arm names none
            yield shared, study.practice_of(arm).model_dump(exclude={"turns"})


class Before(NamedTuple):
    study: Study
    sampled: dict[str, Any]
    trained: list[Any]


@pytest.fixture(scope="module")
def before() -> Before:
    study = Study.model_validate(WHOLE)
    return Before(study, sampled(study), list(trained(study)))


@pytest.mark.parametrize("key", VALUES, ids=lambda key: key.path)
def test_what_runs_again_is_what_decides_it(before: Before, key: Key) -> None:
    said = runs_again(key.path)
    other = changed(key)
    if differences(WHOLE, other):
        assert said == keys.ANOTHER
        return
    after = Study.model_validate(other)
    assert before.study != after
    if samples_anew(before.sampled, sampled(after)):
        assert said == keys.SAMPLES
    elif before.trained != list(trained(after)):
        assert said in (keys.TRAININGS, keys.SAMPLES)
    else:
        assert said not in (keys.TRAININGS, keys.SAMPLES, keys.ANOTHER)
