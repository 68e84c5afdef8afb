"""What jobs ask of main memory: sums that can be done by hand, on a model of round numbers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from conftest import ROOT
from selfdistill.models.sizes import ModelSize, named_size, size_of
from selfdistill.planning import memory
from selfdistill.planning.memory import (
    MIB,
    SAMPLING_BASE,
    SPARE,
    TEACHING_BASE,
    TRAINING_BASE,
    UNKNOWN_ON_CPU,
    UNKNOWN_ON_GPU,
    Needs,
    checking_memory,
    needs_of,
    sampling_memory,
    teaching_memory,
    training_memory,
)
from selfdistill.study.load import study_of
from selfdistill.study.study import Study
from selfdistill.study.training import Lora, Recipe
from selfdistill.training.objectives.soft import LOGITS_TOGETHER

ROUND = ModelSize(
    parameters=1_000_000, stored_bytes=4_000_000, largest=100_000, vocabulary=1000, layers=10, hidden=100, inner=300,
    heads=4, cached=50,
)  # fmt: skip
RECIPE = Recipe(batch=8, micro_batch=2, lr=1e-5, lr_floor=1e-6)


def beyond(base: float, asked: float) -> float:
    """What is asked for beside the interpreter and its libraries."""
    return asked / SPARE - base


def test_sampling_holds_weights_cache_and_a_prefill() -> None:
    # Weights and the second embedding 4.4 MB; 16 rows of 200 tokens of 10 layers of 50 numbers 6.4 MB; a prefill of two rows:
    # 400 tokens of 3,000 numbers 4.8 MB, and three tables of scores for 4 heads of 200 × 200, 3.84 MB.
    assert beyond(SAMPLING_BASE, sampling_memory(ROUND, 16, 200, "float32")) == pytest.approx(19.44e6)


def test_a_short_context_takes_what_loading_takes() -> None:
    assert beyond(SAMPLING_BASE, sampling_memory(ROUND, 1, 10, "float32")) == pytest.approx(4e6 + 4.4e6)
    # float32 files, used in bfloat16: as stored, converted, and laid out.
    assert beyond(SAMPLING_BASE, sampling_memory(ROUND, 1, 10, "bfloat16")) == pytest.approx(4e6 + 2e6 + 2.2e6)


def test_the_check_of_exports_prefills_few_rows_however_large_the_batch() -> None:
    # 4.4 MB, a cache of 64 rows 25.6 MB, and half of 8 rows of a prefill: 9.6 MB and 7.68 MB.
    assert beyond(SAMPLING_BASE, checking_memory(ROUND, 64, 200, "float32")) == pytest.approx(47.28e6)
    assert checking_memory(ROUND, 64, 200, "float32") < sampling_memory(ROUND, 64, 200, "float32")


def test_training_holds_sixteen_bytes_a_parameter_and_what_a_backward_pass_keeps() -> None:
    # As stored 4 MB, state 16 MB, 200 tokens of 10 layers of 2,400 numbers 19.2 MB, six copies of 200,000 logits 4.8 MB.
    assert beyond(TRAINING_BASE, training_memory(ROUND, RECIPE, 100)) == pytest.approx(44e6)
    adapters = RECIPE.model_copy(update={"lora": Lora(rank=8, alpha=16)})
    assert beyond(TRAINING_BASE, training_memory(ROUND, adapters, 100)) == pytest.approx(32e6)
    recomputed = RECIPE.model_copy(update={"activations": "recompute"})
    assert beyond(TRAINING_BASE, training_memory(ROUND, recomputed, 100)) == pytest.approx(44e6 - 0.8 * 19.2e6)


def test_the_teacher_holds_the_weights_and_one_example() -> None:
    # Weights 4 MB, 100 tokens of 1,500 numbers 0.6 MB, six copies of 100,000 logits 2.4 MB.
    assert beyond(TEACHING_BASE, teaching_memory(ROUND, 100)) == pytest.approx(7e6)
    assert memory.LOGITS_TOGETHER == LOGITS_TOGETHER


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 135e6), ("Qwen/Qwen3.5-0.8B", 0.8e9), ("Qwen3-30B-A3B", 30e9),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 7e9), ("allenai/Olmo-3-7B-Instruct", 7e9),
    ],
)  # fmt: skip
def test_a_name_says_how_large_a_model_is(name: str, parameters: float) -> None:
    size = named_size(name)
    assert size is not None and size.parameters == parameters and size.stored_bytes == 2 * parameters


def test_a_name_that_says_nothing_is_not_guessed_from() -> None:
    assert [named_size(name) for name in ("gpt2", "llama-3.2", "my-model", "results/4bit", "model-7bee")] == [None] * 5


def test_a_folder_says_more_than_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "model-7B"
    folder.mkdir()
    save_file(
        {"embedding": torch.zeros(30, 8), "layer": torch.zeros(8, 8, dtype=torch.bfloat16)},
        folder / "model.safetensors",
    )
    text = {
        "hidden_size": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
        "vocab_size": 30,
    }
    (folder / "config.json").write_text(json.dumps({"text_config": text}))
    assert size_of(folder) == ModelSize(
        parameters=304, stored_bytes=4 * 240 + 2 * 64, largest=240, vocabulary=30, layers=3, hidden=8, inner=32, heads=4,
        cached=2 * 2 * 2,
    )  # fmt: skip


def lab(monkeypatch: pytest.MonkeyPatch, **model: str) -> Study:
    monkeypatch.chdir(ROOT)
    study = study_of(Path("config/smoke.yaml"))
    return study.model_copy(update={"model": study.model.model_copy(update=model)})


def test_the_lab_model_asks_for_little_and_an_unknown_one_for_what_it_always_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needs_of(lab(monkeypatch)) == Needs(sample=1300, check_export=1000, teacher=1100, train=1400, practice=1800)
    assert needs_of(lab(monkeypatch, path=str(tmp_path / "nothing"))) == UNKNOWN_ON_CPU
    assert needs_of(lab(monkeypatch, path=str(tmp_path / "model-4B"), hub="them/model-4B")) == UNKNOWN_ON_CPU
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/config.json").write_text("{}")
    assert needs_of(lab(monkeypatch, path=str(tmp_path / "damaged"))) == UNKNOWN_ON_CPU
    study = lab(monkeypatch, path=str(tmp_path / "nothing"))
    gpus = {name: getattr(study, name).model_copy(update={"gpus": 1}) for name in ("sampling", "training")}
    assert needs_of(study.model_copy(update=gpus)) == UNKNOWN_ON_GPU


def test_vllm_is_given_room_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    study = lab(monkeypatch)
    alone = needs_of(study)
    with_vllm = needs_of(study.model_copy(update={"sampling": study.sampling.model_copy(update={"engine": "vllm"})}))
    assert min(with_vllm.sample, with_vllm.check_export) >= 2000 > alone.sample
    assert (with_vllm.teacher, with_vllm.train) == (alone.teacher, alone.train)


def test_an_arm_with_a_recipe_of_its_own_counts() -> None:
    larger = RECIPE.model_copy(update={"micro_batch": 4})
    assert training_memory(ROUND, larger, 100) > training_memory(ROUND, RECIPE, 100)
    assert training_memory(replace(ROUND, stored_bytes=2_000_000), RECIPE, 100) == pytest.approx(
        training_memory(ROUND, RECIPE, 100) - SPARE * 2e6
    )


def test_what_was_measured_is_covered_with_little_to_spare() -> None:
    """By the numbers of benchmarks/job_memory.py."""
    for row in json.loads((ROOT / "benchmarks/job_memory.json").read_text())["rows"]:
        assert row["measured_mib"] < row["asked_mib"] < 1.55 * row["measured_mib"], row
    assert MIB == 2**20
