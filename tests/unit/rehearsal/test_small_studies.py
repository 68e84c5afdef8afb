"""A rehearsal is the study but for its size, and its files are read as the real ones will be."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, whatever_it_begins_with
from selfdistill.problems.datasets.convert import audit, convert
from selfdistill.rehearsal.rehearsal import LEAST, TRAIN_PROBLEMS, rehearse
from selfdistill.study.load import load_study

STUDIES = [
    file for file in (ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml"))) if file.stem != "throughputs"
]


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_shipped_study_can_be_rehearsed(file: Path, tmp_path: Path) -> None:
    raw = whatever_it_begins_with(yaml.safe_load(file.read_text()))
    real = load_study(raw, ROOT)
    small = load_study(yaml.safe_load(rehearse(raw, tmp_path / "given", "auto").read_text()), ROOT)
    for part in ("arms", "decodes", "hypotheses"):
        assert list(getattr(small, part)) == list(getattr(real, part))
    assert {arm.differences["keep"] for arm in small.arms.values()} == {
        arm.differences["keep"] for arm in real.arms.values()
    }
    assert (
        small.evaluation.decodes.base == real.evaluation.decodes.base
        and small.evaluation.decodes.final == real.evaluation.decodes.final
    )
    laws = [decode.model_dump(exclude={"max_tokens"}) for decode in real.decodes.values()]
    assert [decode.model_dump(exclude={"max_tokens"}) for decode in small.decodes.values()] == laws
    assert small.model.hub == real.model.hub and small.training.gpus == 0


def test_what_lies_in_the_files_is_kept_by_the_loaders(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())
    study = load_study(yaml.safe_load(rehearse(raw, tmp_path / "given", "torch").read_text()), ROOT)
    for source in study.problems.sources.values():
        assert source.loader is not None
        rows, dropped = conversion = convert(source.loader, Path(source.path), source.options)
        assert not audit(source.loader, source.options, conversion)["alarm"]  # nobody expects the whole dataset
        assert not dropped and len(rows) == (TRAIN_PROBLEMS if source.use == "train" else LEAST)


def test_what_a_study_asks_whole_is_asked_whole_of_small_datasets(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())
    small = load_study(yaml.safe_load(rehearse(raw, tmp_path / "whole", "torch").read_text()), ROOT).evaluation
    assert small.budgets == {"quick": 12, "full": "all"} and small.mixtures["aime-25"] == {"aime-25": "all"}
    assert set(small.mixture_draws.values()) == {2}
    raw["evaluation"] |= {
        "budgets": {"quick": 300, "full": 1000},
        "mixtures": {"few": {"beyond-aime": 85}},
        "mixture_draws": {},
    }
    part = load_study(yaml.safe_load(rehearse(raw, tmp_path / "part", "torch").read_text()), ROOT).evaluation
    assert part.budgets == {"quick": 12, "full": 30} and part.mixtures == {"few": {"beyond-aime": 2}}


def test_unequal_draws_and_shared_noise_are_rehearsed_too(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())
    raw["evaluation"] |= {"draws": {"base": 3, "arms": 1}}
    small = load_study(yaml.safe_load(rehearse(raw, tmp_path / "given", "torch").read_text()), ROOT).evaluation
    assert (small.draws_by_side.base, small.draws_by_side.arms, small.coupling) == (3, 1, "shared")
    assert set(small.mixture_draws.values()) == {4}


def test_some_arms_alone_take_along_the_hypotheses_that_speak_of_no_other(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "workflow_scripts/forklock.py"),
        "rehearse",
        str(ROOT / "config/qwen3.5-4b.yaml"),
        "--arms",
    ]
    made = subprocess.run([*command, "ssd", "soft"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    study = yaml.safe_load((tmp_path / made.stdout.strip()).read_text())
    assert list(study["arms"]) == ["ssd", "soft"]
    assert set(study["hypotheses"]) == {"ssd-at-0-7", "ssd-at-1-0", "ssd-at-1-5", "ssd-fair", "soft-against-sampled"}
    made = subprocess.run([*command, "sdd"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert made.stderr.startswith("error: --arms: the study has no arm 'sdd'; there are: ssd, keep-cut")


@pytest.mark.parametrize("engine", ["torch", "vllm"])
def test_probes_are_rehearsed_as_far_as_the_engine_goes(tmp_path: Path, engine: str) -> None:
    raw = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())
    arm, other = (name for name, each in list(raw["arms"].items())[:2] if not each.get("resample"))
    raw["mechanism"] = {
        "decode": raw["evaluation"]["decodes"]["final"][0], "carriers": 200, "arms": [arm, other], "depth": {},
        "noise": {"arms": [other]}, "branches": {"arm": other, "batches": [16, 64], "examples": 2048},
    }  # fmt: skip
    mechanism = load_study(yaml.safe_load(rehearse(raw, tmp_path / "all", engine).read_text()), ROOT).mechanism
    assert mechanism and mechanism.carriers == 8 and mechanism.branches and mechanism.branches.examples == 32
    assert (mechanism.depth is None) == (engine == "vllm")
    small = rehearse(raw, tmp_path / "few", engine, arms=[arm, "aa"])
    few = load_study(yaml.safe_load(small.read_text()), ROOT).mechanism
    assert few and few.arms == [arm] and few.branches is None and few.noise and few.noise.arms == []


def test_contexts_are_rehearsed_in_a_wording_that_the_lab_answers(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())
    raw["contexts"] = {
        "guided": {"wording": "guided", "solution": "sibling"},
        "regenerated": {"wording": "guided", "solution": "context", "context": "guided"},
        "dataset": {"wording": "opsd", "solution": "dataset"},
        "quiet": {"chat": {"enable_thinking": False}},
    }
    decode = raw["arms"]["ssd"]["decode"]
    raw["arms"] = {name: {"decode": decode, "keep": "finished", "context": name} for name in raw["contexts"]}
    raw["arms"] |= {
        "ug": {"decode": decode, "keep": "correct"},
        "sg": {"decode": decode, "keep": "correct", "context": "guided"},
    }
    raw["training"]["draws"] = 8
    raw["hypotheses"] = {}
    raw.pop("mechanism", None)
    small = load_study(yaml.safe_load(rehearse(raw, tmp_path / "given", "torch").read_text()), ROOT)
    assert small.training.draws == 4 and list(small.contexts) == list(raw["contexts"])
    assert [context.solution for context in small.contexts.values()] == ["sibling", "context", "answer", None]
    assert small.contexts["quiet"].tells_nothing and small.contexts["guided"].over_length == "skip"


def test_a_ladder_is_rehearsed_with_problems_that_the_labs_model_answers(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())
    arm, other = (name for name, each in list(raw["arms"].items())[:2] if not each.get("resample"))
    raw["contexts"] = {"guided": {"wording": "guided", "solution": "sibling"}}
    raw["ladder"] = {
        "contexts": ["guided"], "decode": next(iter(raw["decodes"])), "draws": 8, "problems": 100, "pool": 2000,
        "solved": [0.125, 0.5], "use": "train", "arms": [arm, other],
    }  # fmt: skip
    ladder = load_study(yaml.safe_load(rehearse(raw, tmp_path / "all", "torch").read_text()), ROOT).ladder
    assert ladder and (ladder.problems, ladder.asked, ladder.draws, ladder.solved) == (8, 8, 4, [0.0, 1.0])
    few = load_study(yaml.safe_load(rehearse(raw, tmp_path / "few", "torch", arms=[arm]).read_text()), ROOT).ladder
    assert few and few.arms == [arm] and ladder.arms == [arm, other]


DOUBT = sorted((ROOT / "config").glob("doubt-*.yaml"))


@pytest.mark.parametrize("file", DOUBT, ids=lambda file: file.stem)
def test_an_arm_that_matches_a_length_takes_along_the_arm_that_has_it(file: Path, tmp_path: Path) -> None:
    raw = yaml.safe_load(file.read_text())
    few = load_study(
        yaml.safe_load(rehearse(raw, tmp_path / "few", "torch", arms=["unguided", "unguided-short"]).read_text()), ROOT
    )
    assert {*few.arms} == {"unguided", "unguided-short", "guided"}
    assert {each.hypothesis for each in few.reported.values()} <= {*few.hypotheses}


def test_sections_that_name_arms_name_those_that_are_left(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "config/doubt-lab.yaml").read_text())
    raw["ladder"]["arms"] = ["unguided", "guided"]
    raw["annotation"] = {
        "judge": {"model": "judge", "server": "http://localhost:1/v1"}, "decode": "plain", "arms": ["unguided", "guided"],
    }  # fmt: skip
    raw["reported"] = {
        name: {"hypothesis": hypothesis, "difference": -0.1, "source": "somebody"}
        for name, hypothesis in (("one", "unguided-does-not"), ("other", "guided-forgets-to-search"))
    }
    few = load_study(yaml.safe_load(rehearse(raw, tmp_path / "few", "torch", arms=["unguided"]).read_text()), ROOT)
    assert few.ladder and few.ladder.arms == ["unguided"] and list(few.reported) == ["one"]
    assert few.disagreement and few.disagreement.arms == ["unguided"]
    assert few.annotation and few.annotation.arms == ["unguided"] and few.annotation.answers == 8
    told = load_study(yaml.safe_load(rehearse(raw, tmp_path / "told", "torch", arms=["guided"]).read_text()), ROOT)
    assert told.disagreement is None  # no arm asks for the bare samples that would be read
