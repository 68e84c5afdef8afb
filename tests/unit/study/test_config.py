"""A wrong study file is one sentence that names the key and says the mend."""

import copy
import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import whatever_it_begins_with
from selfdistill.foundation.errors import UserError
from selfdistill.problems.datasets.registry import all_datasets
from selfdistill.study.arms import Arm
from selfdistill.study.factorial import factorial_cells
from selfdistill.study.load import load_study
from selfdistill.study.loaders import LOADERS
from selfdistill.study.models import evaluated, runs, sources_of_samples
from selfdistill.study.training import Recipe

ROOT = Path(__file__).resolve().parents[3]
LAB = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(path: str, value: Any, remove: bool = False) -> dict[str, Any]:
    study = copy.deepcopy(LAB)
    *folders, key = path.split("/")
    section = study
    for folder in folders:
        section = section[folder]
    if remove:
        del section[key]
    else:
        section[key] = value
    return study


STUDIES = [ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml"))]


@pytest.mark.parametrize("file", [file for file in STUDIES if "study" in yaml.safe_load(file.read_text())], ids=str)
def test_every_shipped_study_is_valid(file: Path) -> None:
    """Also where neither its model nor its datasets are on this machine."""
    load_study(whatever_it_begins_with(yaml.safe_load(file.read_text())), ROOT)


def test_presets_are_the_field_study_with_their_changes() -> None:
    presets = runpy.run_path(str(ROOT / "config/make_presets.py"))
    for name in [*presets["PRESETS"], *presets["DOUBTS"], *presets["PRACTICES"]]:
        assert (ROOT / f"config/{name}.yaml").read_text() == presets["preset"](name), (
            "run python config/make_presets.py"
        )


@pytest.mark.parametrize("name", ["smollm2-360m", "smollm2-1.7b"])
def test_a_larger_sister_of_smollm2_is_the_same_two_studies_of_another_model(name: str) -> None:
    presets = runpy.run_path(str(ROOT / "config/make_presets.py"))
    warm, main = (presets["sister"](study, name) for study in ("smollm2-135m-warm", "smollm2-135m"))
    hub = f"HuggingFaceTB/SmolLM2-{name.removeprefix('smollm2-').upper()}-Instruct"
    made, small = yaml.safe_load(warm), yaml.safe_load((ROOT / "config/smollm2-135m-warm.yaml").read_text())
    assert made["model"] == small["model"] | {"hub": hub, "path": f"hub/{hub.split('/')[1]}"}
    assert made | {"model": 0, "study": 0} == small | {"model": 0, "study": 0} and made["study"] == f"{name}-warm"
    assert yaml.safe_load(main)["model"]["path"].startswith(f"results/{name}-warm/runs/")
    assert "It has not been run" in warm and "135m" not in warm.split("# Every key is checked")[1].lower()
    load_study(made, ROOT)


def test_the_loaders_that_a_study_may_name_are_those_that_there_are() -> None:
    assert [dataset.name for dataset in all_datasets().values()] == LOADERS


def test_no_commit_is_pinned_that_nobody_could_verify() -> None:
    for file in (ROOT / "config").glob("*.yaml"):
        study = yaml.safe_load(file.read_text())
        for part in (study["model"], *study["problems"]["sources"].values()) if "study" in study else ():
            assert not part.get("revision"), file


WRONG_OF_THE_HUB = {
    "a commit of nothing": ("model/revision", "1" * 40, "model.revision: is a commit of a repository; name that as model.hub"),
    "a revision that is no commit": ("model/revision", "main", "model.revision: needs a commit (40 digits and letters from a to f, in quotes), but is 'main'"),
    "a source's commit without its loader": (
        "problems/sources/quiz/revision", "1" * 40, "problems.sources.quiz.revision: is for public datasets; name the loader",
    ),
    "an unknown loader": ("problems/sources/quiz/loader", "mathqa", "problems.sources.quiz.loader: there is no loader 'mathqa'; there are: aime-1983-2024"),
    "a file where a folder is read": (
        "problems/sources/quiz/loader", "beyond-aime", "problems.sources.quiz.path: 'resources/lab/problems/quiz.jsonl' is a file",
    ),
    "a mixture of what is not evaluated": (
        "evaluation/mixtures", {"hard": {"drills": 10}}, "evaluation.mixtures.hard.drills: no evaluation source is named 'drills'",
    ),
    "a report of no hypothesis": (
        "reported", {"aime": {"hypothesis": "ssd-at-0-6", "difference": -0.1, "source": "x"}},
        "reported.aime.hypothesis: no hypothesis is named 'ssd-at-0-6'; did you mean",
    ),
    "a report of no mixture": (
        "reported", {"aime": {"hypothesis": "ssd-fair", "difference": -0.1, "of": "hard", "source": "x"}},
        "reported.aime.of: no mixture is named 'hard'",
    ),
    "a report of lengths": (
        "reported", {"aime": {"hypothesis": "the-filter-ends-answers", "difference": -0.1, "source": "x"}},
        "reported.aime.hypothesis: 'the-filter-ends-answers' is not about accuracy",
    ),
    "a report in percent": (
        "reported", {"aime": {"hypothesis": "ssd-fair", "difference": -22, "source": "x"}}, "reported.aime.difference: needs a number",
    ),
    "a mixture named as a budget": ("evaluation/mixtures", {"full": {"quiz": 10}}, "evaluation.mixtures.full: is the name of a budget"),
}  # fmt: skip

WRONG = {
    "a misspelt section": ("traning", {}, "did you mean 'training'?"),
    "a misspelt key": ("training/learning_rate", 1e-3, "training.learning_rate: there is no such key"),
    "a misspelt key of a decode": ("decodes/t07/temprature", 1.0, "did you mean 'temperature'?"),
    "a number read as text": ("training/lr", "1e-5", "training.lr: '1e-5' is text where a number is needed (YAML reads 1e-5 as text; write 1.0e-05)"),
    "an unknown decode in an arm": ("arms/ssd/decode", "plane", "arms.ssd.decode: no decode is named 'plane'; did you mean 'plain'?"),
    "an unknown decode in the evaluation": ("evaluation/decodes/final", ["t05", "t07", "t10", "t15", "t99"], "evaluation.decodes.final: no decode is named 't99'"),
    "a negative temperature": ("decodes/t07/temperature", -0.1, "decodes.t07.temperature: needs a number of at least 0, but is -0.1."),
    "top_p over one": ("decodes/t07/top_p", 1.2, "decodes.t07.top_p: needs a number above 0 and of at most 1, but is 1.2."),
    "more tokens than the context": ("decodes/t07/max_tokens", 4000, "do not fit the model's context of 320"),
    "more context than the model has": ("model/context", 100000, "over what the model was made for (512"),
    "a missing model": ("model/path", "no/such/model", "model.path: there is no folder 'no/such/model'"),
    "a folder that is no model": ("model/path", "rules", "holds no config.json with safetensors weights"),
    "a missing source": ("problems/sources/quiz/path", "no.jsonl", "problems.sources.quiz.path: there is no file 'no.jsonl'"),
    "a missing sheet of the audit": ("evaluation/audit", {"filled": "no.csv"}, "evaluation.audit.filled: there is no file 'no.csv'"),
    "too few rows of the audit": ("evaluation/audit", {"rows": 3}, "evaluation.audit.rows: needs a whole number of at least 20"),
    "a prompt without the problem": ("problems/prompt", "Solve it.", "problems.prompt: must contain {problem}"),
    "a batch over the dataset": ("training/batch", 3200, "larger than the dataset"),
    "a micro-batch that does not divide": ("training/micro_batch", 5, "does not divide"),
    "one micro-batch a step": ("training/micro_batch", 32, "at least two micro-batches"),
    "a floor above the peak": ("training/lr_floor", 0.1, "lies above the peak"),
    "checkpoints that do not end": ("training/checkpoints", [50], "the last being 100"),
    "a quick budget over the full one": ("evaluation/budgets/quick", 900, "evaluation.budgets.quick"),
    "a budget in words": ("evaluation/budgets/full", "most", "evaluation.budgets.full: needs a whole number above 0 or all, but is 'most'."),
    "a budget of nothing": ("evaluation/budgets/full", 0, "evaluation.budgets.full: needs a whole number above 0 or all, but is 0."),
    "a whole quick budget beside a number": ("evaluation/budgets/quick", "all", "evaluation.budgets.quick: is larger than full"),
    "a part of a source in words": (
        "evaluation/mixtures", {"hard": {"quiz": "half"}}, "evaluation.mixtures.hard.quiz: needs a whole number above 0 or all, but is 'half'.",
    ),
    "draws of no mixture": ("evaluation/mixture_draws", {"hard": 16}, "evaluation.mixture_draws.hard: no mixture has that name"),
    "pass@k without the draws": ("evaluation/pass_at", [4], "pass@4 needs that many draws"),
    "draws of nobody": ("evaluation/draws", {"base": 4, "arms": 1, "arm": 1}, "evaluation.draws.arm: there is no such key; did you mean 'arms'?"),
    "half the draws": ("evaluation/draws", {"base": 4}, "evaluation.draws.arms: is missing"),
    "no draws of the arms": ("evaluation/draws", {"base": 4, "arms": 0}, "evaluation.draws.arms: needs a whole number above 0, but is 0."),
    "draws in words": ("evaluation/draws", "two", "evaluation.draws: needs a whole number above 0 or a section, but is 'two'."),
    "pass@k of neither side": ("evaluation/draws", {"base": 1, "arms": 1}, "pass@2 needs that many draws; evaluation.draws is 1."),
    "a trained arm without a filter": ("arms/ssd", {"decode": "t11"}, "needs both decode and keep"),
    "a decode of an arm on solutions": ("arms/ssd", {"samples": "reference", "decode": "t11"}, "arms.ssd.decode: an arm with samples: reference learns the dataset's own solutions, and nothing is sampled for it; remove the key."),
    "a filter of an arm on solutions": ("arms/ssd", {"samples": "reference", "keep": "finished"}, "arms.ssd.keep: an arm with samples: reference"),
    "soft targets of solutions": ("arms/ssd", {"samples": "reference", "targets": "soft"}, "arms.ssd.targets: an arm with samples: reference"),
    "solutions for what trains nothing": ("arms/aa/samples", "reference", "arms.aa: an arm with resample trains nothing"),
    "samples of nobody": ("arms/ssd/samples", "teacher", "arms.ssd.samples: needs own or reference"),
    "two equal arms": ("arms/twin", {"decode": "t11", "keep": "finished"}, "is the same as arms.ssd"),
    "two equal decodes": ("decodes/twin", {"temperature": 0.7, "top_k": 20, "top_p": 0.95, "max_tokens": 224}, "is the same as decodes.t07"),
    "an arm called base": ("arms/base", {"decode": "t10", "keep": "finished"}, "belong to the untrained model"),
    "a study of another kind in the results of one": ("results", "results/models", "results: 'models' is the name of something inside"),
    "results outside the project": ("results", "../elsewhere", "results: needs a folder (a path below the project's folder, as results/mine), but is '../elsewhere'"),
    "nothing to train": ("arms", {"aa": {"resample": True}}, "at least one arm must train something"),
    "pass at zero": ("evaluation/pass_at", [0, 1], "evaluation.pass_at.0: needs a whole number above 0, but is 0."),
    "a decode twice": ("evaluation/decodes/final", ["t05", "t07", "t10", "t15", "t07"], "evaluation.decodes.final: names something twice"),
    "a hypothesis about the base": ("hypotheses/ssd-fair/arm", "base", "compares 'base' with 'base'"),
    "an arm of another number of steps": (
        "arms/ssd/training", {"batch": 16}, "arms.ssd.training: takes 100 steps where other arms take 50",
    ),
    "an arm that stops earlier": ("arms/fixed-point/training", {"max_steps": 20}, "arms.fixed-point.training: takes 20 steps where"),
    "an arm of more epochs": ("arms/fixed-point/training", {"epochs": 2}, "arms.fixed-point.training: takes 100 steps where"),
    "an equal budget that is called unequal": ("arms/ssd/unequal_budget", True, "arms.ssd.unequal_budget: takes 50 steps as the other arms"),
    "a budget of what trains nothing": ("arms/aa/unequal_budget", True, "arms.aa: an arm with resample trains nothing"),
    "an endless warm-up": ("training/warmup_steps", 50, "are all of the 50 steps"),
    "an infinite temperature": ("decodes/t07/temperature", float("inf"), "decodes.t07.temperature: needs a number of at least 0, but is .inf."),
    "more training samples than there are lines": ("training/samples", 100000, "training.samples: asks for 100000 problems, but the train sources hold"),
    "a full budget over the data": ("evaluation/budgets/full", 9999, "evaluation.budgets.full: asks for 9999 problems"),
    "a seed twice": ("arms/ssd/seeds", [1, 1], "none twice"),
    "a hypothesis about nobody": ("hypotheses/ssd-fair/arm", "sds", "no arm is named 'sds'; did you mean 'ssd'?"),
    "a claim about the method from one training": ("hypotheses/fixed-point-is-null/claim", "method", "fixed-point has one training seed, which tells nothing of the method"),
    "a margin of three hundred points": ("hypotheses/ssd-fair/margin", 3, "a difference of shares lies between 0 and 1"),
    "a matched hypothesis without a decode": ("hypotheses/ssd-fair/comparison", "matched", "a matched comparison needs one"),
    "an arm name unfit for a path": ("arms/Up And Away", {"resample": True}, "arms.Up And Away: is no name; write small letters, digits and hyphens after a small letter"),
}  # fmt: skip


WRONG |= WRONG_OF_THE_HUB


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_study_is_one_sentence(name: str) -> None:
    path, value, expected = WRONG[name]
    with pytest.raises(UserError) as error:
        load_study(changed(path, value), ROOT)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


RENAMED = {
    "model/dtype": ("float32", "model.dtype: is now called sampling.precision"),
    "evaluation/base": (["t07"], "evaluation.base: is now called evaluation.decodes.base"),
    "evaluation/final": (["t07"], "evaluation.final: is now called evaluation.decodes.final"),
    "evaluation/earlier": ([], "evaluation.earlier: is now called evaluation.decodes.earlier"),
}


@pytest.mark.parametrize("path", RENAMED)
def test_a_key_that_was_renamed_is_told_its_new_name(path: str) -> None:
    value, expected = RENAMED[path]
    with pytest.raises(UserError) as error:
        load_study(changed(path, value), ROOT)
    assert expected in str(error.value)


def test_results_lie_in_a_folder_of_the_studys_name_unless_it_says_otherwise() -> None:
    assert load_study(LAB, ROOT).results == "results"
    assert load_study(changed("results", "elsewhere/mine"), ROOT).results == "elsewhere/mine"
    study = changed("results", None, remove=True)
    assert load_study(study, ROOT).results == "results/lab"
    with pytest.raises(UserError, match="study: 'models' is the name of something inside every folder of results"):
        load_study(study | {"study": "models"}, ROOT)


@pytest.mark.parametrize("quick", [30, "all"])
def test_every_problem_may_be_asked(quick: int | str) -> None:
    raw = changed("evaluation/budgets", {"quick": quick, "full": "all"})
    raw["evaluation"] |= {"mixtures": {"olympiad": {"olympiad": "all"}}, "mixture_draws": {"olympiad": 16}}
    evaluation = load_study(raw, ROOT).evaluation
    assert (evaluation.budgets["full"], evaluation.mixtures["olympiad"]) == ("all", {"olympiad": "all"})


def test_a_mixture_with_no_more_draws_than_the_rest_is_refused() -> None:
    raw = changed("evaluation/mixtures", {"hard": {"olympiad": 5}})
    raw["evaluation"]["mixture_draws"] = {"hard": 2}
    said = (
        "evaluation.mixture_draws.hard: 2 are no more than evaluation.draws (2), which every problem gets; remove it."
    )
    with pytest.raises(UserError) as error:
        load_study(raw, ROOT)
    assert said in str(error.value)


def test_the_sides_of_unequal_draws_are_both_heeded() -> None:
    raw = changed("evaluation/draws", {"base": 4, "arms": 1})
    raw["evaluation"] |= {"pass_at": [1, 4], "mixtures": {"hard": {"olympiad": 5}}, "mixture_draws": {"hard": 4}}
    evaluation = load_study(raw, ROOT).evaluation
    assert (evaluation.draws_by_side.of(trained=False), evaluation.draws_by_side.of(trained=True)) == (4, 1)
    raw["evaluation"]["mixture_draws"] = {"hard": 2}
    with pytest.raises(
        UserError, match="mixture_draws.hard: 2 are fewer than the 4 that every problem gets of one side"
    ):
        load_study(raw, ROOT)


def test_an_arm_may_have_a_budget_of_its_own_when_the_study_says_so() -> None:
    arm = {"decode": "t11", "keep": "finished", "training": {"epochs": 2}, "unequal_budget": True}
    study = load_study(changed("arms/long", arm), ROOT)
    assert study.recipe("long").steps(study.training.examples) == 2 * study.recipe("ssd").steps(study.training.examples)
    equal = arm | {"training": {"epochs": 2, "batch": 64}, "unequal_budget": False}
    assert not load_study(changed("arms/long", equal), ROOT).arms["long"].unequal_budget


def test_an_arm_on_solutions_is_another_method_and_leaves_that_of_all_others_as_it_was() -> None:
    assert "samples" not in Arm(decode="t11", keep="finished").differences
    assert Arm(samples="reference").differences["samples"] == "reference"
    study = load_study(
        changed("arms/solved", {"samples": "reference", "seeds": [0, 1], "training": {"lr": 1e-5}}), ROOT
    )
    assert "solved/seed-1" in runs(study) and "solved/seed-0/at-100" in evaluated(study)
    assert sources_of_samples(study) == sources_of_samples(load_study(LAB, ROOT))
    assert factorial_cells(study.arms, study.decodes) == factorial_cells(load_study(LAB, ROOT).arms, study.decodes)


def test_a_study_may_train_on_solutions_alone() -> None:
    study = load_study(
        changed("arms", {"solved": {"samples": "reference"}, "aa": {"resample": True}})
        | {"hypotheses": {}, "mechanism": None},
        ROOT,
    )
    assert sources_of_samples(study) == [] and factorial_cells(study.arms, study.decodes) is None


def test_the_word_for_an_unequal_budget_distinguishes_no_arm_by_itself() -> None:
    arm: dict[str, Any] = {"decode": "t11", "keep": "finished"}
    assert Arm(**arm, unequal_budget=True).differences == Arm(**arm).differences
    assert "unequal_budget" not in Recipe.model_fields


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UserError, match="seed: is missing"):
        load_study(changed("seed", None, remove=True), ROOT)


