"""A decoder-only transformer for sampling, with a preallocated cache that rows enter and leave.

It reads the safetensors and config.json of a Qwen3, Qwen2 or Llama model and computes what transformers computes
(a test compares the logits), without transformers' start-up time and without re-concatenating the cache every step.
Models of other shapes need another engine.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from selfdistill.foundation.errors import UserError
from selfdistill.models.headers import weight_files
from selfdistill.models.weights import check_weights

LARGE_MATRIX = 2**18  # numbers; the lab model has none so large, so its samples stay what they were
PACKED_FOR = 64  # rows
SUMMED_TOGETHER = 192  # terms; MKL halves a longer sum on an AMD processor
COMPANY = 4  # rows; fewer go through other routines, one on every processor, two and three on AMD's
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


class Norm(NamedTuple):
    """RMSNorm as sqrt(n) x / hypot(|x|, sqrt(n epsilon)), which is half the operations of the usual form."""

    weight: Tensor  # with the factor sqrt(n)
    least: Tensor


@dataclass
class Layer:
    attention_norm: Norm
    mlp_norm: Norm
    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    head_norm: Norm | None  # of the queries' heads, then of the keys'
    gate_up: Tensor
    down: Tensor


@dataclass
class Places:
    """Where the tokens of one call stand: rows and columns of the cache (once per key-value head), and their rotation."""

    rows: Tensor
    columns: Tensor
    cosine: Tensor
    sine: Tensor


class Span(NamedTuple):
    """Rows that attend together, and how much of the cache they look at."""

    rows: slice
    width: int


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
    check_weights(folder)
    weights: dict[str, Tensor] = {}
    for file in weight_files(folder):
        weights |= load_file(file)
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
        # A copy, for a tensor that safetensors read keeps the whole file in memory.
        self.embedding = weights["model.embed_tokens.weight"].clone()
        self.head = _matrix(self.embedding if shape.tied else weights["lm_head.weight"])
        self.final_norm = _norm(weights["model.norm.weight"], shape)
        self.layers = [_layer(weights, f"model.layers.{i}.", shape) for i in range(shape.layers)]
        del weights  # the file is let go before the cache is made
        length = padded(length)
        cache = (shape.layers, rows * shape.kv_heads)
        self.keys = torch.zeros(*cache, shape.head_dim, length, dtype=dtype, device=device)
        self.values = torch.zeros(*cache, length, shape.head_dim, dtype=dtype, device=device)
        self.cosine, self.sine = _rotations(shape, length, dtype, device)
        self.columns = torch.arange(length, device=device)
        self.rows = torch.arange(rows, device=device)

    def prefill(self, prompts: list[list[int]], first: int) -> Tensor:
        """Writes the prompts into the cache, one a row from row `first` on, and returns the logits after each prompt's
        last token. The prompts lie end to end; only attention needs them in rows of one length."""
        shape = self.shape
        lengths = [len(prompt) for prompt in prompts]
        count, longest = len(prompts), padded(max(lengths))
        tokens = self._tensor([token for prompt in prompts for token in prompt])
        rows = self._tensor([row for row, length in enumerate(lengths) for _ in range(length)])
        columns = self._tensor([column for length in lengths for column in range(length)])
        ends = self._tensor(lengths).cumsum(0) - 1
        places = self._places(first + rows, columns)
        span = self._span(slice(first, first + count))
        group = shape.heads // shape.kv_heads
        hide = self._hide(self.columns[:longest], longest).repeat(group, 1)
        hidden = functional.embedding(tokens, self.embedding)
        for layer, keys, values in zip(self.layers, self.keys, self.values, strict=True):
            query = hidden.new_zeros(count, longest, shape.heads, shape.head_dim)
            query[rows, columns] = self._project(hidden, layer, places, keys, values)
            query = query.unflatten(2, (shape.kv_heads, group)).permute(0, 2, 3, 1, 4)
            query = query.reshape(count * shape.kv_heads, group * longest, shape.head_dim)
            attended = _attend(query, keys[span], values[span], hide)
            attended = attended.view(count, shape.heads, longest, shape.head_dim)[rows, :, columns].flatten(1)
            if layer is self.layers[-1]:
                hidden, attended = hidden[ends], attended[ends]  # all that is left to compute are these logits
            hidden = self._finish(hidden, attended, layer)
        return self._logits(hidden)

    def step(self, tokens: Tensor, positions: Tensor, groups: list[Span]) -> Tensor:
        """One more token for every row: its logits, given the token and the position where it stands. A group is a slice
        of the rows, and how much of the cache they need."""
        shape = self.shape
        places = self._places(self.rows[: len(tokens)], positions)
        hide = self._hide(places.columns[:, None], max(width for _, width in groups))
        spans = [Span(self._span(rows), width) for rows, width in groups]
        hidden = functional.embedding(tokens, self.embedding)
        for layer, keys, values in zip(self.layers, self.keys, self.values, strict=True):
            query = self._project(hidden, layer, places, keys, values)
            query = query.reshape(len(places.rows), -1, shape.head_dim)
            attended = torch.empty_like(query)
            for span, width in spans:
                attended[span] = _attend(query[span], keys[span], values[span], hide[span, :, :width])
            hidden = self._finish(hidden, attended.view(len(tokens), -1), layer)
        return self._logits(hidden)

    def read(self, tokens: list[int]) -> Iterator[Tensor]:
        """The hidden states of one text after each layer, [tokens, hidden]. The text is read at once, past the cache; no mask
        and no square of its length is ever held."""
        shape, group = self.shape, self.shape.heads // self.shape.kv_heads
        cosine, sine = self.cosine[: len(tokens), None], self.sine[: len(tokens), None]
        hidden = functional.embedding(self._tensor(tokens), self.embedding)
        for layer in self.layers:
            turned, value = self._turned(hidden, layer, cosine, sine)
            query, key = turned[:, : shape.heads], turned[:, shape.heads :]
            key, value = (each.repeat_interleave(group, 1) for each in (key, value))
            query, key, value = (each.transpose(0, 1)[None] for each in (query, key, value))
            attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            hidden = self._finish(hidden, attended[0].transpose(0, 1).flatten(1), layer)
            yield hidden

    def float32_head(self) -> Tensor:
        """For `float32_logits`. Rounded to 16 bits, logits of 20 lie an eighth apart, and a law has ties that it has not."""
        return self.head if self.head.is_mkldnn else self.head.float()

    def float32_logits(self, hidden: Tensor, head: Tensor) -> Tensor:
        """Of the last layer's hidden states; of an earlier one's, what they would be if it were the last."""
        return _times(_normed(hidden.float(), self.final_norm), head)

    def move(self, source: int, target: int, length: int) -> None:
        """Copies one row of the cache over another."""
        here, there = (self._span(slice(row, row + 1)) for row in (source, target))
        self.keys[:, there, :, :length] = self.keys[:, here, :, :length]
        self.values[:, there, :length] = self.values[:, here, :length]

    def _span(self, rows: slice) -> slice:
        """The rows of the cache, where every sequence has one for each key-value head."""
        return slice(rows.start * self.shape.kv_heads, rows.stop * self.shape.kv_heads)

    def _places(self, rows: Tensor, columns: Tensor) -> Places:
        cosine, sine = self.cosine[columns, None], self.sine[columns, None]
        if self.shape.kv_heads > 1:
            heads = torch.arange(self.shape.kv_heads, device=self.device)
            rows = (rows[:, None] * self.shape.kv_heads + heads).flatten()
            columns = columns.repeat_interleave(self.shape.kv_heads)
        return Places(rows, columns, cosine, sine)

    def _project(self, hidden: Tensor, layer: Layer, places: Places, keys: Tensor, values: Tensor) -> Tensor:
        """The queries [tokens, heads, head_dim]; keys and values go into the layer's cache."""
        shape = self.shape
        turned, value = self._turned(hidden, layer, places.cosine, places.sine)
        keys[places.rows, :, places.columns] = turned[:, shape.heads :].flatten(0, 1)
        values[places.rows, places.columns] = value.flatten(0, 1)
        return turned[:, : shape.heads]

    def _turned(self, hidden: Tensor, layer: Layer, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
        """The queries and then the keys, turned to their positions, and the values: [tokens, heads, head_dim]."""
        shape = self.shape
        merged = _times(_normed(hidden, layer.attention_norm), layer.qkv)
        if layer.qkv_bias is not None:
            merged = merged + layer.qkv_bias
        merged = merged.view(len(hidden), -1, shape.head_dim)
        turned, value = merged[:, : -shape.kv_heads], merged[:, -shape.kv_heads :]
        if layer.head_norm is not None:
            turned = _normed(turned, layer.head_norm)
        return turned * cosine + turned.roll(shape.head_dim // 2, -1) * sine, value

    def _hide(self, positions: Tensor, width: int) -> Tensor:
        """What `_attend` adds to the scores: minus infinity right of each token's own position."""
        visible = self.columns[:width] <= positions[..., None]
        return torch.where(visible, 0.0, -math.inf).to(self.embedding.dtype)

    def _finish(self, hidden: Tensor, attended: Tensor, layer: Layer) -> Tensor:
        hidden = hidden + _times(attended, layer.out)
        gate, up = _times(_normed(hidden, layer.mlp_norm), layer.gate_up).chunk(2, -1)
        return hidden + _times(functional.silu(gate) * up, layer.down)

    def _logits(self, hidden: Tensor) -> Tensor:
        return _times(_normed(hidden, self.final_norm), self.head).float()

    def _tensor(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, device=self.device)


def padded(length: int) -> int:
    """Cache widths are multiples of 32: from 16 on, the width of the padding changes no bit of a result (see `_mixed`)."""
    return -(-length // 32) * 32


def _layer(weights: dict[str, Tensor], prefix: str, shape: Shape) -> Layer:
    def merged(names: list[str], suffix: str) -> Tensor:
        return torch.cat([weights[f"{prefix}{name}.{suffix}"] for name in names])

    heads = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    head_norm = None
    if f"{prefix}self_attn.q_norm.weight" in weights:
        query_norm, key_norm = (weights[f"{prefix}self_attn.{name}_norm.weight"] for name in "qk")
        both = torch.cat([query_norm.expand(shape.heads, -1), key_norm.expand(shape.kv_heads, -1)])
        head_norm = _norm(both, shape)
    return Layer(
        attention_norm=_norm(weights[prefix + "input_layernorm.weight"], shape),
        mlp_norm=_norm(weights[prefix + "post_attention_layernorm.weight"], shape),
        qkv=_matrix(merged(heads, "weight")),
        qkv_bias=merged(heads, "bias") if f"{prefix}{heads[0]}.bias" in weights else None,
        out=_matrix(weights[prefix + "self_attn.o_proj.weight"]),
        head_norm=head_norm,
        gate_up=_matrix(merged(["mlp.gate_proj", "mlp.up_proj"], "weight")),
        down=_matrix(weights[prefix + "mlp.down_proj.weight"]),
    )


def _matrix(weight: Tensor) -> Tensor:
    """Inputs first. On a CPU a matrix that lies so multiplies a fifth faster; a GPU does not mind and saves the copy. A large
    one is packed as oneDNN likes it, which multiplies at more than twice MKL's speed on an AMD processor."""
    if weight.device.type != "cpu":
        return weight.T
    packed = weight.dtype == torch.float32 and weight.numel() >= LARGE_MATRIX and torch.backends.mkldnn.is_available()
    return torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_FOR) if packed else weight.T.contiguous()


def _times(x: Tensor, matrix: Tensor) -> Tensor:
    """x @ matrix, row by row the same bits whatever the number of rows: few rows take other routines, so they get company."""
    count = len(x)
    rows = x if count >= COMPANY else x.repeat(-(-COMPANY // count), 1)
    packed = matrix.is_mkldnn
    product = torch.ops.mkldnn._linear_pointwise(rows, matrix, None, "none", [], "") if packed else rows @ matrix
    return product[:count]


def _norm(weight: Tensor, shape: Shape) -> Norm:
    size = weight.shape[-1]
    least = torch.tensor(math.sqrt(size * shape.norm_epsilon), device=weight.device)
    return Norm(weight.float() * math.sqrt(size), least)


def _normed(x: Tensor, norm: Norm) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return (x / torch.hypot(length, norm.least) * norm.weight).to(x.dtype)


def _attend(query: Tensor, keys: Tensor, values: Tensor, hide: Tensor) -> Tensor:
    width = hide.shape[-1]
    scores = torch.baddbmm(hide, query, keys[..., :width], alpha=query.shape[-1] ** -0.5)
    return _mixed(scores.softmax(-1, dtype=torch.float32).to(values.dtype), values[:, :width])


def _mixed(weights: Tensor, values: Tensor) -> Tensor:
    """The values by their weights. On a CPU so many at a time: a longer sum is cut in pieces that depend on its length, and
    the bits of a result would depend on how much padding its neighbours need."""
    together = SUMMED_TOGETHER if values.device.type == "cpu" else weights.shape[-1]
    total = torch.bmm(weights[..., :together], values[:, :together])
    for begin in range(together, weights.shape[-1], together):
        part = slice(begin, begin + together)
        total.baddbmm_(weights[..., part], values[:, part])
    return total


def _rotations(shape: Shape, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine by position; the sine's first half is negative, so that x * cosine + rolled x * sine rotates."""
    frequencies = shape.rope_base ** (-torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], -1).to(device, dtype), torch.cat([-sine, sine], -1).to(device, dtype)
