"""Questions of the search lab and settings to practise with: what the tests of practice share."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from conftest import ROOT
from selfdistill.models.digests import model_digest
from selfdistill.problems.normalise import problem_id
from selfdistill.sampling.prompts import Chat, asked, user_turn
from selfdistill.tables.practice import QUESTIONS
from selfdistill.training.practice.rollouts import Policy
from selfdistill.training.practice.settings import PracticeSettings

SEARCHER = ROOT / "resources/lab/search-model"
PROMPT = "{problem}\nPut the answer in \\boxed{}."
TRAINING = {"lr": 3e-4, "lr_floor": 3e-4, "schedule": "constant", "micro_batch": 4, "warmup_steps": 1}


@cache
def questions(count: int, told: str = "solution", model: Path = SEARCHER) -> pl.DataFrame:
    """The first problems of the search lab, as QUESTIONS; `told` is the key of its source that the teacher is told."""
    lines = (ROOT / "resources/lab/problems/search-train.jsonl").read_text().splitlines()[:count]
    chat, rows = Chat(model), []
    for problem in map(json.loads, lines):
        ids = chat.ids([user_turn(asked(problem["problem"], PROMPT))])
        rows.append(
            {"problem_id": problem_id(problem["problem"]), "family": problem["family"], "problem": problem["problem"],
             "gold": problem["answer"], "prompt_ids": ids, "told": problem.get(told)}
        )  # fmt: skip
    return pl.DataFrame(rows, schema=QUESTIONS)


def practice_settings(method: str = "grpo", practice: Mapping[str, Any] = {}, **others: Any) -> PracticeSettings:
    """A small practice on the search lab: 2 generations of 4 questions, 4 answers to each, 2 updates."""
    chosen = {
        "training": TRAINING, "study_seed": 5, "training_seed": 0, "arm": method, "context": 640, "method": method,
        "practice": {"decode": "plain", "generations": 2, "questions": 4, "rollouts": 4, "updates": 2, **practice},
        "decode": {"temperature": 1.0, "max_tokens": 224}, "sampling": {"engine": "torch", "batch": 32}, "grading": {},
        "prompt": PROMPT,
    }  # fmt: skip
    return PracticeSettings.model_validate(chosen | others)


def untrained(model: Path = SEARCHER) -> Policy:
    return Policy(model, model_digest(model))
