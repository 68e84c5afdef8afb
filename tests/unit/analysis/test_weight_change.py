"""The change of the bf16 view of weights against torch's own AdamW, and the table made from it."""

import polars as pl
import pytest
import torch

from selfdistill.analysis.coherence import path_coherence
from selfdistill.analysis.weight_change import weight_change
from selfdistill.tables.analysis import WEIGHT_CHANGE
from selfdistill.tables.schema import conform
from selfdistill.tables.training import COHERENCE, WEIGHTS
from selfdistill.training.instruments.bf16 import bits, share_moved_in_bf16, spacing
from selfdistill.training.instruments.groups import layer_group
from selfdistill.training.instruments.path import SINCE_START, PathMeter
from selfdistill.training.instruments.weights import EVERY_STEP, WeightMeter


class Weights(torch.nn.Module):
    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.embed_tokens = torch.nn.Parameter(values)


def measured_step(
    model: Weights, optimizer: torch.optim.Optimizer, meters: tuple[WeightMeter, PathMeter], gradient: torch.Tensor
) -> dict[str, float]:
    model.embed_tokens.grad = gradient.to(model.embed_tokens.dtype)
    weights, path = meters
    weights.before_step()
    optimizer.step()
    path.after_step(1)
    numbers = (*weights.after_step(optimizer)[0].tolist(), *path.since_start()[0])
    return dict(zip((*EVERY_STEP, *SINCE_START), numbers, strict=True))


def meters_of(model: Weights) -> tuple[WeightMeter, PathMeter]:
    return WeightMeter(model), PathMeter(model, 1000)


