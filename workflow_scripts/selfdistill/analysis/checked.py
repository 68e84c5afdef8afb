"""Reads the results of a study and refuses them where they break an invariant.

`files` has the names that `rules/analysis.smk` gives the inputs of its checks; `asked` has the models and arms that they
belong to, in the same order, the budgets and the draws.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfdistill.analysis.invariants import Check, check_results
from selfdistill.foundation.errors import UserError
from selfdistill.study.evaluation import Draws, size_of
from selfdistill.tables.analysis import ESTIMATES
from selfdistill.tables.practice import QUESTIONS
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.sampling import GRADED, PLAN
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table

PLANNED = ("request_id", "model_id", "problem_id", "purpose", "decode_id", "draw")
ANSWERED = (*PLANNED, "split", "rank", "verdict", "finish_class")


def checked_results(files: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Check]:
    """The checks, all of them passed; a UserError names the first that is not."""
    models, arms = asked["models"], asked["arms"]
    evaluation = read_table(files["evaluation"], PROBLEMS)
    checks = check_results(
        plans={model: read_table(path, PLAN, PLANNED) for model, path in zip(models, files["plans"], strict=True)},
        graded={model: read_table(path, GRADED, ANSWERED) for model, path in zip(models, files["graded"], strict=True)},
        datasets={arm: read_table(path, DATASET) for arm, path in zip(arms, files["datasets"], strict=True)},
        questions={
            arm: read_table(path, QUESTIONS, ("problem_id",))
            for arm, path in zip(asked.get("practising", ()), files.get("questions", ()), strict=True)
        },
        evaluation=evaluation,
        contamination=read_table(files["contamination"], CONTAMINATION),
        budgets={name: size_of(size, evaluation.height) for name, size in asked["budgets"].items()},
        levels=read_table(files["levels"], ESTIMATES),
        manifests=[json.loads(Path(path).read_text()) for path in files["manifests"]],
        draws=Draws.model_validate(asked["draws"]),
        unequal=asked.get("unequal", ()),
        alike=asked.get("alike", ()),
    )
    for check in checks:
        if not check["passed"]:
            raise UserError(f"results break an invariant, {check['name']}: {check['sentence']}")
    return checks
