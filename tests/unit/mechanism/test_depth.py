"""The depth of a thought, on models whose laws are known to settle at a layer, and on laws whose divergence is known."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.spatial.distance import jensenshannon

from law_examination import CONTEXT, MODEL, lab_probes, reference_logits
from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.depth import (
    depths_of_model,
    divergence,
    divergences,
    refuse_without_layers,
    settled_at,
)
from selfdistill.mechanism.prober import ProberSettings
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.tables.mechanism import DEPTHS
from selfdistill.tables.whole import read_table

torch.set_num_threads(1)
LAYERS = json.loads((MODEL / "config.json").read_text())["num_hidden_layers"]
LOUD = 40.0  # how much stronger the deciding layer is than all before it


def settled_model(folder: Path, layer: int) -> Path:
    """The lab's, but that layers after this one add nothing, and that this one drowns what stood before."""
    shutil.copytree(MODEL, folder)
    weights = load_file(folder / "model.safetensors")
    for number in range(LAYERS):
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            key = f"model.layers.{number}.{name}.weight"
            weights[key] *= 0.0 if number >= layer else LOUD if number == layer - 1 else 1.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def engine_of(folder: Path) -> TorchEngine:
    return TorchEngine(EngineSettings(folder, "float32", CONTEXT, [0], batch=1))


@pytest.mark.parametrize("layer", range(1, LAYERS + 1))
def test_a_law_that_is_settled_at_a_layer_has_that_depth(tmp_path: Path, layer: int) -> None:
    engine = engine_of(settled_model(tmp_path / "model", layer))
    for each in lab_probes(3):
        found = divergences(engine.decoder, each)
        assert found.shape == (len(each.positions), LAYERS)
        assert (found[:, layer - 1 :] < 1e-6).all() and (found[:, -1] == 0).all()
        assert layer == 1 or (found[:, layer - 2] > 0.01).all()
        assert set(settled_at(found, 0.01)) == {layer}


def test_divergences_are_those_of_transformers_hidden_states() -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    decoder = engine_of(MODEL).decoder
    for each in lab_probes(2):
        with torch.no_grad():
            states = model(
                torch.tensor([each.prompt_ids + each.completion_ids]), output_hidden_states=True
            ).hidden_states
            places = [len(each.prompt_ids) + position - 1 for position in each.positions]
            laws = [model.lm_head(model.model.norm(state[0, places])).double().softmax(-1) for state in states[1:-1]]
        laws.append(torch.from_numpy(reference_logits(each)).softmax(-1))
        expected = [jensenshannon(law.numpy(), laws[-1].numpy(), base=2, axis=1) ** 2 for law in laws]
        np.testing.assert_allclose(divergences(decoder, each), np.stack(expected, 1), atol=1e-5)
        np.testing.assert_allclose(divergences(decoder, each, together=2), divergences(decoder, each), atol=1e-6)


def test_the_divergence_is_in_bits_and_no_root() -> None:
    sure = torch.tensor([[0.0, -torch.inf], [math.log(0.5), math.log(0.5)]]).clamp(min=-1e4)
    other = torch.tensor([[-torch.inf, 0.0], [math.log(0.5), math.log(0.5)]]).clamp(min=-1e4)
    assert divergence(sure, other).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    one = divergence(torch.tensor([[0.0, -1e4]]), torch.tensor([[math.log(0.5)] * 2]))
    assert float(one) == pytest.approx(1.5 - 0.75 * math.log2(3))  # H(3/4, 1/4) - 1/2


def test_a_law_that_comes_near_and_leaves_again_has_not_settled() -> None:
    rows = np.array(
        [[0.9, 0.1, 0.8, 0.2, 0.0], [0.1, 0.1, 0.1, 0.1, 0.0], [0.9, 0.9, 0.9, 0.9, 0.0], [0.9, 0.5, 0.5, 0.5, 0.0]]
    )
    assert settled_at(rows.astype(np.float32), 0.5).tolist() == [4, 1, 5, 2]


def test_depths_are_written_as_laws_are(tmp_path: Path) -> None:
    from test_prober import SETTINGS, job, plan_rows

    asked = job(tmp_path)
    depths_of_model(asked, SETTINGS, 0.5)
    found = read_table(asked.output, DEPTHS)
    assert found["probe_id"].to_list() == sorted(row["probe_id"] for row in plan_rows())
    assert found["layers"].unique().to_list() == [LAYERS] and found["distances"].list.len().unique().to_list() == [
        LAYERS
    ]
    again = settled_at(np.array(found["distances"].to_list(), np.float32), 0.5)
    assert found["depth"].to_list() == again.tolist()
    assert found.select(pl.col("distances").list.last().abs().max()).item() == 0


def test_where_no_layer_can_be_read_a_sentence_says_so(tmp_path: Path) -> None:
    for engine, told in {"vllm": "vllm", f"mine@plugins/mine.py#{'0' * 16}": f"mine#{'0' * 16}"}.items():
        with pytest.raises(UserError, match=f"mechanism.depth: .* is read by the {told} engine, which shows no layers"):
            refuse_without_layers(MODEL, engine)
    shutil.copytree(MODEL, tmp_path / "other")
    config = json.loads((MODEL / "config.json").read_text()) | {"architectures": ["MambaForCausalLM"]}
    (tmp_path / "other/config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match="mechanism.depth: remove the key, it cannot be measured here: .*MambaForCausalLM"
    ):
        refuse_without_layers(tmp_path / "other", "auto")
    refuse_without_layers(MODEL, ProberSettings("auto", "float32", CONTEXT).engine)
