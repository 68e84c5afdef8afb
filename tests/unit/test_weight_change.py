"""The change of the bf16 view of weights against torch's own AdamW, and the table made from it."""

import polars as pl
import pytest
import torch

from selfdistill.analysis.weight_change import weight_change
from selfdistill.tables import WEIGHT_CHANGE, WEIGHTS, conform
from selfdistill.training.instruments import WeightMeter, layer_group, predicted_changes


class Weights(torch.nn.Module):
    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.embed_tokens = torch.nn.Parameter(values)


def test_rounding_predicts_the_change_under_adamw_from_noise_alone() -> None:
    """gns.md §6.2: lr 1e-5, weights N(0, .02²), pure noise, float32 masters: 15.6 % at step 1, 6.5 % when steady."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Weights((0.02 * torch.randn(150_000)).to(torch.bfloat16).float())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.1)
    meter, changed, predicted = WeightMeter(model), [], []
    for _ in range(60):
        model.embed_tokens.grad = torch.randn(150_000)
        meter.before_step()
        optimizer.step()
        row = dict(zip(meter.columns, meter.after_step()[0].tolist(), strict=True))
        changed.append(row["changed"] / 150_000)
        predicted.append(row["predicted"] / 150_000)
    assert changed[0] == pytest.approx(0.156, abs=0.004)
    steady, expected = sum(changed[-10:]) / 10, sum(predicted[-10:]) / 10
    assert steady == pytest.approx(0.065, abs=0.002)
    assert steady / expected == pytest.approx(1, abs=0.02)
    assert row["changed_since_start"] / 150_000 == pytest.approx(0.63, abs=0.02)  # §6.3, t = 60


def test_the_spacing_of_bf16_is_exact() -> None:
    weights = torch.tensor([1.0, -1.5, 2.0, 0.02, 3e-3])
    up = torch.nextafter(weights.abs().to(torch.bfloat16), torch.tensor(9.0, dtype=torch.bfloat16)).float()
    spacing = up - weights.abs().to(torch.bfloat16).float()
    for weight, ulp in zip(weights, spacing, strict=True):
        assert predicted_changes(weight[None], 0.25 * ulp[None]).item() == 0.25
        assert predicted_changes(weight[None], -3 * ulp[None]).item() == 1.0
    assert predicted_changes(weights, torch.zeros(5)).item() == 0.0


def test_a_weight_that_does_not_move_has_not_changed() -> None:
    meter = WeightMeter(Weights(torch.randn(100)))
    meter.before_step()
    assert meter.after_step()[0, :5].tolist() == [0.0] * 5


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
        (1, "a", 100, 10, 8.0, 10, 1.0, 1.0, 100.0),
        (1, "b", 300, 0, 0.0, 0, 0.0, 0.0, 44.0),
        (2, "a", 100, 5, 8.0, 12, 1.0, 2.5, 100.0),
        (2, "b", 300, 3, 4.0, 3, 0.5, 0.5, 44.0),
    ]
    table = weight_change(conform(pl.DataFrame(rows, schema=list(WEIGHTS), orient="row"), WEIGHTS, "weights"))
    assert list(table.columns) == list(WEIGHT_CHANGE) and table.height == 6
    total = table.filter(pl.col("group") == "total").row(1, named=True)
    assert total["weights"] == 400 and total["changed_fraction"] == 8 / 400
    assert total["predicted_fraction"] == 12 / 400 and total["changed_to_predicted"] == pytest.approx(8 / 12)
    assert total["changed_since_start_fraction"] == 15 / 400
    assert total["relative_update"] == pytest.approx((1.5 / 144) ** 0.5)
    assert total["coherence"] == pytest.approx(3.0 / 2.5)
    assert (
        table.row(by_predicate=(pl.col("step") == 1) & (pl.col("group") == "b"), named=True)["changed_to_predicted"]
        is None
    )
