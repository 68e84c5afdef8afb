"""A decoder-only transformer for sampling, with a preallocated cache that rows enter and leave.

It reads the safetensors and config.json of a Qwen3, Qwen2 or Llama model and computes what transformers computes
(a test compares the logits), without transformers' start-up time and without re-concatenating the cache every step.
Models of other shapes need another engine.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional

from selfdistill.errors import UserError

ARCHITECTURES = ("Qwen3ForCausalLM", "Qwen2ForCausalLM", "LlamaForCausalLM")


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    norm_epsilon: float
    rope_base: float
    tied: bool


@dataclass
class Layer:
    attention_norm: Tensor
    mlp_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    head_norms: Tensor | None  # of the queries' heads, then of the keys'
    gate_up: Tensor
    down: Tensor


def read_shape(folder: Path) -> Shape:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    architecture = (config.get("architectures") or ["none"])[0]
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"{folder}: the torch engine samples {', '.join(ARCHITECTURES)}, not {architecture}; docs/extend.md says how to add an engine."
        )
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default" or (
        config.get("sliding_window") and config.get("use_sliding_window")
    ):
        raise UserError(
            f"{folder}: the torch engine has no scaled rope and no sliding window; docs/extend.md says how to add an engine."
        )
    heads = config["num_attention_heads"]
    return Shape(
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads", heads),
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
        norm_epsilon=config["rms_norm_eps"],
        rope_base=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def read_weights(folder: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder}: no safetensors weights; other formats are not read.")
    for file in files:
        try:
            with safe_open(file, framework="pt") as handle:
                for key in handle.keys():
                    weights[key] = handle.get_tensor(key)
        except Exception as error:  # safetensors raises its own kinds
            raise UserError(f"{file}: damaged or incomplete weights ({error}); copy or make the model anew.") from error
    return weights


class Decoder:
    """Weights and a cache of `rows` sequences of at most `length` tokens.

    The keys lie with the length last and the matrices with the outputs last: steps then multiply all of them as they
    lie, which is fastest on a CPU.
    """

    def __init__(self, folder: Path, rows: int, length: int, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape = read_shape(folder)
        self.device = device
        weights = {key: value.to(device=device, dtype=dtype) for key, value in read_weights(folder).items()}
        self.embedding = weights["model.embed_tokens.weight"]
        self.head = _matrix(self.embedding if shape.tied else weights["lm_head.weight"])
        self.final_norm = weights["model.norm.weight"]
        self.layers = [_layer(weights, f"model.layers.{i}.", shape) for i in range(shape.layers)]
        length = padded(length)
        cache = (shape.layers, rows, shape.kv_heads)
        self.keys = torch.zeros(*cache, shape.head_dim, length, dtype=dtype, device=device)
        self.values = torch.zeros(*cache, length, shape.head_dim, dtype=dtype, device=device)
        self.cosine, self.sine = _rotations(shape, length, dtype, device)

    def prefill(self, prompts: list[list[int]], first: int) -> Tensor:
        """Writes the prompts into the cache, one a row from row `first` on, and returns the logits after each prompt's
        last token. The prompts lie end to end; only attention needs them in rows of one length."""
        lengths = [len(prompt) for prompt in prompts]
        tokens = self._tensor([token for prompt in prompts for token in prompt])
        rows = self._tensor([row for row, length in enumerate(lengths) for _ in range(length)])
        positions = self._tensor([position for length in lengths for position in range(length)])
        ends = self._tensor(lengths).cumsum(0) - 1
        longest = padded(max(lengths))
        hide = self._hide(torch.arange(longest, device=self.device)[None], longest)
        hidden = functional.embedding(tokens, self.embedding)
        for number, layer in enumerate(self.layers):
            query = self._project(hidden, layer, number, first + rows, positions)
            in_rows = query.new_zeros(len(prompts), longest, *query.shape[1:])
            in_rows[rows, positions] = query
            attended = self._attend(in_rows, number, slice(first, first + len(prompts)), hide)[rows, positions]
            if number == self.shape.layers - 1:
                hidden, attended = hidden[ends], attended[ends]  # all that is left to compute are these logits
            hidden = self._finish(hidden, attended, layer)
        return self._logits(hidden)

    def step(self, tokens: Tensor, positions: Tensor, spans: list[tuple[slice, int]]) -> Tensor:
        """One more token for every row: its logits, given the token and the position where it stands. A span is a slice
        of the rows, and how much of the cache they need."""
        everyone = torch.arange(len(tokens), device=self.device)
        hides = [self._hide(positions[rows, None], width) for rows, width in spans]
        hidden = functional.embedding(tokens, self.embedding)
        for number, layer in enumerate(self.layers):
            query = self._project(hidden, layer, number, everyone, positions)[:, None]
            attended = [
                self._attend(query[rows], number, rows, hide) for (rows, _), hide in zip(spans, hides, strict=True)
            ]
            hidden = self._finish(hidden, torch.cat(attended)[:, 0], layer)
        return self._logits(hidden)

    def move(self, source: int, target: int, length: int) -> None:
        """Copies one row of the cache over another."""
        self.keys[:, target, ..., :length] = self.keys[:, source, ..., :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]

    def _project(self, hidden: Tensor, layer: Layer, number: int, rows: Tensor, positions: Tensor) -> Tensor:
        """The queries [tokens, heads, head_dim]; keys and values go into the cache."""
        shape = self.shape
        merged = _times(_norm(hidden, layer.attention_norm, shape.norm_epsilon), layer.qkv)
        if layer.qkv_bias is not None:
            merged = merged + layer.qkv_bias
        merged = merged.unflatten(-1, (-1, shape.head_dim))
        turned, value = merged[:, : -shape.kv_heads], merged[:, -shape.kv_heads :]
        if layer.head_norms is not None:
            turned = functional.rms_norm(turned, (shape.head_dim,), None, shape.norm_epsilon) * layer.head_norms
        half = shape.head_dim // 2
        turned = turned * self.cosine[positions, None] + turned.roll(half, -1) * self.sine[positions, None]
        self.keys[number, rows, ..., positions] = turned[:, shape.heads :]
        self.values[number, rows, :, positions] = value
        return turned[:, : shape.heads]

    def _attend(self, query: Tensor, number: int, rows: slice, hide: Tensor) -> Tensor:
        """Of queries [rows, tokens, heads, head_dim] to the cache of these rows, as far as `hide` goes."""
        shape, width = self.shape, hide.shape[-1]
        count, length = query.shape[:2]
        grouped = (
            query.unflatten(2, (shape.kv_heads, -1))
            .permute(0, 2, 3, 1, 4)
            .reshape(count * shape.kv_heads, -1, shape.head_dim)
        )
        keys = self.keys[number, rows, ..., :width].flatten(0, 1)
        values = self.values[number, rows, :, :width].flatten(0, 1)
        scores = torch.baddbmm(hide, grouped, keys, alpha=shape.head_dim**-0.5)
        weights = scores.softmax(-1, dtype=torch.float32).to(values.dtype)
        attended = torch.bmm(weights, values).view(count, shape.heads, length, shape.head_dim)
        return attended.transpose(1, 2).flatten(2)

    def _hide(self, positions: Tensor, width: int) -> Tensor:
        """What `_attend` adds to the scores: minus infinity right of each token's own position."""
        visible = torch.arange(width, device=self.device) <= positions[..., None]
        hide = torch.where(visible, 0.0, -math.inf).to(self.embedding.dtype)
        group = self.shape.heads // self.shape.kv_heads
        return hide.repeat_interleave(self.shape.kv_heads, 0).repeat(1, group, 1)

    def _finish(self, hidden: Tensor, attended: Tensor, layer: Layer) -> Tensor:
        hidden = hidden + _times(attended, layer.out)
        gate, up = _times(_norm(hidden, layer.mlp_norm, self.shape.norm_epsilon), layer.gate_up).chunk(2, -1)
        return hidden + _times(functional.silu(gate) * up, layer.down)

    def _logits(self, hidden: Tensor) -> Tensor:
        return _times(_norm(hidden, self.final_norm, self.shape.norm_epsilon), self.head).float()

    def _tensor(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, device=self.device)


