"""Gradients of single sequences: the parts are the whole, a sketch keeps products, and a killed probe goes on."""

import os
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import numpy as np
import polars as pl
import pytest
import torch

from lab_requests import MODEL
from selfdistill.foundation.errors import UserError
from selfdistill.mechanism import gradients
from selfdistill.mechanism.gradient_noise import Pairs, gradients_of, probe_rows
from selfdistill.mechanism.gradients import (
    ProbeSettings,
    Sketch,
    parts_of,
    probe_examples,
    products_of,
    sequence_sketches,
    token_parts,
    write_products,
)
from selfdistill.study.mechanism import Classes
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.mechanism import GRADIENT_PRODUCTS
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table
from selfdistill.training.trainer.model import load_model
from training_fixture import tiny_dataset, tiny_model

SETTINGS = ProbeSettings(
    decode=Decode(temperature=1.0, top_k=20, top_p=0.95, min_p=0.0, presence_penalty=0.0, max_tokens=64),
    classes=Classes(), sketch=8192, seed=1, context=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return read_table(tiny_dataset(tmp_path_factory.mktemp("data") / "dataset.parquet"), DATASET)


def plain_gradient(model: Any, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """Of the loss as transformers computes it, summed over the completion's tokens."""
    ids = torch.tensor([prompt + completion])
    labels = torch.tensor([[-100] * len(prompt) + completion])
    model.zero_grad(set_to_none=True)
    (model(input_ids=ids, labels=labels).loss * len(completion)).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def of_each(model: Any, rows: pl.DataFrame, numbers: int) -> np.ndarray:
    """Sketches of sequences, the tokens of each dealt to the parts by turns."""
    sketch = Sketch([parameter for parameter in model.parameters() if parameter.requires_grad], numbers, 1)
    found = [
        sequence_sketches(model, sketch, prompt, completion, np.arange(len(completion), dtype=np.int8) % 3)
        for prompt, completion in rows.select("prompt_ids", "completion_ids").iter_rows()
    ]
    return torch.stack(found).double().numpy()


def test_parts_add_up_to_the_gradient_that_training_takes(tiny: Path, rows: pl.DataFrame) -> None:
    model, some = load_model(tiny).eval(), rows.head(4)
    weights = sum(parameter.numel() for parameter in model.parameters())
    unfolded = of_each(model, some, weights)  # as many numbers as weights: nothing falls on another
    signs = torch.cat([place.signs for place in Sketch(list(model.parameters()), weights, 1).places]).numpy()
    for found, row in zip(unfolded, some.iter_rows(named=True), strict=True):
        whole = plain_gradient(model, row["prompt_ids"], row["completion_ids"]).double().numpy()
        assert np.abs(found.sum(0) * signs - whole).max() < 1e-5 * np.abs(whole).max()


def test_layers_that_are_recomputed_once_for_every_class_give_the_same_gradients(
    tiny: Path, rows: pl.DataFrame
) -> None:
    """As of large models on a GPU, whose activations are not kept between the backward passes."""
    kept = load_model(tiny).eval()
    recomputed = load_model(tiny).train()
    recomputed.activation_checkpointing_enable({"use_reentrant": False})
    ours, theirs = (of_each(model, rows.head(2), 4096) for model in (recomputed, kept))
    assert np.allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_a_fold_that_wraps_around_puts_every_weight_on_its_number() -> None:
    """Of tensors larger and smaller than the sketch, against the definition."""
    tensors = [torch.nn.Parameter(torch.randn(size)) for size in (70, 3, 33, 128)]
    for tensor in tensors:
        tensor.grad = torch.randn(tensor.shape)
    sketch, expected, at = Sketch(tensors, 32, 0), np.zeros(32), 0
    for tensor, place in zip(tensors, sketch.places, strict=True):
        assert place.first == at % 32
        for value, sign in zip(tensor.grad.tolist(), place.signs.tolist(), strict=True):  # type: ignore[union-attr]
            expected[at % 32] += sign * value
            at += 1
    assert np.allclose(sketch.of_gradient().numpy(), expected, atol=1e-5)


def test_the_signal_of_the_sketch_is_that_of_all_pairs_of_whole_gradients() -> None:
    """On the lab's model, whose gradients have 1.6 million numbers; random words give them a signal to speak of."""
    model = load_model(MODEL).eval()
    rng = np.random.default_rng(0)
    prompt = rng.integers(5, 60, 10).tolist()
    some = pl.DataFrame({
        "prompt_ids": [prompt] * 12, "completion_ids": [rng.integers(5, 60, size).tolist() for size in rng.integers(8, 24, 12)],
    })  # fmt: skip
    tokens = some["completion_ids"].list.len().to_numpy().astype(float)
    exact = np.stack([plain_gradient(model, *row).numpy() for row in some.iter_rows()])
    truth = Pairs(products_of(exact), tokens)
    sketched = Pairs(products_of(of_each(model, some, 65536).sum(1)), tokens)
    assert sketched.signal[0] == pytest.approx(truth.signal[0], rel=0.01)
    assert sketched.trace[0] == pytest.approx(truth.trace[0], rel=0.01)


def test_classes_are_those_of_the_thresholds() -> None:
    top, second, tail = (
        torch.tensor([0.96, 0.6, 0.6, 0.5, 0.85]),
        torch.tensor([0.04, 0.3, 0.3, 0.05, 0.1]),
        torch.zeros(5, dtype=torch.float64),
    )
    thresholds = Classes(lock_top=0.9, fork_top=0.8, fork_second=0.1, fork_tail=0.1)
    tail[2] = 0.15  # much beyond the kept set
    lock, fork, rest = range(3)
    assert words.GRADIENT_PARTS == (words.LOCK, words.FORK, words.REST)
    assert parts_of(top, second, tail, thresholds).tolist() == [lock, fork, rest, rest, rest]


def test_a_tokens_class_is_of_the_law_that_it_was_drawn_from(tiny: Path, rows: pl.DataFrame) -> None:
    """Recomputed from the model's own logits; thresholds that a random model's laws fall on both sides of."""
    model = load_model(tiny).eval()
    prompt, completion = rows["prompt_ids"][1].to_list(), rows["completion_ids"][1].to_list()
    with torch.no_grad():
        p = model(input_ids=torch.tensor([prompt + completion])).logits[0].softmax(-1)[len(prompt) - 1 : -1]
    middle = float(p.max(-1).values.median())
    parts = token_parts(model, prompt, completion, SETTINGS.model_copy(update={"classes": Classes(lock_top=middle)}))
    assert (parts == 0).tolist() == (p.max(-1).values >= middle).tolist() and len(parts) == len(completion)


def test_examples_that_no_training_was_shown_come_first(rows: pl.DataFrame) -> None:
    unused = rows.head(3).with_columns(request_id="u" + pl.col("request_id"), problem_id="u" + pl.col("problem_id"))
    again = rows.head(2).with_columns(request_id="again" + pl.col("request_id"))  # of problems that were trained on
    chosen = probe_examples(rows, pl.concat([unused, again]), 12, 64)
    assert chosen["fresh"].to_list() == [True] * 3 + [False] * 9
    assert chosen["problem_id"].is_unique().all() and not chosen["request_id"].str.starts_with("again").any()
    with pytest.raises(UserError, match="mechanism.noise: 4 examples"):
        probe_examples(rows.head(4), rows.clear(), 12, 64)


def test_a_killed_probe_goes_on_and_ends_with_the_same_table(
    tiny: Path, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = probe_examples(rows, rows.clear(), 10, 64)
    write_products(tiny, tiny, examples, SETTINGS, tmp_path / "whole.parquet", tmp_path / "work")
    calls, original = [], gradients.sequence_sketches

    def dies(*given: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(gradients, "sequence_sketches", dies)
    with pytest.raises(KeyboardInterrupt):
        write_products(tiny, tiny, examples, SETTINGS, tmp_path / "again.parquet", tmp_path / "work")
    assert not (tmp_path / "again.parquet").exists()
    damaged = next((tmp_path / "work").glob("*/sketch-*.npy"))
    damaged.write_bytes(damaged.read_bytes()[:100])  # a file that is not whole is made again
    write_products(tiny, tiny, examples, SETTINGS, tmp_path / "again.parquet", tmp_path / "work")
    assert len(calls) == 5 + 10 - 3
    tables = [read_table(tmp_path / name, GRADIENT_PRODUCTS) for name in ("whole.parquet", "again.parquet")]
    assert tables[0].equals(tables[1]) and tables[0].height == 30
    assert not list((tmp_path / "work").glob("*/*.npy"))
    rows_of_it = probe_rows(gradients_of(tables[0]), 0)
    assert rows_of_it["tokens"][0] == examples["completion_ids"].list.len().sum()
