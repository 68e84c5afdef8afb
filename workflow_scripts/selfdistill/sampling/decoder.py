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
    query_norm: Tensor | None
    key_norm: Tensor | None
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
    """Weights and a cache of `rows` sequences of at most `length` tokens."""

    def __init__(self, folder: Path, rows: int, length: int, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape = read_shape(folder)
        self.device = device
        weights = {key: value.to(device=device, dtype=dtype) for key, value in read_weights(folder).items()}
        self.embedding = weights["model.embed_tokens.weight"]
        self.head = self.embedding if shape.tied else weights["lm_head.weight"]
        self.final_norm = weights["model.norm.weight"]
        self.layers = [_layer(weights, f"model.layers.{i}.") for i in range(shape.layers)]
        self.keys = torch.zeros(shape.layers, rows, shape.kv_heads, length, shape.head_dim, dtype=dtype, device=device)
        self.values = torch.zeros_like(self.keys)
        self.cosine, self.sine = _rotations(shape, length, dtype, device)
        self.columns = torch.arange(length, device=device)

    def prefill(self, prompts: list[list[int]], rows: Tensor) -> Tensor:
        """Writes the prompts into cache rows and returns the logits after each prompt's last token."""
        longest = max(len(prompt) for prompt in prompts)
        tokens = torch.zeros(len(prompts), longest, dtype=torch.long, device=self.device)
        for i, prompt in enumerate(prompts):
            tokens[i, : len(prompt)] = torch.tensor(prompt, device=self.device)
        ends = torch.tensor([len(prompt) - 1 for prompt in prompts], device=self.device)
        shape, width = self.shape, len(prompts)
        hidden = functional.embedding(tokens, self.embedding)
        cosine, sine = self.cosine[:longest, None], self.sine[:longest, None]
        for number, layer in enumerate(self.layers):
            query, key, value = self._project(hidden, layer, cosine, sine)
            # What lies right of a prompt's end is written too and never read: every step masks by position.
            self.keys[number, rows, :, :longest] = key.transpose(1, 2)
            self.values[number, rows, :, :longest] = value.transpose(1, 2)
            attended = functional.scaled_dot_product_attention(
                query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True, enable_gqa=True
            )
            hidden = self._finish(hidden, attended.transpose(1, 2).reshape(width, longest, -1), layer)
        last = hidden[torch.arange(width, device=self.device), ends]
        return (_norm(last, self.final_norm, shape.norm_epsilon) @ self.head.T).float()

    def step(self, tokens: Tensor, positions: Tensor, longest: int) -> Tensor:
        """One more token for every cache row: its logits, given the token and the position where it stands."""
        shape, rows = self.shape, tokens.shape[0]
        hidden = functional.embedding(tokens, self.embedding)
        cosine, sine = self.cosine[positions][:, None], self.sine[positions][:, None]
        everyone = torch.arange(rows, device=self.device)
        hide = torch.where(self.columns[:longest] <= positions[:, None], 0.0, -math.inf).to(hidden.dtype)
        hide = hide[:, None, None].expand(rows, shape.kv_heads, 1, longest).reshape(rows * shape.kv_heads, 1, longest)
        group = shape.heads // shape.kv_heads
        for number, layer in enumerate(self.layers):
            query, key, value = self._project(hidden, layer, cosine, sine)
            self.keys[number, everyone, :, positions] = key
            self.values[number, everyone, :, positions] = value
            keys = self.keys[number, :rows, :, :longest].reshape(rows * shape.kv_heads, longest, shape.head_dim)
            values = self.values[number, :rows, :, :longest].reshape(rows * shape.kv_heads, longest, shape.head_dim)
            query = query.reshape(rows * shape.kv_heads, group, shape.head_dim)
            scores = torch.baddbmm(hide, query, keys.transpose(1, 2), alpha=shape.head_dim**-0.5)
            attended = torch.bmm(scores.softmax(-1), values).reshape(rows, -1)
            hidden = self._finish(hidden, attended, layer)
        return (_norm(hidden, self.final_norm, shape.norm_epsilon) @ self.head.T).float()

    def move(self, source: int, target: int, length: int) -> None:
        """Copies one row of the cache over another, so that the rows in use stay the first ones."""
        self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]

    def _project(self, hidden: Tensor, layer: Layer, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape = self.shape
        merged = functional.linear(_norm(hidden, layer.attention_norm, shape.norm_epsilon), layer.qkv, layer.qkv_bias)
        merged = merged.unflatten(-1, (shape.heads + 2 * shape.kv_heads, shape.head_dim))
        query = merged[..., : shape.heads, :]
        key = merged[..., shape.heads : shape.heads + shape.kv_heads, :]
        value = merged[..., shape.heads + shape.kv_heads :, :]
        if layer.query_norm is not None and layer.key_norm is not None:
            query = _norm(query, layer.query_norm, shape.norm_epsilon)
            key = _norm(key, layer.key_norm, shape.norm_epsilon)
        return _rotate(query, cosine, sine), _rotate(key, cosine, sine), value

    def _finish(self, hidden: Tensor, attended: Tensor, layer: Layer) -> Tensor:
        hidden = hidden + attended @ layer.out.T
        gate, up = (_norm(hidden, layer.mlp_norm, self.shape.norm_epsilon) @ layer.gate_up.T).chunk(2, -1)
        return hidden + (functional.silu(gate) * up) @ layer.down.T


def _layer(weights: dict[str, Tensor], prefix: str) -> Layer:
    def merged(names: list[str], suffix: str) -> Tensor:
        return torch.cat([weights[f"{prefix}{name}.{suffix}"] for name in names])

    heads = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    return Layer(
        attention_norm=weights[prefix + "input_layernorm.weight"],
        mlp_norm=weights[prefix + "post_attention_layernorm.weight"],
        qkv=merged(heads, "weight"),
        qkv_bias=merged(heads, "bias") if f"{prefix}{heads[0]}.bias" in weights else None,
        out=weights[prefix + "self_attn.o_proj.weight"],
        query_norm=weights.get(prefix + "self_attn.q_norm.weight"),
        key_norm=weights.get(prefix + "self_attn.k_norm.weight"),
        gate_up=merged(["mlp.gate_proj", "mlp.up_proj"], "weight"),
        down=weights[prefix + "mlp.down_proj.weight"],
    )


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), weight, epsilon)


def _rotations(shape: Shape, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    frequencies = shape.rope_base ** (-torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    angles = torch.cat([angles, angles], -1)
    return angles.cos().to(device, dtype), angles.sin().to(device, dtype)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat([-second, first], -1) * sine