def test_rounding_predicts_the_change_under_adamw_from_noise_alone() -> None:
    """gns.md §6.2: lr 1e-5, weights N(0, .02²), pure noise, float32 masters: 15.6 % at step 1, 6.5 % when steady."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Weights((0.02 * torch.randn(150_000)).to(torch.bfloat16).float())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.1)
    meters, changed, predicted = meters_of(model), [], []
    for _ in range(60):
        row = measured_step(model, optimizer, meters, torch.randn(150_000))
        changed.append(row["changed"] / 150_000)
        predicted.append(row["predicted_changed"] / 150_000)
    assert changed[0] == pytest.approx(0.156, abs=0.004)
    steady, expected = sum(changed[-10:]) / 10, sum(predicted[-10:]) / 10
    assert steady == pytest.approx(0.065, abs=0.002)
    assert steady / expected == pytest.approx(1, abs=0.02)
    assert row["changed_since_start"] / 150_000 == pytest.approx(0.63, abs=0.02)  # §6.3, t = 60


def test_the_spacing_of_bf16_is_exact() -> None:
    weights = torch.tensor([1.0, -1.5, 2.0, 0.02, 3e-3])
    up = torch.nextafter(weights.abs().to(torch.bfloat16), torch.tensor(9.0, dtype=torch.bfloat16)).float()
    gaps = up - weights.abs().to(torch.bfloat16).float()
    for weight, ulp in zip(weights, gaps, strict=True):
        assert spacing(bits(weight[None])).item() == ulp
        assert share_moved_in_bf16([weight[None]], 0.51 * float(ulp)) == 1
        assert share_moved_in_bf16([weight[None]], 0.49 * float(ulp)) == 0


def test_pure_bf16_weights_move_as_the_grid_says_and_keep_little_of_their_updates() -> None:
    """gns.md §6.2, the same noise on bf16 weights: 15.6 % at step 1, 2.7 % when steady, 6.7 % of the signal kept."""
    torch.manual_seed(0)
    model = Weights((0.02 * torch.randn(150_000)).to(torch.bfloat16))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.0)
    # The moments of a pure bf16 run are bf16, too: their own rounding is what the tolerances below allow for.
    meters = meters_of(model)
    rows = [measured_step(model, optimizer, meters, torch.randn(150_000)) for _ in range(40)]
    assert rows[0]["changed"] / 150_000 == pytest.approx(0.156, abs=0.006)
    steady = {key: sum(row[key] for row in rows[-10:]) / 10 for key in rows[0]}
    assert steady["changed"] / 150_000 == pytest.approx(0.027, abs=0.003)
    assert steady["changed"] / steady["changed_on_grid"] == pytest.approx(1, abs=0.05)
    assert steady["kept_on_grid"] / steady["update_norm_squared"] == pytest.approx(0.067, abs=0.02)


def test_the_update_read_from_the_optimiser_is_the_one_that_was_made() -> None:
    torch.manual_seed(1)
    model = Weights(0.02 * torch.randn(1000, dtype=torch.float64).float())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    meters = meters_of(model)
    for _ in range(3):
        sample, before = meters[1].sample(), model.embed_tokens.detach().double().clone()
        row = measured_step(model, optimizer, meters, torch.randn(1000))
        made = model.embed_tokens.detach().double() - before
        assert row["update_norm_squared"] == pytest.approx(float((made**2).sum()), rel=1e-4)
    found = meters[1].histograms(sample, optimizer)
    assert [sum(count for _, which, _, count in found if which == quantity) for quantity in range(3)] == [1000] * 3
    counts = torch.zeros(256, dtype=torch.int64)
    for _, which, exponent, count in found:
        counts[exponent] += count if which == 0 else 0
    sizes = torch.floor(torch.log2(made.abs())).long() + 127
    assert (counts - torch.bincount(sizes, minlength=256)).abs().sum() <= 10  # on a border, one way or the other


def test_a_weight_that_does_not_move_has_not_changed() -> None:
    model = Weights(torch.randn(100))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    weights, path = meters_of(model)
    weights.before_step()  # no gradient ever reaches it: the optimiser leaves it alone
    optimizer.step()
    path.after_step(1)
    assert weights.after_step(optimizer)[0, :5].tolist() == [0.0] * 5 and path.since_start()[0] == [0.0, 0.0]


def test_a_large_model_is_followed_by_a_sample_that_speaks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr("selfdistill.training.instruments.path.FOLLOWED", 9_000)
    model = Weights(0.02 * torch.randn(1000, 128))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
    path = PathMeter(model, 1)
    assert 8_000 < len(path.sample()) < 9_100
    base = model.embed_tokens.detach().clone()
    model.embed_tokens.grad = torch.randn(1000, 128) * torch.rand(128)  # columns differ: the sample must visit all
    before = path.sample()
    optimizer.step()
    [window] = path.after_step(1)
    moved = model.embed_tokens.detach() - base
    changed, distance = path.since_start()[0]
    assert distance == pytest.approx(float((moved**2).sum()), rel=0.05) == window["distance"][0]
    assert changed == pytest.approx(float((bits(base) != bits(model.embed_tokens)).sum()), rel=0.05)
    assert sum(row[3] for row in path.histograms(before, optimizer)) == 3 * len(before)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_coherence_of_a_path_tells_its_share_of_signal(share: float) -> None:
    """gns.md §4.4: N = 1000 steps of Adam on noise and on noise with a constant signal of this share of |g|²."""
    torch.manual_seed(0)
    beta1, size = 0.9, 20_000
    signal = (share / (1 - share)) ** 0.5 if share else 0.0
    model = Weights(torch.zeros(size))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(beta1, 0.999), weight_decay=0.0)
    meter = PathMeter(model, 125)
    rows = []
    for step in range(1, 1001):
        model.embed_tokens.grad = torch.randn(size) + signal
        optimizer.step()
        rows += [
            (row["first_step"], step, "embedding", row["distance"][0], row["path"][0]) for row in meter.after_step(step)
        ]
    windows = pl.DataFrame(rows, schema=COHERENCE, orient="row")
    assert sorted(windows.select(pl.col("last_step") - pl.col("first_step") + 1).to_series()) == [
        *[125] * 8, *[250] * 4, *[500] * 2, 1000,
    ]  # fmt: skip
    found = path_coherence(windows, beta1).filter((pl.col("group") == "total") & (pl.col("steps") == 500))
    fraction = share / (share + (1 - share) * (1 - beta1) / (1 + beta1))
    last = found.sort("first_step").row(-1, named=True)
    assert last["of_noise"] == pytest.approx(19, rel=0.03)
    assert last["coherence"] == pytest.approx(19 * (1 - fraction) + 500 * fraction, rel=0.04)
    assert last["signal_fraction"] == pytest.approx(fraction, abs=0.01)
    assert len(meter.state) < 16  # windows that no later one begins with are forgotten


def test_parameters_fall_into_their_groups() -> None:
    names = {
        "model.embed_tokens.weight": "embedding",
        "model.layers.3.self_attn.q_proj.weight": "layer-03/attention",
        "model.layers.3.self_attn.q_norm.weight": "layer-03/norms",
        "model.language_model.layers.11.linear_attn.in_proj.weight": "layer-11/attention",
        "model.layers.0.mlp.up_proj.weight": "layer-00/mlp",
        "model.norm.weight": "final-norm",
        "lm_head.weight": "head",
        "model.visual.blocks.0.mlp.fc.weight": "vision",
    }
    assert {name: layer_group(name) for name in names} == names


def test_the_table_has_fractions_by_group_and_in_total() -> None:
    rows = [
        (1, "a", 100, 10, 8.0, 9, 1.0, 0.5, 100.0, None, None),
        (1, "b", 300, 0, 0.0, 0, 0.0, 0.0, 44.0, None, None),
        (2, "a", 100, 5, 8.0, 4, 1.0, 0.5, 100.0, 12, 2.5),
        (2, "b", 300, 3, 4.0, 2, 0.5, 0.1, 44.0, 3, 0.5),
    ]
    table = weight_change(conform(pl.DataFrame(rows, schema=list(WEIGHTS), orient="row"), WEIGHTS, "weights"))
    assert list(table.columns) == list(WEIGHT_CHANGE) and table.height == 6
    total = table.filter(pl.col("group") == "total").row(1, named=True)
    assert total["weights"] == 400 and total["changed_fraction"] == 8 / 400
    assert total["predicted_fraction"] == 12 / 400 and total["changed_to_predicted"] == pytest.approx(8 / 12)
    assert total["changed_since_start_fraction"] == 15 / 400
    assert total["relative_update"] == pytest.approx((1.5 / 144) ** 0.5)
    assert total["on_grid_fraction"] == 6 / 400 and total["kept_in_bf16"] == pytest.approx(0.6 / 1.5)
    assert table.filter(pl.col("step") == 1)["changed_since_start_fraction"].null_count() == 3
    assert (
        table.row(by_predicate=(pl.col("step") == 1) & (pl.col("group") == "b"), named=True)["changed_to_predicted"]
        is None
    )
