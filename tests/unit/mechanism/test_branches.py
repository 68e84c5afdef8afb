"""Short trainings at several batch sizes: settings by the square-root rule, the arm's own trainer, and what a kill leaves."""

import math
import os
import weakref
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import polars as pl
import pytest
import torch

from selfdistill.foundation.errors import UserError
from selfdistill.mechanism import branches
from selfdistill.mechanism.branches import branch_settings, split, write_branches
from selfdistill.mechanism.trade_off import trade_off
from selfdistill.study.mechanism import Branches
from selfdistill.tables.mechanism import BRANCH_LOSSES
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table
from selfdistill.training.trainer.model import load_model
from training_fixture import BATCH, settings, tiny_dataset, tiny_model

ASKED = Branches(arm="ssd", batches=[8, 16], examples=16, held_out=8, seeds=[0, 1000])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_model(folder / "model"), tiny_dataset(folder / "dataset.parquet")


def test_the_rate_goes_with_the_root_of_the_batch_and_the_memory_with_the_examples() -> None:
    study = settings()
    four_times = branch_settings(study, 4 * BATCH, 7).training
    assert four_times.lr == pytest.approx(2 * study.training.lr) and four_times.lr_floor == four_times.lr
    assert math.log(four_times.beta2) / (4 * BATCH) == pytest.approx(math.log(study.training.beta2) / BATCH)
    same = branch_settings(study, BATCH, 7).training
    assert (same.lr, same.beta2, same.weight_decay) == (
        study.training.lr,
        study.training.beta2,
        study.training.weight_decay,
    )
    assert branch_settings(study, 3, 7).training.micro_batch == 1


def test_no_held_out_problem_is_shown(tiny: tuple[Path, Path]) -> None:
    dataset = read_table(tiny[1], DATASET)
    shown, held_out = split(
        pl.concat([dataset, dataset.with_columns(request_id="x" + pl.col("request_id"))]), ASKED, 64
    )
    assert shown.height == 16 and held_out.height == 8
    assert not set(shown["problem_id"]) & set(held_out["problem_id"])
    with pytest.raises(
        UserError, match="mechanism.branches: 8 held-out and 16 shown examples are more than the arm's 20"
    ):
        split(dataset.head(20), ASKED, 64)


def test_a_killed_study_of_branches_goes_on_and_sees_what_the_model_says(
    tiny: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, dataset = tiny
    calls, original = [], branches.branch_losses

    def dies(*given: object) -> pl.DataFrame:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(branches, "branch_losses", dies)
    with pytest.raises(KeyboardInterrupt):
        write_branches(model, dataset, None, ASKED, settings(), tmp_path / "losses.parquet", tmp_path / "work")
    write_branches(model, dataset, None, ASKED, settings(), tmp_path / "losses.parquet", tmp_path / "work")
    assert len(calls) == 3 + 2
    table = read_table(tmp_path / "losses.parquet", BRANCH_LOSSES)
    assert table.group_by("batch", "seed").agg(pl.col("examples").max())["examples"].to_list() == [16] * 4
    assert table.filter(pl.col("batch") == 8)["step"].unique().sort().to_list() == [0, 1, 2]
    before = table.filter((pl.col("step") == 0) & (pl.col("batch") == 8) & (pl.col("seed") == 0))
    _, held_out = split(read_table(dataset, DATASET), ASKED, 64)
    base = load_model(model).eval()
    for name, loss in before.select("request_id", "loss").iter_rows():
        row = held_out.row(by_predicate=pl.col("request_id") == name, named=True)
        ids = torch.tensor([row["prompt_ids"] + row["completion_ids"]])
        labels = torch.tensor([[-100] * len(row["prompt_ids"]) + row["completion_ids"]])
        with torch.no_grad():
            assert loss == pytest.approx(
                float(base(input_ids=ids, labels=labels).loss) * len(row["completion_ids"]), rel=1e-4
            )
    assert trade_off(table, BATCH).height > 0


def test_nothing_of_a_finished_branch_stays_in_memory(
    tiny: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU two trainings at once would be one too many."""
    models: list[weakref.ref[torch.nn.Module]] = []
    original = branches.build_trainer

    def watched(*given: Any) -> Any:
        assert all(model() is None for model in models)
        trainer = original(*given)
        models.append(weakref.ref(trainer.model))
        return trainer

    monkeypatch.setattr(branches, "build_trainer", watched)
    asked = ASKED.model_copy(update={"batches": [8, 16], "seeds": [0]})
    write_branches(*tiny, None, asked, settings(), tmp_path / "losses.parquet", tmp_path / "work")
    assert len(models) == 2 and models[-1]() is None
