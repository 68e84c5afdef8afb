"""Shared noise: answers of two models are the same until their laws part, and each is still one of its own model's law."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from coupled_models import MODEL, agree_by_inversion, alike, asked_of_model, first_laws, near_copy, same_copy
from selfdistill.models.tokens import end_tokens
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.requests import Request

PROBLEMS, ONE_TOKEN = 60, 3000
BEGINNING = "<|im_start|>user\nA box holds "
torch.set_num_threads(1)
GRID = np.linspace(0.00005, 0.99995, 10_000)
Texts = list[list[int]]


def engine_of(model: Path) -> TorchEngine:
    return TorchEngine(EngineSettings(model, "float32", 320, end_tokens(model), 60))


def texts(engine: TorchEngine, requests: list[Request]) -> Texts:
    found = {sample.request_id: sample.token_ids for sample in engine.sample(iter(requests))}
    return [found[request.request_id] for request in requests]


@pytest.fixture(scope="module")
def lab() -> TorchEngine:
    return engine_of(MODEL)


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchEngine, Path]:
    folder = near_copy(tmp_path_factory.mktemp("near") / "model")
    return engine_of(folder), folder


@pytest.fixture(scope="module")
def base(lab: TorchEngine) -> Texts:
    return texts(lab, asked_of_model(MODEL, PROBLEMS, shared=True))


def common(some: Texts, others: Texts) -> float:
    return float(np.mean([alike(*both) for both in zip(some, others, strict=True)]))


def test_nearly_equal_models_stay_together_with_shared_noise_and_not_with_their_own(
    lab: TorchEngine, near: tuple[TorchEngine, Path], base: Texts
) -> None:
    engine, folder = near
    coupled = texts(engine, asked_of_model(folder, PROBLEMS, shared=True))
    own = texts(lab, asked_of_model(MODEL, PROBLEMS, False)), texts(engine, asked_of_model(folder, PROBLEMS, False))
    assert common(base, coupled) > 4 * common(*own)
    equal = [sum(a == b for a, b in zip(*both, strict=True)) for both in ((base, coupled), own)]
    assert equal[0] > PROBLEMS / 5 and equal[1] <= 1


def test_another_draw_decode_or_stream_is_another_answer(lab: TorchEngine, base: Texts) -> None:
    twice = texts(lab, asked_of_model(MODEL, PROBLEMS, shared=True, draws=2))
    assert twice[::2] == base
    others = {
        "draw": twice[1::2],
        "decode": texts(lab, asked_of_model(MODEL, PROBLEMS, shared=True, max_tokens=161)),
        "stream": texts(lab, asked_of_model(MODEL, PROBLEMS, shared=True, stream="aa")),
    }
    own = common(base, texts(lab, asked_of_model(MODEL, PROBLEMS, shared=False)))
    for other in others.values():
        assert common(base, other) < 2 * own
        assert sum(a == b for a, b in zip(base, other, strict=True)) <= 1


def test_the_same_weights_under_another_digest_differ_in_no_answer(base: Texts, tmp_path: Path) -> None:
    folder = same_copy(tmp_path / "model")
    requests = asked_of_model(folder, PROBLEMS, shared=True)
    assert not {each.request_id for each in requests} & {each.request_id for each in asked_of_model(MODEL, PROBLEMS, shared=True)}  # fmt: skip
    assert texts(engine_of(folder), requests) == base


def test_noise_belongs_to_token_ids_and_not_to_ranks(lab: TorchEngine, near: tuple[TorchEngine, Path]) -> None:
    """So that two laws give the same token as often as one uniform number falls on it in both. That the laws rank their
    tokens differently changes nothing in it."""
    engine, folder = near
    change: dict[str, Any] = {"text": BEGINNING, "top_k": 0, "top_p": 1.0, "max_tokens": 1}
    requests = [asked_of_model(model, ONE_TOKEN, shared=True, **change) for model in (MODEL, folder)]
    laws = first_laws(requests[0][0].prompt_ids, MODEL, folder)
    assert laws[0].topk(8).indices.tolist() != laws[1].topk(8).indices.tolist()
    same = np.mean([a == b for a, b in zip(texts(lab, requests[0]), texts(engine, requests[1]), strict=True)])
    expected = agree_by_inversion(*laws)
    error = (expected * (1 - expected) / ONE_TOKEN) ** 0.5
    by_ranks = np.mean(ranked(laws[0]) == ranked(laws[1]))
    assert abs(by_ranks - expected) > 8 * error, "these laws must tell the one from the other"
    assert abs(same - expected) < 4 * error


def ranked(law: torch.Tensor) -> np.ndarray:
    """What each uniform number of the grid would fall on, were tokens laid out by their ranks."""
    chances, tokens = law.sort(descending=True)
    return tokens.numpy()[np.searchsorted(chances.numpy().cumsum(), GRID)]


def test_a_coupled_answer_is_one_of_its_own_models_law(near: tuple[TorchEngine, Path]) -> None:
    engine, folder = near
    requests = asked_of_model(folder, ONE_TOKEN, shared=True, text=BEGINNING, top_k=0, top_p=1.0, max_tokens=1)
    [law] = first_laws(requests[0].prompt_ids, folder)
    counts = np.bincount([tokens[0] for tokens in texts(engine, requests)], minlength=len(law))
    often = law.numpy() * ONE_TOKEN > 10
    spread = (law.numpy() * (1 - law.numpy()) * ONE_TOKEN)[often] ** 0.5
    assert (abs(counts[often] - law.numpy()[often] * ONE_TOKEN) < 4.5 * spread).all()
