"""Which engine `auto` takes."""

import json
from pathlib import Path

import pytest

from selfdistill.sampling.engines import choice
from selfdistill.sampling.engines.choice import WORTH_VLLM, choose_engine


@pytest.fixture
def vllm_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: object())


def model_of(folder: Path, parameters: int, architecture: str = "LlamaForCausalLM") -> Path:
    shape = {"hidden_size": 64, "num_attention_heads": 4, "vocab_size": 100, "num_hidden_layers": 2}
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture], **shape}))
    # The header tells the size; of the numbers none is read.
    header = json.dumps(
        {"weight": {"dtype": "F32", "shape": [parameters], "data_offsets": [0, 4 * parameters]}}
    ).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * parameters)
    return folder


@pytest.mark.usefixtures("vllm_is_there")
@pytest.mark.parametrize(
    ("parameters", "architecture", "device", "taken"),
    [
        (WORTH_VLLM, "LlamaForCausalLM", "cuda", "vllm"),
        (WORTH_VLLM - 1, "LlamaForCausalLM", "cuda", "torch"),
        (WORTH_VLLM - 1, "MambaForCausalLM", "cuda", "vllm"),
        (WORTH_VLLM, "LlamaForCausalLM", "cpu", "torch"),
    ],
)
def test_vllm_is_taken_for_models_that_are_worth_it(
    parameters: int, architecture: str, device: str, taken: str, tmp_path: Path
) -> None:
    assert choose_engine("auto", device, model_of(tmp_path, parameters, architecture)) == taken


@pytest.mark.usefixtures("vllm_is_there")
def test_what_is_asked_for_and_what_was_begun_go_first(tmp_path: Path) -> None:
    small = model_of(tmp_path, 1000)
    assert choose_engine("vllm", "cuda", small, begun_by="torch") == "vllm"
    assert choose_engine("auto", "cuda", small, begun_by="vllm") == "vllm"


def test_without_vllm_there_is_the_torch_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert choose_engine("auto", "cuda", model_of(tmp_path, WORTH_VLLM)) == "torch"
