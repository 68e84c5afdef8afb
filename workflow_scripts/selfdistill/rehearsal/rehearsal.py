"""The rehearsal of a study: all of it but its size.

Its arms, decodes, hypotheses, loaders, engine and cluster are those of the study. The lab's model stands where the model
belongs, and the lab's problems lie in files of the public datasets' shapes, so that they are found, read, filtered,
tokenised, sampled, trained on, evaluated and told of in the way that the real ones will be. The numbers mean nothing.
"""

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from selfdistill.foundation.files import write_text
from selfdistill.rehearsal.copies import bring, forget_copies
from selfdistill.rehearsal.recorded_shapes import Problem, write_in_shape
from selfdistill.study.contexts import OF_SAMPLES
from selfdistill.study.evaluation import ALL
from selfdistill.study.plugins import reference_of
from selfdistill.study.practice import PracticeRecipe, practice_of
from selfdistill.study.training import Recipe

LAB = Path(__file__).parents[3] / "resources/lab"
SUFFIX = "-rehearsal"
PROMPT = "{problem}\nPut the answer in \\boxed{}."
TOLD = "{prompt}\n{solution}"
CONTEXT, LARGEST_CAP, BETWEEN_CAPS = 320, 224, 16  # tokens
TRAIN_PROBLEMS, EVAL_PROBLEMS, BUDGETS = 160, 24, {"quick": 12, "full": 30}
CARRIERS, DRAWS, LADDER_PROBLEMS, JUDGED = 8, 4, 8, 8
LEAST = 4  # of a dataset that is asked whole
TRAINING = {
    "samples": 160, "examples": 64, "batch": 16, "micro_batch": 4, "epochs": 1, "lr": 3.0e-5, "lr_floor": 6.0e-6,
    "warmup_steps": 1, "measure_every": 2, "save_every": 2, "gpus": 0, "nodes": 1, "processes": None, "compile": False,
    "activations": "auto", "max_steps": None, "warmup_share": None,
}  # fmt: skip
PRACTICE = {"generations": 2, "questions": 16, "rollouts": 4, "updates": 2}
BETWEEN_COVERAGES, SUPPORT = 3, 100
SAMPLING = {"precision": "float32", "batch": 192, "shards_base": 2, "shards_checkpoint": 1, "gpus": 0}
LOOPS = {"max_period": 2048, "min_repeats": 4, "min_tokens": 48}


def rehearse(
    raw: dict[str, Any], folder: Path, engine: str, whole: bool = False, arms: Sequence[str] | None = None
) -> Path:
    """Write the small study and all that it reads into the folder; the path of its file. `whole` keeps every seed and
    every checkpoint, which are many short jobs; with `arms` the others are left out."""
    study = shrunk(raw, engine, whole)
    if arms:
        _leave_out_all_but(arms, study)
    study["model"]["path"] = str(folder / "model")
    loaded = {name: source for name, source in study["problems"]["sources"].items() if "loader" in source}
    for name, source in loaded.items():
        source["path"] = str(folder / name)
    with TemporaryDirectory() as made:
        loaded = {name: source | {"loader": _reference(study, source["loader"])} for name, source in loaded.items()}
        _write_stand_ins(loaded, study["evaluation"]["budgets"]["full"] == ALL, Path(made))
        forget_copies(bring(Path(made), folder), folder.parent)
    text = yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
    file = folder / "study.yaml"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)
    return file


def _reference(study: Mapping[str, Any], loader: str) -> str:
    return reference_of(study.get("plugins", []), "loader", loader)


def _leave_out_all_but(named: Sequence[str], study: dict[str, Any]) -> None:
    """Arms take along those whose length they match, or whose rollouts they replay."""
    with_them = (study["arms"][name].get(key) for name in named for key in ("length_like", "replays"))
    arms = {*named, *filter(None, with_them)}
    study["arms"] = {name: arm for name, arm in study["arms"].items() if name in arms}
    study["hypotheses"] = {
        name: hypothesis
        for name, hypothesis in study.get("hypotheses", {}).items()
        if {hypothesis["arm"], hypothesis.get("against", "base")} <= {"base", *arms}
    }
    if not any(arm.get("method") for arm in study["arms"].values()):
        study.pop("practice", None)
    if "reported" in study:
        study["reported"] = {
            name: each for name, each in study["reported"].items() if each["hypothesis"] in study["hypotheses"]
        }
    mechanism = study.get("mechanism") or {}
    others = [study.get(section) or {} for section in ("ladder", "disagreement", "annotation")]
    for section in (mechanism, mechanism.get("noise") or {}, *others):
        if "arms" in section:
            section["arms"] = [name for name in section["arms"] if name in arms]
    if mechanism.get("branches") and mechanism["branches"]["arm"] not in arms:
        mechanism.pop("branches")
    if study.get("disagreement") and not _is_read(study, study["disagreement"]):
        study.pop("disagreement")


