"""An arm that practises is asked for what it needs, and refused in a sentence where it could not be what its study says."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.factorial import factorial_cells
from selfdistill.study.load import load_study
from selfdistill.study.models import (
    answers_learnt,
    arms_with_dataset,
    evaluated,
    learns_of,
    noise_probed,
    practising_arms,
    probed_arms,
    runs,
    sources_of_samples,
    steps_of,
    teacher_of,
)
from selfdistill.study.study import Study

LAB = yaml.safe_load((ROOT / "config/practice-lab.yaml").read_text())
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())


def changed(*changes: tuple[str, Any], study: dict[str, Any] = LAB) -> dict[str, Any]:
    found = copy.deepcopy(study)
    for path, value in changes:
        *sections, key = path.split("/")
        place = found
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return found


def complaints(raw: dict[str, Any], root: Path = ROOT) -> list[str]:
    with pytest.raises(UserError) as error:
        load_study(raw, root)
    return [line.removeprefix("study file: ") for line in str(error.value).splitlines()]


WRONG: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "a filter": ([("arms/grpo/keep", "finished")], "arms.grpo.keep: an arm with method: grpo learns from answers that it gives while it trains"),
    "a length": ([("arms/sdpo/length_like", "grpo")], "arms.sdpo.length_like: an arm with method: distil"),
    "solutions": ([("arms/sdpo/samples", "reference")], "arms.sdpo.samples: an arm with method: distil"),
    "soft targets": ([("arms/sdpo/targets", "soft")], "arms.sdpo.targets: an arm with method: distil"),
    "a resampled arm": ([("arms/grpo/resample", True)], "arms.grpo: an arm with resample trains nothing"),
    "a batch of its own": ([("arms/grpo/training/batch", 32)], "arms.grpo.training.batch: is for arms that learn from a dataset; with method: grpo practice says"),
    "a key of all arms": ([("arms/grpo/training/gpus", 1)], "arms.grpo.training.gpus: is the same for all arms; set training.gpus."),
    "a wrong key of training": ([("arms/grpo/training/lr", -1.0)], "arms.grpo.training.lr: needs a number above 0"),
    "an unknown key of practice": ([("arms/sdpo/practice", {"roll": 3})], "arms.sdpo.practice.roll: there is no such key"),
    "a wrong value of practice": ([("practice/rollouts", 0)], "practice.rollouts: needs a whole number above 0"),
    "a teacher's key without a teacher": ([("arms/grpo/practice", {"divergence": "jsd"})], "arms.grpo.practice.divergence: is for method: distil, and this arm has method: grpo"),
    "a reward's key with a teacher": ([("arms/sdpo/practice", {"clip": [0.2, 0.2]})], "arms.sdpo.practice.clip: is for method: grpo"),
    "a context without a teacher": ([("arms/grpo/context", "solution")], "arms.grpo.context: method: grpo has no teacher"),
    "an unknown context": ([("arms/sdpo/context", "solutoin")], "arms.sdpo.context: no context is named 'solutoin'; did you mean 'solution'?"),
    "samples under another context": (
        [("contexts/again", {"wording": "guided", "solution": "context", "context": "solution"}), ("arms/sdpo/context", "again")],
        "arms.sdpo.context: 'again' shows samples under another context, and a teacher has none of those",
    ),
    "a sibling of an only child": (
        [("arms/sdpo-ema/practice", {"rollouts": 1, "questions": 128})], "arms.sdpo-ema.context: 'solution' shows another right answer to the same question, and with practice.rollouts: 1 there is none",
    ),
    "a group of one": ([("arms/grpo/practice", {"rollouts": 1, "questions": 128})], "arms.grpo.practice.rollouts: method: grpo compares answers to the same question"),
    "two answers that do not fit": ([("model/context", 440)], "arms.sdpo.context: an answer of 224 tokens (decodes.plain.max_tokens) behind a prompt that shows another as long does not fit model.context (440)"),
    "questions that updates do not share": ([("practice/questions", 15)], "practice.questions: 15 are not shared evenly by 2 updates"),
    "answers that micro-batches do not share": ([("training/micro_batch", 12)], "practice.questions: 16 × 8 answers are no multiple of 2 updates times training.micro_batch (12) times 1 process"),
    "answers that processes do not share": ([("training/processes", 3)], "practice.questions: 16 × 8 answers are no multiple of 2 updates times training.micro_batch (16) times 3 processes"),
    "one micro-batch": ([("training/micro_batch", 64)], "practice.questions: an update learns 64 answers, which is one micro-batch of 64"),
    "a clip below nothing": ([("practice/clip", [1.5, 0.2])], "practice.clip: a ratio of probabilities is never below 0"),
    "a dual clip inside the clip": ([("practice/dual_clip", 1.2)], "practice.dual_clip: 1.2 lies below 1 + clip[1] (1.28)"),
    "a prefix of more than there is": ([("arms/opsd/practice", {"prefix": 300})], "arms.opsd.practice.prefix: 300 tokens are more than an answer has (decodes.plain.max_tokens: 224)"),
    "one token and no rest": ([("arms/sdpo/practice", {"support": 1, "tail": False})], "arms.sdpo.practice.support: within one token without the rest (tail: false) both laws are the same"),
    "an arm that spells a default out": ([("arms/more", {"method": "grpo", "practice": {"clip": [0.2, 0.28]}, "training": {"lr": 3.0e-5}})], "arms.more: is the same as arms.grpo"),
    "an arm that names the shared decode": ([("arms/more", {"method": "grpo", "decode": "plain", "training": {"lr": 3.0e-5}})], "arms.more: is the same as arms.grpo"),
    "a warm-up without end": ([("training/warmup_steps", 20)], "training.warmup_steps: 20 are all of the 20 steps there are (generations × updates)"),
    "a floor above": ([("training/lr_floor", 1.0)], "training.lr_floor: 1.0 lies above the peak"),
    "a moving teacher of adapters": (
        [("arms/sdpo-ema/training", {"lora": {"rank": 4, "alpha": 8}})], "arms.sdpo-ema.practice.teacher: with training.lora the teacher is the base",
    ),
    "no decode": ([("practice/decode", None)], "arms.grpo.decode: is missing; name the decode of the rollouts here, or for all arms as practice.decode."),
    "an unknown decode": ([("practice/decode", "plan")], "practice.decode: no decode is named 'plan'; did you mean 'plain'?"),
    "an arm's unknown decode": ([("arms/grpo/decode", "plan")], "arms.grpo.decode: no decode is named 'plan'"),
    "greedy rollouts": (
        [("decodes/greedy", {"temperature": 0.0, "max_tokens": 224}), ("practice/decode", "greedy")], "practice.decode: at temperature 0 every answer to a question is the same",
    ),
    "more tokens than there are": ([("practice/support", 600)], "practice.support: 600 tokens are more than the model has (512)"),
    "more problems than there are": ([("arms/sdpo-cover-8/practice", {"coverage": 5000})], "arms.sdpo-cover-8.practice.coverage: asks for 5000 problems, but the train sources hold 1200 at most"),
    "other steps": ([("arms/sdpo-ema/practice", {"generations": 9})], "arms.sdpo-ema.practice: takes 18 steps where other arms take 20"),
    "other steps that are the same": ([("arms/sdpo/unequal_budget", True)], "arms.sdpo.unequal_budget: takes 20 steps as the other arms do; remove the key."),
    "rollouts of nobody": ([("arms/sdpo-replays-grpo/replays", "grop")], "arms.sdpo-replays-grpo.replays: no arm is named 'grop'; did you mean 'grpo'?"),
    "rollouts of itself": ([("arms/sdpo-replays-grpo/replays", "sdpo-replays-grpo")], "arms.sdpo-replays-grpo.replays: 'sdpo-replays-grpo' gives no answers while it trains"),
    "rollouts of a seed that there is not": ([("arms/sdpo-replays-grpo/seeds", [7])], "arms.sdpo-replays-grpo.replays: 'grpo' has no training seed 7"),
    "rollouts that are others": (
        [("arms/sdpo-replays-grpo/practice", {"coverage": 8})], "arms.sdpo-replays-grpo.replays: 'grpo' has another practice.coverage (None, not 8)",
    ),
    "the same arm twice": ([("arms/more", {"method": "grpo", "training": {"lr": 3.0e-5}})], "arms.more: is the same as arms.grpo"),
    "examples that a teacher is not shown": (
        [("problems/examples", "config/practice-lab.yaml")], "arms.sdpo.context: a teacher is not shown problems.examples",
    ),
    "a key that no arm reads": (
        [("arms", {"sdpo": LAB["arms"]["sdpo"]}), ("hypotheses", {}), ("practice/dual_clip", 4.0)], "practice.dual_clip: is for method: grpo, which no arm has; remove the key.",
    ),
    "gradients of no dataset": (
        [("mechanism", {"decode": "plain", "noise": {"checkpoints": [0]}})], "mechanism.noise: no arm has a dataset whose gradients could be taken",
    ),
    "samples that are wanted": (
        [("arms/ssd", {"decode": "plain", "keep": "finished"})], "training.samples: is missing, and ssd learns from a dataset; say how many",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_could_not_be_practised_is_told_before_anything_is_asked(name: str) -> None:
    changes, sentence = WRONG[name]
    found = complaints(changed(*changes))
    assert any(line.startswith(sentence) for line in found), found


def test_a_teacher_is_not_made_to_think_by_a_template_that_knows_no_such_switch() -> None:
    (said,) = complaints(
        changed(("contexts/solution/thinking", True), ("model/path", "resources/lab/model"), ("model/context", 512))
    )
    assert said.startswith(
        "contexts.solution.thinking: the chat template of resources/lab/model reads no enable_thinking"
    )


def test_only_arms_that_practise_say_how() -> None:
    for key, value in (("practice", {"questions": 8}), ("replays", "ssd")):
        (said,) = complaints(changed((f"arms/ssd/{key}", value), study=SMOKE))
        assert said.startswith(f"arms.ssd.{key}: is for arms that practise; set arms.ssd.method")
    (said,) = complaints(changed(("practice", {"questions": 8}), study=SMOKE))
    assert said == "practice: no arm practises; give one a method (grpo or distil), or remove the section."


def lab(**arms: Any) -> Study:
    return load_study(changed(*((f"arms/{name}", arm) for name, arm in arms.items())), ROOT)


def test_arms_that_practise_are_trained_and_evaluated_and_have_no_samples() -> None:
    study = lab()
    assert list(practising_arms(study)) == list(LAB["arms"]) and arms_with_dataset(study) == {}
    assert sources_of_samples(study) == [] and study.training.samples == study.training.examples == 0
    assert len(runs(study)) == 3 + 3 + 1 + 1 + 3 + 1 + 1 + 1
    assert evaluated(study) == ["base", *(f"{run}/at-100" for run in runs(study))]
    assert {steps_of(study, arm) for arm in study.arms} == {20} and answers_learnt(study) == 10 * 128


def test_who_tells_a_teacher_and_whose_answers_are_learnt() -> None:
    study = lab()
    told = teacher_of(study, "sdpo-no-thought")
    assert told is not None and told.solution == "sibling" and not told.thought
    assert teacher_of(study, "grpo") is None
    bare = teacher_of(study, "null-teacher")
    assert bare is not None and bare.tells_nothing
    assert learns_of(study, "sdpo-replays-grpo/seed-0") == "grpo/seed-0" and learns_of(study, "grpo/seed-0") is None
    assert study.practice_of("opsd").rollouts == 1 and study.practice_of("opsd").batch == 64


def test_beside_other_arms_those_that_practise_have_steps_of_their_own() -> None:
    """Smoke's arms learn a dataset in so many steps, and say nothing of how many steps practice takes."""
    raw = changed(
        ("arms/rl", {"method": "grpo", "decode": "plain"}),
        ("practice", {"generations": 3, "questions": 8, "rollouts": 4}),
        ("training/warmup_steps", 1),
        study=SMOKE,
    )
    study = load_study(raw, ROOT)
    assert steps_of(study, "rl") == 6 != steps_of(study, "ssd")
    del raw["mechanism"]["arms"]  # where none are named, all that are trained
    assert set(probed_arms(load_study(raw, ROOT))) == {"rl", *arms_with_dataset(study)}
    assert all(arm != "rl" for arm, _, _ in noise_probed(study))
    cells = factorial_cells(study.arms, study.decodes)
    assert cells is not None and "rl" not in cells.arms
    assert sources_of_samples(study) == sources_of_samples(load_study(SMOKE, ROOT))


def test_a_study_that_does_not_practise_is_written_down_as_it_always_was() -> None:
    written = json.dumps(load_study(SMOKE, ROOT).as_param())
    assert not {"practice", "method", "replays"} & set(written.replace('"', " ").split())
