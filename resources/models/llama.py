"""What a GGUF of a Llama-shaped model says, in the words of a model's folder: configuration, tensors, tokenizer.

Only what could be compared with other readers is read: Llama's own architecture without scaled rotary positions, and
tokenizers that split texts as SmolLM's does. Anything else is refused with a sentence.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.gguf_file import GgufFile
from selfdistill.foundation.errors import UserError

WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
UNTIED = {"output.weight": "lm_head.weight"}
OF_A_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3  # the type of a token that no text can write by accident


def refuse_what_is_not_read(file: GgufFile) -> None:
    architecture = file.said.get("general.architecture")
    if architecture != "llama":
        raise UserError(
            f"{file.path}: holds a model of architecture {architecture}, and only llama is read; take the folder of "
            "safetensors that its makers publish."
        )
    scaled = [key for key in file.said if key.startswith("llama.rope.scaling")]
    unknown = sorted(file.stored.keys() - names_of_tensors(file).keys())
    if scaled or unknown:
        raise UserError(
            f"{file.path}: has {(scaled + unknown)[0]}, which is not read; take the folder that its makers publish."
        )
    lacking = sorted(names_of_tensors(file).keys() - UNTIED.keys() - file.stored.keys())
    if lacking:
        raise UserError(f"{file.path}: lacks {lacking[0]}; download it again.")
    kinds = (file.said.get("tokenizer.ggml.model"), file.said.get("tokenizer.ggml.pre"))
    if kinds != ("gpt2", "smollm"):
        raise UserError(
            f"{file.path}: its tokenizer splits texts as {' '.join(map(str, kinds))}, and only gpt2 smollm is read; take the "
            "folder that its makers publish."
        )


def names_of_tensors(file: GgufFile) -> dict[str, str]:
    """GGUF's name → the name in a model's folder."""
    layers = range(file.said["llama.block_count"])
    of_layers = {
        f"blk.{layer}.{ours}.weight": f"model.layers.{layer}.{theirs}.weight"
        for layer in layers
        for ours, theirs in OF_A_LAYER.items()
    }
    return WHOLE | UNTIED | of_layers


def tensors(file: GgufFile) -> Iterator[tuple[str, np.ndarray]]:
    heads = {"attn_q": file.said["llama.attention.head_count"], "attn_k": file.said["llama.attention.head_count_kv"]}
    for ours, theirs in names_of_tensors(file).items():
        if ours in file.stored:
            part = ours.split(".")[-2]
            tensor = file.tensor(ours)
            yield theirs, halves_apart(tensor, heads[part]) if part in heads else tensor


def halves_apart(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Undoes llama.cpp's order of a head's rows. It turns neighbouring rows together; transformers turns a row of the first
    half of a head with the one at the same place in the second."""
    pairs = matrix.reshape(heads, -1, 2, matrix.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(matrix.shape))


def configuration(file: GgufFile) -> dict[str, Any]:
    said = {key.removeprefix("llama."): value for key, value in file.said.items() if key.startswith("llama.")}
    heads = said["attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": file.stored["token_embd.weight"].shape[0],
        "hidden_size": said["embedding_length"],
        "intermediate_size": said["feed_forward_length"],
        "num_hidden_layers": said["block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": said["attention.head_count_kv"],
        "head_dim": said.get("rope.dimension_count", said["embedding_length"] // heads),
        "hidden_act": "silu",
        "max_position_embeddings": said["context_length"],
        "rms_norm_eps": as_written(said["attention.layer_norm_rms_epsilon"]),
        "rope_theta": as_written(said["rope.freq_base"]),
        "tie_word_embeddings": "output.weight" not in file.stored,
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "float32",
        **special_ids(file),
    }


def as_written(number: float) -> float:
    """The shortest decimal that is this float32: 1e-05, where the header's four bytes read 9.999999747378752e-06."""
    return float(str(np.float32(number)))


def special_ids(file: GgufFile) -> dict[str, int]:
    names = {"bos_token_id": "bos_token_id", "eos_token_id": "eos_token_id", "pad_token_id": "padding_token_id"}
    said = {ours: file.said.get(f"tokenizer.ggml.{theirs}") for ours, theirs in names.items()}
    return {name: number for name, number in said.items() if number is not None}


def tokenizer(file: GgufFile) -> Any:
    """Byte-level BPE in which every digit is a piece of its own before anything else is split: "smollm" in llama.cpp."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    texts = file.said["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in file.said["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE(vocab={text: number for number, text in enumerate(texts)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    kinds = file.said["tokenizer.ggml.token_type"]
    made.add_special_tokens(
        [
            AddedToken(text, special=True, normalized=False)
            for text, kind in zip(texts, kinds, strict=True)
            if kind == CONTROL
        ]
    )
    return made


def tokenizer_configuration(file: GgufFile) -> dict[str, Any]:
    """Of the class that takes tokenizer.json as it is: transformers 5 rebuilds a GPT2Tokenizer, SmolLM2's class in transformers
    4, without the split of digits."""
    texts, ids = file.said["tokenizer.ggml.tokens"], special_ids(file)
    unknown = file.said.get("tokenizer.ggml.unknown_token_id")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{name.removesuffix("_id"): texts[number] for name, number in ids.items()},
        **({"unk_token": texts[unknown]} if unknown is not None else {}),
        "model_max_length": file.said["llama.context_length"],
        "clean_up_tokenization_spaces": False,
    }
