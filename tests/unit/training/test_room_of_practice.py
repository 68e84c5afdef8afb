"""What a practice asks of memory and disk beside a training, and what it tells trackers: sums that can be done by hand."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import polars as pl
import pytest
import torch

from practice_fixture import SEARCHER, TRAINING, practice_settings
from selfdistill.foundation.errors import UserError
from selfdistill.training.objectives import divergence
from selfdistill.training.practice.room import bytes_of_copies, disk_of, memory_beside
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.teacher import halve
from selfdistill.training.practice.trainer import PractisingTrainer, facts_of
from selfdistill.training.trainer import memory
from selfdistill.training.trainer.memory import needed_memory, out_of_memory, refuse_without_disk
from selfdistill.training.trainer.model import load_model

LENGTH = 640


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(SEARCHER, "float32")


def weights_of(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def moving(**training: Any) -> PracticeSettings:
    return practice_settings("distil", {"teacher": {"ema": 0.05}}, training=TRAINING | training)


def test_a_moving_teacher_is_float32_whatever_the_student_is() -> None:
    assert bytes_of_copies(practice_settings("grpo", {"base_kl": False})) == 0
    assert bytes_of_copies(practice_settings("grpo")) == 4
    assert bytes_of_copies(practice_settings("distil")) == 4  # the teacher is the base
    assert bytes_of_copies(moving()) == 8
    assert bytes_of_copies(moving(precision="pure-bf16")) == 2 + 4
    assert bytes_of_copies(moving().model_copy(update={"device": "cuda"})) == 2 + 4
    adapters = practice_settings("distil", training=TRAINING | {"lora": {"rank": 2, "alpha": 4}})
    assert bytes_of_copies(adapters) == 0


def test_tables_of_laws_and_copies_are_in_the_memory_that_is_said_twice(model: Any) -> None:
    settings = moving()
    beside = memory_beside(model, settings, LENGTH)
    assert beside.fixed == 7 * 4 * min(settings.training.micro_batch * LENGTH * model.config.vocab_size, 2**24)
    assert memory_beside(model, practice_settings("grpo"), LENGTH).fixed == 0
    more = needed_memory(model, settings, LENGTH, beside) - needed_memory(model, settings, LENGTH)
    assert more == 8 * weights_of(model) + beside.fixed
    said = str(out_of_memory(MemoryError("malloc"), model, settings, LENGTH, beside))
    assert f"{needed_memory(model, settings, LENGTH, beside) / 2**30:.1f} GiB" in said
    assert "training.activations (recompute)" in said and "offload" not in said


def test_the_tables_and_the_casts_of_a_large_head_stay_under_two_gib() -> None:
    """20,480 tokens × 151,936 words of width 4,096: the student's head in bf16, tables, and the gradient of hidden states."""
    cast, states = 151_936 * 4096 * 2, 20_480 * 4096 * 4
    assert cast + divergence.TABLES * 4 * divergence.LOGITS_TOGETHER + states < 2 * 2**30


def test_two_checkpoints_each_with_a_moving_teacher_and_every_rollout_are_on_the_disk(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, settings = tmp_path / "work", moving()
    (work / "generations").mkdir(parents=True)
    tokens, weights = 2 * 4 * 4 * 224, weights_of(model)
    assert disk_of(model, settings, work) == (2, 4 * weights, 3 * 8 * tokens)
    assert disk_of(model, settings.model_copy(update={"replays": "digest"}), work).rollouts == 2 * 8 * tokens
    assert disk_of(model, practice_settings(), work).by_checkpoint == 0
    journal = tmp_path / "work-rollouts" / "0001" / "journal-0"
    journal.mkdir(parents=True)
    (journal / "0.parquet").write_bytes(bytes(1000))
    (work / "generations" / "0001.parquet").write_bytes(bytes(500))
    written = disk_of(model, settings, work)
    assert written.rollouts == 3 * 8 * tokens - 1000
    models = sum(file.stat().st_size for file in SEARCHER.glob("*.safetensors"))
    needed = 3 * models + 2 * (3 * 4 + 4) * weights + written.rollouts - 500  # what is there need not be written

    def with_free(free: int) -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(memory.shutil, "disk_usage", lambda path: usage)
        refuse_without_disk(model, work, SEARCHER, 3, 4, settings, written)

    with_free(needed)
    with pytest.raises(UserError, match=r"GiB \(3 exported models, its answers: 0\.0 GiB, and the checkpoint"):
        with_free(needed - 1)


def test_a_head_of_its_own_is_kept_as_it_is_multiplied_and_its_bias_is_not() -> None:
    embedding, head = torch.nn.Embedding(7, 3), torch.nn.Linear(3, 7)

    def parts(head: torch.nn.Linear) -> Any:
        both: Any = torch.nn.ModuleList([embedding, torch.nn.Linear(3, 3), head])
        both.get_input_embeddings, both.get_output_embeddings = lambda: embedding, lambda: head
        return both

    halve(parts(head))
    assert (head.weight.dtype, head.bias.dtype) == (torch.bfloat16, torch.float32)
    tied = torch.nn.Linear(3, 7, bias=False)
    tied.weight = embedding.weight
    halve(parts(tied))
    assert embedding.weight.dtype == torch.float32


def test_trackers_are_told_of_doubt_loops_flat_groups_and_clips() -> None:
    rows = pl.DataFrame(
        {
            "reward": [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            "doubts": [0, 2, 4, 6, 1, 1, 1, 1],
            "looping": [False, True, False, False, False, False, False, False],
            "n_tokens": [10, 20, 30, 40, 5, 5, 5, 5],
            "finish_reason": ["stop", "length", "stop", "stop", "stop", "stop", "stop", "stop"],
        }
    )
    facts = facts_of(rows, 2)
    assert facts["flat"].to_list() == [False] * 2 + [True] * 4 + [False] * 2
    update = {"step": 1, "teacher_kl": 0.25, "clipped_high": 0.0, "is_mean": None, "seconds_learning": 2.0}
    trainer: Any = SimpleNamespace(_graded=facts, _row={"step": 1, "update": update}, _of_step=lambda step: slice(0, 4))
    trainer.tracked = lambda: PractisingTrainer.tracked(trainer)
    assert PractisingTrainer.tracked(trainer) == {
        "reward": 0.75, "doubts": 3.0, "looping": 0.25, "length": 25.0, "cut": 0.25, "flat": 0.5,
        "teacher_kl": 0.25, "clipped_high": 0.0,
    }  # fmt: skip
    assert list(PractisingTrainer.shown(trainer)) == ["reward", "length", "cut", "teacher_kl"]
    assert PractisingTrainer.seconds_learning(trainer) == 2.0  # answering left out