def padded(length: int) -> int:
    """Cache widths are multiples of 32: from 16 on, the width of the padding changes no bit of a result."""
    return -(-length // 32) * 32


def _layer(weights: dict[str, Tensor], prefix: str, shape: Shape) -> Layer:
    def merged(names: list[str], suffix: str) -> Tensor:
        return torch.cat([weights[f"{prefix}{name}.{suffix}"] for name in names])

    heads = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    head_norms = None
    if f"{prefix}self_attn.q_norm.weight" in weights:
        query_norm, key_norm = (weights[f"{prefix}self_attn.{name}_norm.weight"] for name in "qk")
        head_norms = torch.cat([query_norm.expand(shape.heads, -1), key_norm.expand(shape.kv_heads, -1)])
    return Layer(
        attention_norm=weights[prefix + "input_layernorm.weight"],
        mlp_norm=weights[prefix + "post_attention_layernorm.weight"],
        qkv=_matrix(merged(heads, "weight")),
        qkv_bias=merged(heads, "bias") if f"{prefix}{heads[0]}.bias" in weights else None,
        out=_matrix(weights[prefix + "self_attn.o_proj.weight"]),
        head_norms=head_norms,
        gate_up=_matrix(merged(["mlp.gate_proj", "mlp.up_proj"], "weight")),
        down=_matrix(weights[prefix + "mlp.down_proj.weight"]),
    )


def _matrix(weight: Tensor) -> Tensor:
    """Inputs first. On a CPU a matrix that lies so multiplies a fifth faster; a GPU does not mind and saves the copy."""
    return weight.T.contiguous() if weight.device.type == "cpu" else weight.T


def _times(x: Tensor, matrix: Tensor) -> Tensor:
    """x @ matrix, row by row the same bits whatever the number of rows: a single row takes another routine, so it gets company."""
    return x @ matrix if len(x) > 1 else (x.expand(2, -1) @ matrix)[:1]


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), weight, epsilon)


def _rotations(shape: Shape, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine by position; the sine's first half is negative, so that x * cosine + rolled x * sine rotates."""
    frequencies = shape.rope_base ** (-torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], -1).to(device, dtype), torch.cat([-sine, sine], -1).to(device, dtype)