def test_the_schema_for_editors_is_in_sync() -> None:
    sys.path.insert(0, str(ROOT / "config"))
    from make_schema import schema_text

    assert (ROOT / "config/schema.json").read_text() == schema_text(), "run make schema"


def test_the_reference_of_keys_is_in_sync() -> None:
    reference = runpy.run_path(str(ROOT / "config/make_reference.py"))
    assert (ROOT / "docs/study-file.md").read_text() == reference["reference_text"](), "run make schema"


def test_the_reference_has_every_key_and_says_what_it_means() -> None:
    text = (ROOT / "docs/study-file.md").read_text()
    schema = json.loads((ROOT / "config/schema.json").read_text())
    keys = {key for section in (schema, *schema["$defs"].values()) for key in section["properties"]}
    for key in keys - set(schema["properties"]) | {"study", "seed", "results"}:
        assert re.search(rf"[`.]{key}[`.]", text), key
    for row in re.findall(r"^\| `.*", text, re.MULTILINE):
        assert re.sub(r"`[^`]*`", "", row).count(" | ") == 6 and not row.endswith("|  |"), row


def test_the_schema_accepts_the_shipped_studies() -> None:
    import jsonschema

    schema = json.loads((ROOT / "config/schema.json").read_text())
    for file in ("config.yaml", "config/smoke.yaml", "config/lab-full.yaml"):
        jsonschema.validate(yaml.safe_load((ROOT / file).read_text()), schema)