def _is_read(study: Mapping[str, Any], disagreement: Mapping[str, Any]) -> bool:
    """Whether somebody reads the base's samples, and some arm asks for them."""
    asked = {arm.get("decode") for arm in study["arms"].values() if not arm.get("context")}
    return disagreement["decode"] in asked and bool(disagreement.get("contexts") or disagreement.get("arms"))


def _write_stand_ins(loaded: Mapping[str, Any], asks_all: bool, folder: Path) -> None:
    """The lab's model, and a dataset of the lab's problems for every loader."""
    shutil.copytree(LAB / "model", folder / "model")
    asked = [source for source in loaded.values() if source["use"] == "eval"]
    # Where every problem is asked, few make the study small.
    each = max(LEAST, BUDGETS["full"] // max(1, len(asked))) if asks_all else EVAL_PROBLEMS
    train, evaluation = (lab_problems(names) for names in (("drills", "homework"), ("quiz", "exam", "olympiad")))
    for name, source in loaded.items():
        pool, count = (train, TRAIN_PROBLEMS) if source["use"] == "train" else (evaluation, each)
        levels = source.get("options", {}).get("levels")
        mine, pool[:] = pool[:count], pool[count:]
        write_in_shape(source["loader"], folder / name, [within(problem, levels) for problem in mine])


def shrunk(raw: dict[str, Any], engine: str, whole: bool) -> dict[str, Any]:
    study = copy.deepcopy(raw)
    study["study"] += SUFFIX
    study.pop("results", None)
    study["model"] |= {"revision": "", "context": CONTEXT, "chat": {}, "trust_remote_code": None}
    study["problems"]["prompt"] = PROMPT  # the only wording and the only format that the lab's model knows
    study["problems"].pop("examples", None)
    for source in study["problems"]["sources"].values():
        if "loader" in source:
            # With a limit nobody expects the whole dataset of the few problems that stand in for it.
            source |= {"revision": "", "options": {"limit": TRAIN_PROBLEMS} | source.get("options", {})}
    caps = sorted({decode["max_tokens"] for decode in study["decodes"].values()}, reverse=True)
    for decode in study["decodes"].values():  # different caps stay different
        decode["max_tokens"] = LARGEST_CAP - BETWEEN_CAPS * caps.index(decode["max_tokens"])
    study["sampling"] = study.get("sampling", {}) | SAMPLING | {"engine": engine}
    study["grading"] = study.get("grading", {}) | {"loops": LOOPS}
    study["grading"].pop("answer", None)
    usual_batch = study["training"].get("batch", TRAINING["batch"])
    # A study that only practises has no samples.
    unused = {"samples", "examples"} - set(study["training"])
    study["training"] |= {key: value for key, value in TRAINING.items() if key not in unused}
    _shrink_practice(study)
    for arm in study["arms"].values():
        if (own := arm.get("training")) and not arm.get("method"):
            _shrink_arm(arm, own, usual_batch, study["training"])
    _shrink_contexts(study)
    if study.get("ladder"):
        _shrink_ladder(study["ladder"])
    if study.get("annotation"):
        annotation = study["annotation"]
        annotation["answers"] = min(annotation.get("answers", JUDGED), JUDGED)
    _shrink_evaluation(study["evaluation"])
    if study.get("mechanism"):
        _shrink_mechanism(study["mechanism"], engine)
    if not whole:
        study["training"]["checkpoints"] = [50, 100]
        for arm in study["arms"].values():
            arm["seeds"] = arm.get("seeds", [0])[:1]
        for hypothesis in study.get("hypotheses", {}).values():
            hypothesis.pop("claim", None)  # one training tells nothing of the method
    return study


def _shrink_contexts(study: dict[str, Any]) -> None:
    """The lab's model knows no wording of a solution, but answers where the answer alone stands behind its prompt. Its
    template has no switch."""
    for context in study.get("contexts", {}).values():
        for key in ("chat", "thinking", "template", "column", "thought"):
            context.pop(key, None)
        if "solution" not in context:
            context["wording"] = "{prompt}"
            continue
        own = context["solution"] in OF_SAMPLES and study["model"].get("thinks", True)
        if not own:
            context.pop("context", None)
        context |= {"wording": TOLD, "over_length": "skip"} | ({"thought": False} if own else {"solution": "answer"})
    if (draws := study["training"].get("draws")) is not None:
        study["training"]["draws"] = min(draws, DRAWS)


def _shrink_practice(study: dict[str, Any]) -> None:
    """Few rounds of few answers. Arms keep what tells them apart: groups of one or of several, coverages in their order, and
    whether they take other steps than the rest."""
    arms = {name: arm for name, arm in study["arms"].items() if arm.get("method")}
    own = {name: dict(arm.get("practice", {})) for name, arm in arms.items()}
    shared = dict(study.get("practice") or {})
    coverages = sorted({each["coverage"] for each in (shared, *own.values()) if each.get("coverage")})
    usual = PracticeRecipe.model_validate(shared)
    for name, arm in arms.items():
        longer = practice_of(usual, own[name]).steps != usual.steps
        changed = _shrunk_practice(own[name], coverages) | (
            {"generations": PRACTICE["generations"] + 1} if longer else {}
        )
        arm |= {"practice": changed, "unequal_budget": longer}
        if training := arm.get("training"):
            for key in ("micro_batch", "warmup_steps", "warmup_share"):
                training.pop(key, None)
            training |= {"lr_floor": 0.0} if "lr" in training else {}
    if arms:
        study["practice"] = _shrunk_practice(shared, coverages) | {
            key: value for key, value in PRACTICE.items() if key != "rollouts" or shared.get("rollouts") != 1
        }


def _shrunk_practice(practice: Mapping[str, Any], coverages: Sequence[int]) -> dict[str, Any]:
    found = {
        key: value for key, value in practice.items() if key not in ("generations", "questions", "updates", "turns")
    }
    if coverage := found.get("coverage"):
        found["coverage"] = 1 + BETWEEN_COVERAGES * coverages.index(coverage)
    if "rollouts" in found:
        found["rollouts"] = min(found["rollouts"], PRACTICE["rollouts"])
    if found.get("support"):
        found["support"] = min(found["support"], SUPPORT)
    return found


def _shrink_ladder(ladder: dict[str, Any]) -> None:
    """The lab's model is not of the strength that the real one's choice is for: any problem is chosen."""
    ladder |= {"problems": LADDER_PROBLEMS, "draws": min(ladder["draws"], DRAWS), "solved": [0.0, 1.0], "use": "eval"}
    ladder.pop("pool", None)


def _shrink_evaluation(evaluation: dict[str, Any]) -> None:
    """What is asked whole stays whole: of datasets that are small."""
    asked = evaluation["budgets"]
    share = None if asked["full"] == ALL else BUDGETS["full"] / asked["full"]
    evaluation |= {
        "budgets": {name: ALL if size == ALL else BUDGETS[name] for name, size in asked.items()},
        "resamples": 500,
        "mixtures": {
            name: {
                source: ALL if size == ALL else 1 if share is None else max(1, int(size * share))
                for source, size in mixture.items()
            }
            for name, mixture in evaluation.get("mixtures", {}).items()
        },
    }
    if evaluation.get("looks"):
        evaluation["looks"] = [BUDGETS["quick"], evaluation["budgets"]["full"]]
    if draws := evaluation.get("mixture_draws"):
        usual = evaluation.get("draws", 1)
        most = max(usual.values()) if isinstance(usual, dict) else usual
        evaluation["mixture_draws"] = dict.fromkeys(draws, most + 1)


def _shrink_mechanism(mechanism: dict[str, Any], engine: str) -> None:
    mechanism |= {"carriers": CARRIERS, "strips": min(1, mechanism.get("strips", 1))}
    if engine == "vllm":
        mechanism.pop("depth", None)  # which no layer of vLLM's tells
    if mechanism.get("noise"):
        mechanism["noise"] |= {"sequences": 16, "sketch": 1024}
    if mechanism.get("branches"):
        mechanism["branches"] |= {"examples": 32, "held_out": 8, "batches": [8, 16]}


def _shrink_arm(arm: dict[str, Any], own: dict[str, Any], usual_batch: int, shared: dict[str, Any]) -> None:
    """An arm of a smaller or a larger batch stays one, and where its steps are then others than the rest's it says so."""
    own.pop("micro_batch", None)
    if "batch" in own:
        own["batch"] = shared["batch"] * 2 if own["batch"] > usual_batch else shared["batch"] // 2
    recipe = {key: value for key, value in (shared | own).items() if key in Recipe.model_fields}
    steps = [Recipe.model_validate(recipe | other).steps(shared["examples"]) for other in ({}, _budget(shared))]
    arm["unequal_budget"] = steps[0] != steps[1]


def _budget(training: dict[str, Any]) -> dict[str, Any]:
    return {key: training[key] for key in ("batch", "epochs", "max_steps")}


def lab_problems(sources: tuple[str, ...]) -> list[Problem]:
    """Of the lab's problems those that every public dataset could hold: with whole numbers for answers."""
    lines = [line for name in sources for line in (LAB / f"problems/{name}.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    return [(row["problem"], row["answer"], row["level"]) for row in rows if row["answer"].isdigit()]


def within(problem: Problem, levels: list[int] | None) -> Problem:
    text, answer, level = problem
    return text, answer, level if levels is None else min(levels, key=lambda each: abs(each - level))
