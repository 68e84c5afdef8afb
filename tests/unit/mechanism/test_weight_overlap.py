"""Two trainings on the same weights: of noise the null is met, and what is planted in both is found."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.stored_weights import StoredWeights, as_bf16, as_float32
from selfdistill.mechanism.weight_overlap import overlaps, stable_rank
from selfdistill.reporting.weights import first_pairs, weight_sentences
from selfdistill.tables import words

LAYERS = 4
STEP = 3e-5  # the size of an update; weights are N(0, 0.02²), so that rounding decides which of them are seen to move
DECAY = 0.0005
DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (64, 48), "model.norm.weight": (48,)}
    for layer in range(LAYERS):
        found[f"model.layers.{layer}.self_attn.q_proj.weight"] = (48, 48)
        found[f"model.layers.{layer}.mlp.up_proj.weight"] = (96, 48)
    return found


def base_weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: (torch.randn(shape, generator=generator) * 0.02).bfloat16() for name, shape in shapes().items()}


def write(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def trained(seed: int, common: float = 0.0, decay: float = 0.0, dtype: str = "bf16") -> dict[str, torch.Tensor]:
    """Weights after noise of the run's own, a movement that all runs share, and decay; as a float32 training exports them."""
    own, shared = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)
    moved = {}
    for name, tensor in base_weights().items():
        noise = torch.randn(tensor.shape, generator=own) * STEP
        planted = torch.randn(tensor.shape, generator=shared) * STEP * common
        moved[name] = (tensor.float() * (1 - decay) + noise + planted).to(DTYPES[dtype])
    return moved


def two_runs(tmp_path: Path, **how: Any) -> pl.DataFrame:
    base = write(
        tmp_path / "base",
        {name: tensor.to(DTYPES[how.get("dtype", "bf16")]) for name, tensor in base_weights().items()},
    )
    runs = {f"ssd/seed-{seed}": write(tmp_path / f"run-{seed}", trained(seed, **how)) for seed in (1, 2)}
    return overlaps(base, runs, 0)


