"""SmolLM2-135M-Instruct, its real weights and its real tokenizer, through every part that a model passes.

`make test` makes its folder from a Python package. Where that cannot be had the tests are skipped, and the end of the run
tells which claims were not examined. Texts are short: the logits of one token are 49,152 numbers.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from conftest import PATIENCE, REAL_MODEL, ROOT
from selfdistill.grading.answers import find_answer
from selfdistill.grading.classes import finish_class, finished
from selfdistill.models.folder import inspect_model
from selfdistill.models.lineage import lineage_of
from selfdistill.models.origin import read_origin
from selfdistill.models.tokens import load_tokenizer
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.prompts import tokenise_prompts
from selfdistill.sampling.requests import Given, Request, Sample, request_id, seed_of
from selfdistill.tables.endings import CUT, NO_ANSWER
from selfdistill.tables.training import DATASET, RUN_LOG, WEIGHTS
from selfdistill.tables.whole import read_table, write_table
from training_fixture import settings, training_command

pytestmark = pytest.mark.xdist_group("real_model")

CONTEXT, BATCH, STEPS = 192, 16, 4
END = [2]
# The wording that studies ask with, and solutions as people write them.
WORDING = "{problem}\nPut the answer in \\boxed{}."
SOLVED = {
    "Ann has 15 apples and buys 27 more. How many has she?": "Ann has 15 + 27 = 42 apples.\n\nSo the answer is \\boxed{42}.",
    "A pen costs $3. What do 12 pens cost?": "12 pens cost 12 * 3 = 36 dollars.\n\n\\boxed{36}",
    "Tom reads 8 pages a day. How many does he read in a week?": "A week has 7 days. 8 * 7 = 56.\n\n\\boxed{56}",
    "Of 90 birds a third fly away. How many stay?": "90 / 3 = 30 fly away, so 90 - 30 = 60 stay.\n\n\\boxed{60}",
}
FIRST: dict[str, dict[str, Any]] = {
    "plain": {"temperature": 1.0},
    "ssd": {"temperature": 1.1, "top_k": 20, "top_p": 0.95},
}
DRAWS = 300
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(REAL_MODEL)


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(EngineSettings(REAL_MODEL, "float32", CONTEXT, END, BATCH))


@pytest.fixture(scope="module")
def given(tokenizer: Any) -> list[Given]:
    problems = pl.DataFrame({"problem_id": list(SOLVED), "problem": list(SOLVED)})
    prompts = tokenise_prompts(problems, WORDING, REAL_MODEL)
    return [
        Given(name, ids, [*tokenizer(SOLVED[name])["input_ids"], *END]) for name, ids in prompts.iter_rows()
    ]  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(REAL_MODEL, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def expected(reference: Any, given: list[Given]) -> list[list[float]]:
    """What transformers gives for the completions, one at a time and without a cache."""
    return [log_probabilities(reference, each) for each in given]


def log_probabilities(model: Any, given: Given) -> list[float]:
    read, first = torch.tensor([given.prompt_ids + given.completion_ids]), len(given.prompt_ids)
    with torch.no_grad():
        law = model(read).logits[0, first - 1 : -1].log_softmax(-1)
    return law.gather(1, read[0, first:, None])[:, 0].tolist()


def asked(prompt: list[int], count: int, stream: str, **decode: Any) -> list[Request]:
    whole = {"max_tokens": 1, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "presence_penalty": 0.0} | decode
    names = [request_id("real", "float32", prompt, {}, draw, stream, 0) for draw in range(count)]
    return [Request(name, prompt, seed=seed_of(name), **whole) for name in names]


@pytest.fixture(scope="module")
def first_asked(tokenizer: Any) -> dict[str, list[Request]]:
    prompt = tokenizer("I have")["input_ids"]
    return {name: asked(prompt, DRAWS, name, **decode) for name, decode in FIRST.items()}


@pytest.fixture(scope="module")
def of_vllm(vllm_python: str, given: list[Given], first_asked: dict[str, list[Request]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:  # fmt: skip
    folder = tmp_path_factory.mktemp("vllm")
    questions = {"score": {"score": given}} | {name: {"requests": requests} for name, requests in first_asked.items()}
    opened = {"model": str(REAL_MODEL), "dtype": "float32", "context": CONTEXT, "stop_ids": END, "batch": BATCH}
    (folder / "questions.json").write_text(
        json.dumps({"real": {"settings": opened, "questions": questions}}, default=asdict)
    )
    ran = subprocess.run(
        [vllm_python, str(ROOT / "tests/vllm_engine/ask.py"), str(folder / "questions.json"), str(folder / "answers.json")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-5000:]
    answers: dict[str, Any] = json.loads((folder / "answers.json").read_text())["real"]
    return answers


# The folder and the tokenizer


def test_the_real_models_folder_is_taken_as_it_is(tokenizer: Any) -> None:
    facts = inspect_model(REAL_MODEL, 8192)
    assert (facts.architecture, facts.stop_ids, facts.max_positions) == ("LlamaForCausalLM", END, 8192)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, tokenize=False
    )
    assert prompt == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    "text",
    ["He has 15 apples, 3.5%", "a\n\n12\n\n\n345", "  7  89\t0", "def f(x):\n    return x**2  # 10\n", "½ ² ٣ 漢字 naïve 🎉\r\n"],
)  # fmt: skip
def test_the_real_tokenizer_gives_every_text_back_and_splits_numbers_into_digits(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    digits = [token for token in tokenizer.convert_ids_to_tokens(ids) if any(digit in token for digit in "0123456789")]
    assert digits == [character for character in text if character in "0123456789"]


# The law


def test_the_real_model_expects_what_people_write(
    reference: Any, given: list[Given], expected: list[list[float]]
) -> None:
    """Weights in a wrong order still give numbers; only right ones expect these solutions and not the same words shuffled."""
    each = np.concatenate(expected)
    shuffled = [
        Given("", one.prompt_ids, np.random.default_rng(0).permutation(one.completion_ids).tolist()) for one in given
    ]
    assert -each.mean() < 2
    assert -np.concatenate([log_probabilities(reference, one) for one in shuffled]).mean() > 4


def test_the_torch_engine_gives_the_real_models_log_probabilities(
    engine: TorchEngine, given: list[Given], expected: list[list[float]]
) -> None:
    for found, wanted in zip(engine.score(given), expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-3)


def test_vllm_gives_the_real_models_log_probabilities(of_vllm: dict[str, Any], expected: list[list[float]]) -> None:
    for found, wanted in zip(of_vllm["score"]["logprobs"], expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-3)


def test_the_torch_engine_draws_the_real_models_first_tokens_as_often_as_their_law_says(
    engine: TorchEngine, reference: Any, first_asked: dict[str, list[Request]]
) -> None:
    for name, requests in first_asked.items():
        drawn = [sample.token_ids[0] for sample in engine.sample(iter(requests))]
        assert_drawn_from(law(reference, requests[0]), drawn, name)


def test_vllm_draws_the_real_models_first_tokens_as_often_as_their_law_says(
    of_vllm: dict[str, Any], reference: Any, first_asked: dict[str, list[Request]]
) -> None:
    for name, requests in first_asked.items():
        drawn = [sample["token_ids"][0] for sample in of_vllm[name]["samples"]]
        assert_drawn_from(law(reference, requests[0]), drawn, name)


def law(model: Any, request: Request) -> np.ndarray:
    """Temperature, then top-k, then top-p of what is left, spelt out."""
    with torch.no_grad():
        logits = model(torch.tensor([request.prompt_ids])).logits[0, -1].double().numpy()
    p = np.exp(logits / request.temperature - np.max(logits / request.temperature))
    order = np.argsort(-p)[: request.top_k or len(p)]
    within = p[order] / p[order].sum()
    kept = order[within.cumsum() - within < request.top_p]
    whole = np.zeros_like(p)
    whole[kept] = p[kept] / p[kept].sum()
    return whole


def assert_drawn_from(p: np.ndarray, drawn: list[int], name: str) -> None:
    counts = Counter(drawn)
    assert len(drawn) == DRAWS and all(p[token] > 0 for token in counts), name
    common = [int(token) for token in np.flatnonzero(p * DRAWS >= 5)]
    observed, wanted = [counts[token] for token in common], [p[token] * DRAWS for token in common]
    if DRAWS - sum(wanted) >= 5:  # the rare tokens together
        observed.append(DRAWS - sum(observed))
        wanted.append(DRAWS - sum(wanted))
    assert len(observed) >= 5, name
    assert stats.chisquare(observed, np.array(wanted) * sum(observed) / sum(wanted)).pvalue > 1e-4, name


# Grading


def test_real_answers_are_graded_as_a_person_would(engine: TorchEngine, tokenizer: Any, given: list[Given]) -> None:
    """Without training it writes no box: whatever it says, that is no answer, and what runs into the cap is cut."""
    requests = [
        asked(one.prompt_ids, 1, one.request_id, temperature=0.0, max_tokens=cap)[0]
        for one, cap in zip(given, (64, 64, 64, 8), strict=True)
    ]
    caps = {request.request_id: request.max_tokens for request in requests}
    endings = Counter(graded(sample, tokenizer, caps[sample.request_id]) for sample in engine.sample(iter(requests)))
    assert sum(endings.values()) == len(given) and endings[CUT] >= 1
    assert set(endings) <= {CUT, NO_ANSWER}
    for one in given:  # the same model's words around a box are an answer
        assert find_answer(tokenizer.decode(one.completion_ids[:-1]), think=False).extracted is not None


def graded(sample: Sample, tokenizer: Any, cap: int) -> str:
    ended = finished(sample.finish_reason, len(sample.token_ids), cap)
    text = tokenizer.decode(sample.token_ids[:-1] if ended else sample.token_ids)
    return finish_class(text, ended, False, find_answer(text, think=False).extracted)


# Training


@pytest.fixture(scope="module")
def trained(given: list[Given], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps of two examples, by the program, with everything that is measured on the way."""
    folder = tmp_path_factory.mktemp("trained")
    rows = [
        (f"r{number}", "samples-t11", one.request_id, one.prompt_ids, one.completion_ids, "answered", "correct", len(one.completion_ids))
        for number, one in enumerate(2 * given)
    ]  # fmt: skip
    write_table(pl.DataFrame(rows, schema=DATASET, orient="row"), folder / "dataset.parquet", DATASET)
    chosen = settings(
        CONTEXT, samples=8, examples=8, batch=2, micro_batch=1, lr=1e-5, lr_floor=1e-6, warmup_steps=1, save_every=100,
        measure_every=2, checkpoints=[100],
    )  # fmt: skip
    ran = subprocess.run(
        training_command(REAL_MODEL, folder / "dataset.parquet", folder, chosen), capture_output=True, text=True, timeout=PATIENCE
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-5000:]
    return folder / "out"


