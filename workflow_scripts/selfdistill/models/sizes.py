"""How large a model is, before it is loaded: from its folder's config and weights' headers, or from its name."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfdistill.models.configuration import read_config, text_part
from selfdistill.models.headers import StoredTensor, read_header, weight_files

NAMED = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([mb])(?![a-z0-9])", re.IGNORECASE)  # 135M, 4B, 0.5b
MILLIONS = {"m": 1e6, "b": 1e9}
# A model of which only the name is known is taken to be of this shape: deep as most, with a vocabulary as large as most.
USUAL_LAYERS, USUAL_VOCABULARY = 32, 152_000


@dataclass(frozen=True)
class ModelSize:
    parameters: int
    stored_bytes: int  # of its weights' files
    largest: int  # parameters of the largest tensor: the embedding, mostly
    vocabulary: int
    layers: int
    hidden: int
    inner: int  # of the feed-forward part
    heads: int
    cached: int  # numbers that a layer keeps of a token: keys and values

    @property
    def stored_width(self) -> float:
        return self.stored_bytes / self.parameters


def size_of(folder: Path, name: str = "") -> ModelSize | None:
    """Of a folder, where it is there; else of a name that says it, as SmolLM2-135M does; else nothing."""
    if (folder / "config.json").is_file():
        return _stored_size(folder)
    return named_size(f"{folder} {name}")


def _stored_size(folder: Path) -> ModelSize:
    files = weight_files(folder)
    tensors = [tensor for file in files for tensor in read_header(file).tensors.values()]
    config: dict[str, Any] = text_part(read_config(folder))
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    return ModelSize(
        parameters=sum(map(_numbers, tensors)),
        stored_bytes=sum(tensor.end - tensor.begin for tensor in tensors),
        largest=max(map(_numbers, tensors)),
        vocabulary=int(config["vocab_size"]),
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        inner=int(config.get("intermediate_size") or 4 * hidden),
        heads=heads,
        cached=2 * kv_heads * int(config.get("head_dim") or hidden // heads),
    )


def _numbers(tensor: StoredTensor) -> int:
    return math.prod(tensor.shape)


def named_size(name: str) -> ModelSize | None:
    """The largest size that a name says (30B-A3B has 30 billion), with the shape that models of its size have."""
    said = [float(number) * MILLIONS[unit.lower()] for number, unit in NAMED.findall(name)]
    if not said:
        return None
    parameters = round(max(said))
    hidden = round(math.sqrt(parameters / (12 * USUAL_LAYERS)))
    return ModelSize(
        parameters=parameters,
        stored_bytes=2 * parameters,
        largest=USUAL_VOCABULARY * hidden,
        vocabulary=USUAL_VOCABULARY,
        layers=USUAL_LAYERS,
        hidden=hidden,
        inner=3 * hidden,
        heads=max(1, hidden // 64),
        cached=hidden,
    )
