"""One reader of headers: whoever asks for names, types, shapes or sizes of weights gets the same answer and the same refusal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from selfdistill.foundation.errors import UserError
from selfdistill.models.headers import read_header, weight_files
from selfdistill.models.weights import check_weights
from selfdistill.planning.figures import parameters_in
from selfdistill.sampling.engines.decoder import read_weights
from selfdistill.training.handover.exports import stored_precisions

FILE = "model.safetensors"
READERS: list[Callable[[Path], Any]] = [
    lambda folder: read_header(folder / FILE),
    lambda folder: parameters_in(folder / FILE),
    check_weights,
    read_weights,
    stored_precisions,
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"a": torch.ones(2, 3), "b": torch.zeros(5, dtype=torch.bfloat16)}, tmp_path / FILE, {"format": "pt"})
    return tmp_path


def test_a_header_is_what_safetensors_wrote(folder: Path) -> None:
    header = read_header(folder / FILE)
    stored = (folder / FILE).read_bytes()
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in header.tensors.items()} == {
        "a": ("F32", [2, 3]),
        "b": ("BF16", [5]),
    }
    assert stored.startswith(header.raw) and len(stored) == len(header.raw) + 24 + 10
    a = header.tensors["a"]
    assert stored[len(header.raw) :][a.begin : a.end] == torch.ones(6).numpy().tobytes()
    assert parameters_in(folder / FILE) == 11 and stored_precisions(folder) == {"float32", "bfloat16"}
    assert read_weights(folder)["b"].tolist() == [0.0] * 5


def test_tensors_come_in_the_order_in_which_they_lie(tmp_path: Path) -> None:
    entries = {
        name: {"dtype": "U8", "shape": [1], "data_offsets": [place, place + 1]}
        for name, place in (("a", 2), ("b", 0), ("c", 1))
    }
    header = json.dumps(entries).encode()
    (tmp_path / FILE).write_bytes(len(header).to_bytes(8, "little") + header + b"xyz")
    assert list(read_header(tmp_path / FILE).tensors) == ["b", "c", "a"]


@pytest.mark.parametrize("reader", range(len(READERS)))
def test_a_file_that_was_cut_short_is_refused_by_everyone_in_the_same_words(folder: Path, reader: int) -> None:
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[:-1])
    with pytest.raises(UserError, match=f"{FILE}: has {len(whole) - 1} bytes where its header tells of {len(whole)}"):
        READERS[reader](folder)


def test_of_two_layouts_the_single_file_is_read(folder: Path) -> None:
    (folder / f"{FILE}.index.json").write_text(json.dumps({"weight_map": {"a": "other.safetensors"}}))
    assert weight_files(folder) == [folder / FILE]