def row(table: pl.DataFrame, measure: str, group: str = words.TOTAL) -> dict[str, Any]:
    return table.row(by_predicate=(pl.col("measure") == measure) & (pl.col("group") == group), named=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_trainings_of_noise_overlap_as_rounding_lets_them(tmp_path: Path, dtype: str) -> None:
    table = two_runs(tmp_path, dtype=dtype)
    changed = row(table, words.CHANGED_OVERLAP)
    assert abs(changed["excess"]) < 0.01
    by_chance = row(table, words.CHANGED_SHARE)["estimate"]
    if dtype == "bf16":
        assert changed["estimate"] > by_chance + 0.05  # far more than chance would, and yet only rounding
    for measure in (words.SAME_DIRECTION, words.COSINE, *map(words.top_overlap, (0.01, 0.1))):
        assert abs(row(table, measure)["excess"]) < 0.03, measure
    apart = row(table, words.RELATIVE_DISTANCE)
    assert apart["excess"] == pytest.approx(0, abs=0.03 * apart["estimate"])
    assert "rounding and noise" in weight_sentences(table)["ssd/seed-1"]


def test_the_intervals_of_noise_cover_as_often_as_they_say(tmp_path: Path) -> None:
    inside = total = 0
    base = write(tmp_path / "base", base_weights())
    for repeat in range(30):
        runs = {
            f"ssd/seed-{seed}": write(tmp_path / f"{repeat}-{seed}", trained(1000 * seed + repeat)) for seed in (1, 2)
        }
        table = overlaps(base, runs, 0)
        for measure in (words.CHANGED_OVERLAP, words.SAME_DIRECTION, words.COSINE):
            found = row(table, measure)
            inside, total = inside + (found["low"] < 0 < found["high"]), total + 1
    assert inside / total >= 0.88  # 90 of nominal 95 %: three standard errors


def test_a_movement_that_both_share_is_found_in_its_size(tmp_path: Path) -> None:
    table = two_runs(tmp_path, common=1.0, dtype="f32")
    cosine = row(table, words.COSINE)
    assert cosine["low"] < 0.5 < cosine["high"] and cosine["high"] - cosine["low"] < 0.2  # common² / (common² + noise²)
    agreeing = row(table, words.SAME_DIRECTION)
    assert (
        agreeing["low"] > 0 and 2 / 3 < agreeing["estimate"] < 0.85
    )  # 1/2 + arcsin(1/2)/π, and more of those that bf16 sees move
    assert row(table, words.top_overlap(0.1))["low"] > 0
    distance = row(table, words.RELATIVE_DISTANCE)
    assert distance["estimate"] / distance["expected"] == pytest.approx(2**0.5, rel=0.03)
    assert "fitted their examples alike" in weight_sentences(table)["ssd/seed-1"]


def test_what_two_arms_have_in_common_is_told_by_the_cosine_alone(tmp_path: Path) -> None:
    base = write(tmp_path / "base", {name: tensor.float() for name, tensor in base_weights().items()})
    runs = {
        f"{arm}/seed-0": write(tmp_path / arm, trained(seed, 1.0, dtype="f32")) for arm, seed in (("a", 1), ("b", 2))
    }
    table = overlaps(base, runs, 0)
    between = table.filter(pl.col("against") == "b/seed-0")
    assert between["measure"].unique().to_list() == [words.COSINE] and row(between, words.COSINE)["low"] > 0
    assert table.filter(pl.col("against").is_null())["run"].unique().sort().to_list() == ["a/seed-0", "b/seed-0"]
    assert all("Cosine with the changes of other arms: " in sentence for sentence in weight_sentences(table).values())
    assert all("One training" in sentence for sentence in weight_sentences(table).values())


def test_decay_is_no_learning(tmp_path: Path) -> None:
    table = two_runs(tmp_path, decay=DECAY, dtype="f32")
    for measure in (words.COSINE, words.SAME_DIRECTION):
        found = row(table, measure)
        assert found["low"] < 0.005 and abs(found["excess"]) < 0.03, measure


def test_weights_that_no_example_reaches_are_not_counted_as_agreement(tmp_path: Path) -> None:
    """Half the embedding's rows stay as they were in both, as those of tokens that never occur do."""
    base = write(tmp_path / "base", base_weights())
    runs = {}
    for seed in (1, 2):
        weights = trained(seed)
        weights["model.embed_tokens.weight"][:32] = base_weights()["model.embed_tokens.weight"][:32]
        runs[f"ssd/seed-{seed}"] = write(tmp_path / f"run-{seed}", weights)
    found = row(overlaps(base, runs, 0), words.CHANGED_OVERLAP)
    assert found["low"] < 0 < found["high"]


def test_of_one_training_it_is_said_what_cannot_be_told(tmp_path: Path) -> None:
    base = write(tmp_path / "base", base_weights())
    weights = trained(1)
    generator = torch.Generator().manual_seed(5)
    for name, tensor in weights.items():  # a planted direction in every matrix
        if tensor.ndim == 2:
            planted = torch.outer(
                torch.randn(tensor.shape[0], generator=generator), torch.randn(tensor.shape[1], generator=generator)
            )
            weights[name] = (tensor.float() + planted * STEP * 2).bfloat16()
    table = overlaps(base, {"hot/seed-1": write(tmp_path / "run", weights)}, 0)
    assert table["against"].is_null().all() and words.COSINE not in table["measure"].to_list()
    rank = row(table, words.STABLE_RANK)
    assert rank["high"] < 0 and rank["estimate"] < 2 < rank["expected"]
    assert "One training" in weight_sentences(table)["hot/seed-1"]


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_the_stable_rank_of_equal_singular_values_is_their_number(rank: int) -> None:
    rng = np.random.default_rng(rank)
    left, right = (np.linalg.qr(rng.normal(size=(size, rank)))[0] for size in (80, 50))
    assert stable_rank((left @ right.T).astype(np.float32)) == pytest.approx(rank, rel=1e-3)
    matrix = rng.normal(size=(60, 40)).astype(np.float32)
    assert stable_rank(matrix) == pytest.approx(np.linalg.norm(matrix) ** 2 / np.linalg.norm(matrix, 2) ** 2, rel=0.02)


def test_stored_numbers_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    tensor = torch.randn(300, generator=torch.Generator().manual_seed(1)).float()
    for name, dtype in {**DTYPES, "f16": torch.float16}.items():
        folder = write(tmp_path / name, {"a": tensor.to(dtype)})
        stored = StoredWeights(folder).matrix("a")
        assert np.array_equal(as_float32(stored)[0], tensor.to(dtype).float().numpy())
        assert np.array_equal(as_bf16(stored)[0].view(np.int16), tensor.to(dtype).bfloat16().view(torch.int16).numpy())


def test_a_model_of_another_base_is_refused(tmp_path: Path) -> None:
    base = write(tmp_path / "base", base_weights())
    other = write(tmp_path / "run", {"a": torch.zeros(3)})
    with pytest.raises(UserError, match="has no tensor model.embed_tokens.weight, which the base has"):
        overlaps(base, {"ssd/seed-0": other}, 0)


def test_threads_change_nothing(tmp_path: Path) -> None:
    base = write(tmp_path / "base", base_weights())
    runs = {
        f"{arm}/seed-{seed}": write(tmp_path / f"{arm}-{seed}", trained(seed, common=arm == "ssd"))
        for arm in ("ssd", "soft") for seed in (1, 2, 3)
    }  # fmt: skip
    alone = overlaps(base, runs, 0)
    assert alone.equals(overlaps(base, runs, 0, threads=3))
    assert alone.select("run", "against").unique().height == 3 + 3 + 1
    shown = first_pairs(alone).select("run", "against").unique(maintain_order=True).rows()
    assert shown == [("ssd/seed-1", "ssd/seed-2"), ("soft/seed-1", "soft/seed-2"), ("ssd/seed-1", "soft/seed-1")]
    assert len(set(weight_sentences(first_pairs(alone)).values())) == 2