def test_four_steps_teach_the_real_model_and_are_measured(trained: Path) -> None:
    log = read_table(trained / "log.parquet", RUN_LOG)
    assert log["step"].to_list() == [1, 2, 3, 4] and log["loss"].is_finite().all()
    loss = log["loss"].to_numpy()
    assert loss[2:].mean() < loss[:2].mean()  # twice the same four
    assert read_table(trained / "weights.parquet", WEIGHTS).height > 0


def test_the_export_of_the_real_model_is_read_as_its_trainer_reads_it(trained: Path, given: list[Given], expected: list[list[float]]) -> None:  # fmt: skip
    chosen = {"engine": "torch", "dtype": "float32", "context": CONTEXT, "trust_remote_code": None, "limit": None}
    ran = subprocess.run(
        [sys.executable, str(ROOT / "workflow_scripts/check_export.py"), "--checkpoints", str(trained / "at-100"),
         "--manifest", str(trained / "manifest.json"), "--output", str(trained / "export_check.json"), "--batch", "8",
         "--settings", json.dumps(chosen)],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-5000:]
    check = json.loads((trained / "export_check.json").read_text())["checkpoints"]["at-100"]
    assert check["largest"] < 1e-3 < check["from_base"]


def test_a_checkpoint_of_the_real_model_tells_where_its_weights_come_from(trained: Path) -> None:
    lineage = lineage_of(trained / "at-100")
    assert lineage and lineage["base"].get("origin") == read_origin(REAL_MODEL).get("sentence")
