"""A tiny model, a tiny dataset and settings to train with: what the tests of training share."""

import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import numpy as np
import polars as pl
import torch

from selfdistill.models.digests import model_digest
from selfdistill.study.training import Training
from selfdistill.tables.training import DATASET, RUN_LOG, TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.handover.exports import TRAINED_LOGPROBS_FILE
from selfdistill.training.handover.finished import TABLES
from selfdistill.training.run import build_trainer, export_steps
from selfdistill.training.settings import RunSettings

VOCABULARY, END, EXAMPLES, BATCH, MICRO, STEPS = 40, 1, 46, 8, 2, 6  # the last step holds 6 sequences


SCRIPTS = Path(__file__).resolve().parents[1] / "workflow_scripts"
# The program, but that it signals itself when it calls this method of its trainer at this step.
SIGNALLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
import train
from selfdistill.training.trainer.trainer import MeasuredTrainer as Trainer
name, where, step = sys.argv[2], sys.argv[3], int(sys.argv[4])
def signalled(self, *args):
    if self.state.global_step == step:
        os.kill(os.getpid(), getattr(signal, name))
    return original(self, *args)
original = getattr(Trainer, where)
setattr(Trainer, where, signalled)
train.as_program(lambda: train.main(sys.argv[5:]))
"""


def training_command(
    model: Path,
    dataset: Path,
    folder: Path,
    chosen: RunSettings | None = None,
    signalled: tuple[str, str, int] | None = None,
) -> list[str]:
    """The program as Snakemake starts it, on `folder`/out and `folder`/work."""
    program = [str(SCRIPTS / "train.py")]
    if signalled:
        program = ["-c", SIGNALLED, str(SCRIPTS), *map(str, signalled)]
    given = ["--model", str(model), "--dataset", str(dataset)]
    given += ["--settings", (chosen or settings()).model_dump_json()]
    return [sys.executable, *program, *given, "--out", str(folder / "out"), "--work", str(folder / "work")]


def tiny_model(folder: Path) -> Path:
    """A random Qwen3 with tied embeddings and a tokenizer of forty words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = {"<pad>": 0, "<end>": 1, **{f"w{number}": number for number in range(2, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>").save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
        max_position_embeddings=64,
        attention_dropout=0.1,
        eos_token_id=END,
        bos_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def tiny_dataset(path: Path) -> Path:
    """Rows of unequal length; every fifth lacks its end token, as one that was cut."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(EXAMPLES):
        prompt = rng.integers(2, VOCABULARY, rng.integers(3, 9)).tolist()
        completion = rng.integers(2, VOCABULARY, rng.integers(2, 30)).tolist() + [END] * (number % 5 != 0)
        rows.append(
            (f"r{number:02d}", "samples-t11", f"p{number}", prompt, completion, "answered", "correct", len(completion))
        )
    write_table(pl.DataFrame(rows, schema=DATASET, orient="row"), path, DATASET)
    return path


def settings(context: int = 64, training_seed: int = 0, **training: Any) -> RunSettings:
    chosen: dict[str, Any] = {"samples": 50, "examples": EXAMPLES, "batch": BATCH, "micro_batch": MICRO, "lr": 1e-3}
    chosen |= {"lr_floor": 1e-4, "warmup_steps": 2, "save_every": 2, "max_grad_norm": 0.5}
    return RunSettings(
        training=Training(**(chosen | training)), study_seed=3, training_seed=training_seed, arm="ssd", context=context
    )


def trainer_for(model: Path, dataset: Path, work: Path, chosen: RunSettings) -> Any:
    rows = read_table(dataset, DATASET)
    work.mkdir(parents=True, exist_ok=True)
    return build_trainer(model, rows, chosen, WorkFolder(work), {}, STEPS, lambda: False)


def assert_same_results(one: Path, other: Path) -> None:
    """Weights bit for bit, and every logged row; only seconds and memory may differ."""
    for name in export_steps([25, 50, 75, 100], STEPS):
        assert model_digest(one / name) == model_digest(other / name), name
        said = [read_table(folder / name / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS) for folder in (one, other)]
        assert said[0].equals(said[1]) and said[0].height > 0, name
    logs = [read_table(folder / "log.parquet", RUN_LOG).drop("seconds", "device_bytes") for folder in (one, other)]
    assert logs[0].equals(logs[1]) and logs[0]["step"].to_list() == list(range(1, STEPS + 1))
    for file, schema in TABLES.items():
        if file != "log.parquet":
            ours, theirs = (read_table(folder / file, schema) for folder in (one, other))
            assert ours.equals(theirs) and (ours.height > 0 or file == "coherence.parquet"), file
