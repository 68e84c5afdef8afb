"""Writes small GGUF files, from the description of the format: what the tests of their reader read."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8
ALIGNMENT = 32


def write_gguf(path: Path, said: Mapping[str, Any], tensors: Mapping[str, tuple[tuple[int, ...], int, bytes]]) -> Path:
    """`tensors`: name → shape, rows first; GGUF's type; the bytes as they are stored."""
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(said))
    for key, value in said.items():
        header += _text(key) + _typed(value)
    place, data = 0, b""
    for name, (shape, kind, stored) in tensors.items():
        header += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape[::-1])
        header += struct.pack("<IQ", kind, place)
        padded = stored + b"\0" * (-len(stored) % ALIGNMENT)
        data, place = data + padded, place + len(padded)
    path.write_bytes(header + b"\0" * (-len(header) % ALIGNMENT) + data)
    return path


def as_f32(matrix: np.ndarray) -> tuple[tuple[int, ...], int, bytes]:
    return matrix.shape, F32, matrix.astype("<f4").tobytes()


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _typed(value: Any) -> bytes:
    if isinstance(value, list):
        items = [_typed(item) for item in value]
        return (
            struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(item[4:] for item in items)
        )
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<I", 8) + _text(str(value))


TEXTS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "1", "2", "Ġ", "Ċ", "ĠĠ", "ĊĊ", "ab"]
SAID: dict[str, Any] = {
    "general.architecture": "llama", "llama.block_count": 2, "llama.context_length": 64, "llama.embedding_length": 32,
    "llama.feed_forward_length": 48, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
    "llama.rope.freq_base": 10000.0, "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": 8,
    "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": TEXTS,
    "tokenizer.ggml.token_type": [3, 3, 3, *[1] * 9], "tokenizer.ggml.merges": ["Ġ Ġ", "Ċ Ċ", "a b"],
    "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.padding_token_id": 2, "tokenizer.chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
}  # fmt: skip
PARTS = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def small_llama() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    rope: Any = {"rope_type": "default", "rope_theta": 10000.0}
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=len(TEXTS), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, head_dim=8,
        num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, rope_parameters=rope, tie_word_embeddings=True,
    )).eval()  # fmt: skip


def stored_by_llama_cpp(model: Any) -> dict[str, tuple[tuple[int, ...], int, bytes]]:
    """Within a head of query and key llama.cpp has row i of the first half, then row i of the second, then row i + 1."""
    found = {}
    for name, tensor in model.state_dict().items():
        matrix = tensor.numpy()
        parts = name.removesuffix(".weight").split(".", 3)
        if name == "lm_head.weight":
            continue
        if parts[1] != "layers":
            found["token_embd.weight" if "embed" in name else "output_norm.weight"] = as_f32(matrix)
            continue
        if "q_proj" in name or "k_proj" in name:
            order = [head * 8 + place for head in range(len(matrix) // 8) for i in range(4) for place in (i, i + 4)]
            matrix = matrix[order]
        found[f"blk.{parts[2]}.{PARTS[parts[3]]}.weight"] = as_f32(matrix)
    return found
