"""Runs that learn from soft targets: what they share with runs on the sampled tokens, and what they do not."""

import json
import os
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import polars as pl
import pytest

from selfdistill.study.sampling import Decode
from selfdistill.tables.training import DATASET, NOISE, RUN_LOG, TARGETS
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.teacher import write_targets
from selfdistill.training.run import Stopped, train_run
from training_fixture import VOCABULARY, assert_same_results, settings

pytestmark = pytest.mark.xdist_group("trainer")


@pytest.fixture(scope="module")
def sampled(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the sampled tokens."""
    folder = tmp_path_factory.mktemp("run")
    train_run(model, dataset, settings(), folder / "out", folder / "work")
    return folder / "out"


@pytest.fixture(scope="session")
def one_hot(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in which the sampled tokens have all the probability."""
    rows = [
        (request, [1] * len(tokens), tokens, [1.0] * len(tokens), 0.0, float(len(tokens)), 0)
        for request, tokens in read_table(dataset, DATASET).select("request_id", "completion_ids").iter_rows()
    ]
    path = tmp_path_factory.mktemp("targets") / "targets.parquet"
    write_table(pl.DataFrame(rows, schema=TARGETS, orient="row"), path, TARGETS)
    return path


@pytest.fixture(scope="session")
def soft(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base's own law at temperature 1, each token of the vocabulary retained. The tokens here were drawn from nothing."""
    folder = tmp_path_factory.mktemp("targets")
    itself = Decode(temperature=1.0, top_k=VOCABULARY, max_tokens=64)
    write_targets(model, dataset, itself, "cpu", folder / "targets.parquet", folder / "targets.json")
    return folder / "targets.parquet"


RECIPES: dict[str, dict[str, Any]] = {
    "the usual one": {},
    "padding-free": {"collation": "padding-free"},
    "adapters": {"lora": {"rank": 4, "alpha": 8}, "lr": 1e-2},
    "recomputed activations": {"activations": "recompute"},
    "cut to fit, two epochs": {"context": 20, "over_length": "truncate", "epochs": 2},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_on_one_hot_targets_is_the_run_on_the_sampled_tokens(
    model: Path, dataset: Path, one_hot: Path, tmp_path: Path, recipe: str
) -> None:
    """Same batches, same loss, same gradients in every micro-batch, up to the order of sums."""
    logs, noise = [], []
    for targets in (one_hot, None):
        out = tmp_path / f"{targets is None}"
        train_run(model, dataset, settings(**RECIPES[recipe]), out, out / "work", targets_file=targets)
        logs.append(read_table(out / "log.parquet", RUN_LOG))
        noise.append(read_table(out / "noise.parquet", NOISE).filter(pl.col("step") == 1)["norm_squared"].to_list())
    ours, theirs = logs
    assert ours.select("step", "tokens", "sequences").equals(theirs.select("step", "tokens", "sequences"))
    for column, exact in (("loss", 1e-4), ("entropy", 1e-4), ("grad_norm", 1e-2)):
        assert ours[column].to_list() == pytest.approx(theirs[column].to_list(), rel=exact), column
    assert noise[0] == pytest.approx(noise[1], rel=1e-4) and sum(noise[1]) > 0


def test_at_the_fixed_point_soft_targets_have_no_gradient_where_samples_have_noise(
    model: Path, dataset: Path, soft: Path, sampled: Path, tmp_path: Path
) -> None:
    train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "work", targets_file=soft)
    ours, theirs = (read_table(folder / "log.parquet", RUN_LOG)["grad_norm"] for folder in (tmp_path / "out", sampled))
    assert ours[0] < 1e-5 * theirs[0]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["targets_digest"] and not json.loads((sampled / "manifest.json").read_text())["targets_digest"]


def test_a_run_on_soft_targets_goes_on_to_the_same_bits(
    model: Path, dataset: Path, one_hot: Path, tmp_path: Path
) -> None:
    train_run(model, dataset, settings(), tmp_path / "whole", tmp_path / "work", targets_file=one_hot)
    for _ in range(2):
        with pytest.raises(Stopped):
            train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "again", lambda: True, one_hot)
    train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "again", targets_file=one_hot)
    assert_same_results(tmp_path / "out", tmp_path / "whole")


def test_other_targets_are_another_run(
    model: Path, dataset: Path, one_hot: Path, soft: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for targets in (one_hot, soft, None):
        with pytest.raises(Stopped):
            train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "work", lambda: True, targets)
        assert ("origin.targets" in capsys.readouterr().err) == (targets is not one_hot)
