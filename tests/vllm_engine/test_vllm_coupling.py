"""vLLM couples, too: with shared noise the answers of two models are the same until their laws part."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coupled_models import MODEL, agree_by_exponentials, alike, asked_of_model, first_laws, near_copy, same_copy
from selfdistill.models.tokens import end_tokens
from selfdistill.sampling.requests import Request

pytestmark = pytest.mark.xdist_group("vllm")

PROBLEMS, ONE_TOKEN = 40, 2500
FIRST: dict[str, Any] = {"text": "<|im_start|>user\nA box holds ", "top_k": 0, "top_p": 1.0, "max_tokens": 1}
Texts = list[list[int]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("coupled")
    return {"lab": MODEL, "near": near_copy(folder / "near"), "same": same_copy(folder / "same")}


@pytest.fixture(scope="module")
def asked(folders: dict[str, Path]) -> dict[str, dict[str, list[Request]]]:
    return {
        name: {
            "shared": asked_of_model(model, PROBLEMS, shared=True),
            "own": asked_of_model(model, PROBLEMS, shared=False),
            "one token": asked_of_model(model, ONE_TOKEN, shared=True, **FIRST),
        }
        for name, model in folders.items()
    }


@pytest.fixture(scope="module")
def found(
    vllm_python: str, folders: dict[str, Path], asked: dict[str, dict[str, list[Request]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Texts]]:  # fmt: skip
    folder = tmp_path_factory.mktemp("answers")
    questions = {
        name: {
            "settings": {"model": str(folders[name]), "dtype": "float32", "context": 320, "stop_ids": sorted(end_tokens(MODEL)), "batch": 32},
            "questions": {question: {"requests": [asdict(each) for each in requests]} for question, requests in of_model.items()},
        }
        for name, of_model in asked.items()
    }  # fmt: skip
    (folder / "questions.json").write_text(json.dumps(questions))
    ran = subprocess.run(
        [vllm_python, str(Path(__file__).with_name("ask.py")), str(folder / "questions.json"), str(folder / "answers.json")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-5000:]
    answers = json.loads((folder / "answers.json").read_text())
    return {
        name: {question: list(in_order(requests, answers[name][question]["samples"])) for question, requests in of_model.items()}
        for name, of_model in asked.items()
    }  # fmt: skip


def in_order(requests: list[Request], samples: list[dict[str, Any]]) -> Iterator[list[int]]:
    tokens = {sample["request_id"]: sample["token_ids"] for sample in samples}
    return (tokens[request.request_id] for request in requests)


def common(some: Texts, others: Texts) -> float:
    return float(np.mean([alike(*both) for both in zip(some, others, strict=True)]))


def test_nearly_equal_models_stay_together_with_shared_noise_and_not_with_their_own(
    found: dict[str, dict[str, Texts]],
) -> None:
    lab, near = found["lab"], found["near"]
    assert common(lab["shared"], near["shared"]) > 4 * common(lab["own"], near["own"])
    assert sum(a == b for a, b in zip(lab["own"], near["own"], strict=True)) <= 1


def test_the_same_weights_under_another_digest_differ_in_as_few_answers_as_batches_explain(
    found: dict[str, dict[str, Texts]],
) -> None:
    same = [a == b for a, b in zip(found["lab"]["shared"], found["same"]["shared"], strict=True)]
    assert np.mean(same) >= 0.95


def test_noise_belongs_to_token_ids_and_not_to_ranks(
    found: dict[str, dict[str, Texts]], folders: dict[str, Path], asked: dict[str, dict[str, list[Request]]]
) -> None:
    """So that two laws give the same token as often as the same exponential numbers of all token ids choose it in both."""
    laws = first_laws(asked["lab"]["one token"][0].prompt_ids, folders["lab"], folders["near"])
    assert laws[0].topk(8).indices.tolist() != laws[1].topk(8).indices.tolist()
    expected = agree_by_exponentials(*laws)
    same = np.mean([a == b for a, b in zip(found["lab"]["one token"], found["near"]["one token"], strict=True)])
    assert abs(same - expected) < 4 * (expected * (1 - expected) / ONE_TOKEN) ** 0.5
