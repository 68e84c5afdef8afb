"""What a study asks of a training: its settings as the command lines of the rules have them, from the study alone."""

from typing import Any

from selfdistill.study.models import teacher_of
from selfdistill.study.study import Study


def settings_of(study: Study, arm: str, seed: int) -> dict[str, Any]:
    """What a study asks of a run, as the command line has it: what is given apart is not in it."""
    return {
        "training": study.recipe(arm).model_dump(exclude={"save_every", "trackers"}),
        "study_seed": study.seed,
        "training_seed": seed,
        "arm": arm,
        "context": study.model.context,
        "device": "cuda" if study.training.gpus else "cpu",
        "threads": 1,
        "processes": study.training.processes_per_node,
        "nodes": study.training.nodes,
    }


def settings_of_practice(study: Study, arm: str, seed: int) -> dict[str, Any]:
    """What a study asks of a practice, as the command line has it."""
    teacher, practice = teacher_of(study, arm), study.practice_of(arm)
    engine = study.reference("engine", study.sampling.engine)
    return settings_of(study, arm, seed) | {
        "method": study.arms[arm].method,
        "practice": practice.model_dump(),
        "decode": study.decodes[str(practice.decode)].model_dump(),
        "sampling": study.sampling.model_dump() | {"engine": engine},
        "grading": study.grading.model_dump(),
        "doubt": study.doubt.model_dump(),
        "prompt": study.problems.prompt,
        "teacher": teacher.model_dump() if teacher else None,
        "chat": study.model.chat,
        "thinks": study.model.thinks,
        "trust_remote_code": study.model.trust_remote_code,
    }
