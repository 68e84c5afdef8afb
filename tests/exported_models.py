"""Small models as their makers publish them (a composite one, others whose names or ties are special) and as training exports them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lab_requests import MODEL, lab_requests
from selfdistill.models.digests import model_digest
from selfdistill.models.tokens import end_tokens
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import write_table
from selfdistill.training.handover.exports import check_examples, export_model, trained_logprobs

VOCABULARY, END, CONTEXT, LAB_CONTEXT = 64, 1, 256, 320
FORMAT = {"format": "pt"}
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 128, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 64, "max_position_embeddings": CONTEXT, "eos_token_id": END, "bos_token_id": None,
}  # fmt: skip


LINEAR_ATTENTION = {
    "linear_num_key_heads": 1, "linear_num_value_heads": 2, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
}  # fmt: skip


def composite(folder: Path) -> Path:
    """A Qwen3.5 with its vision part and a head for speculative decoding, stored as the real ones are."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    torch.manual_seed(0)
    rope = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.25, "mrope_section": [2, 3, 3]}
    text = {**SMALL, **LINEAR_ATTENTION, "rope_parameters": rope | {"mrope_interleaved": True}}
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 128}
    config = Qwen3_5Config(
        text_config={**text, "num_hidden_layers": 4, "tie_word_embeddings": True},
        vision_config={**vision, "num_position_embeddings": 16, "patch_size": 4},
        tie_word_embeddings=True,
    )
    Qwen3_5ForConditionalGeneration(config).bfloat16().save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["mtp.fc.weight"] = torch.randn(4, 8, dtype=torch.bfloat16)
    weights |= {name: tensor.float() for name, tensor in weights.items() if name.endswith("A_log")}
    save_file(weights, folder / "model.safetensors", FORMAT)
    (folder / "preprocessor_config.json").write_text('{"of": "the vision part"}\n')
    return folder


def untied(folder: Path) -> Path:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SMALL, num_hidden_layers=2, tie_word_embeddings=False)).save_pretrained(folder)
    return folder


def experts(folder: Path) -> Path:
    """A mixture of experts, whose many matrices transformers makes one of when it loads them."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "num_hidden_layers": 2,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
    }
    Qwen3MoeForCausalLM(Qwen3MoeConfig(**SMALL, **shape, tie_word_embeddings=False)).save_pretrained(folder)
    return folder


def tied_twice(folder: Path) -> Path:
    """Tied embeddings that are stored under both of their names."""
    untied(folder)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors", FORMAT)
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def in_shards(folder: Path, number: int = 3) -> Path:
    """The same weights in several files with an index, a layer's tensors apart from each other."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = {
        name: f"model.safetensors-{at % number + 1:05d}-of-{number:05d}.safetensors" for at, name in enumerate(weights)
    }
    for file in set(names.values()):
        save_file({name: weights[name] for name in weights if names[name] == file}, folder / file, FORMAT)
    size = sum(tensor.nbytes for tensor in weights.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": names})
    )
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys()}
    return found


def change(folder: Path, changed: Callable[[str, torch.Tensor], torch.Tensor]) -> None:
    """Every stored tensor becomes what `changed` makes of its name and of it."""
    weights = load_file(folder / "model.safetensors")
    save_file({name: changed(name, tensor) for name, tensor in weights.items()}, folder / "model.safetensors", FORMAT)


def train(model: Any) -> None:
    """Every weight that has to do with text is a little off, as after training."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".visual." not in name:
                noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name)))
                parameter += (0.03 * parameter.abs().mean() + 0.001) * noise


def exported(
    source: Path,
    target: Path,
    examples: pl.DataFrame,
    trained: Callable[[Any], None] = train,
    base_known: bool = True,
) -> Path:
    """The source, trained, with the trainer's log-probabilities beside it, and those it gave before the first step."""
    from selfdistill.training.trainer.model import load_model

    model, base = load_model(source), target.with_name(f"{target.name}.base")
    if base_known:
        write_table(trained_logprobs(model, examples, "float32"), base, TRAINED_LOGPROBS)
    trained(model)
    export_model(model, source, target, trained_logprobs(model, examples, "float32"), base)
    return target


def manifest_of(source: Path, folder: Path) -> Path:
    """As much of a run's manifest as the check of its exports reads."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({"base_digest": model_digest(source)}))
    return path


def damaged(folder: Path, target: Path, share: float) -> Path:
    """A copy in which one matrix of many is off by a share of its size."""
    noise = torch.Generator().manual_seed(2)

    def hurt(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if not name.endswith("layers.1.mlp.down_proj.weight"):
            return tensor
        return tensor + (share * tensor.std() * torch.randn(tensor.shape, generator=noise)).to(tensor.dtype)

    shutil.copytree(folder, target)
    change(target, hurt)
    return target


def lab_examples(number: int = 8) -> pl.DataFrame:
    """What the lab model answers to a few problems."""
    requests = lab_requests(number)
    engine = TorchEngine(EngineSettings(MODEL, "float32", LAB_CONTEXT, end_tokens(MODEL), number))
    samples = {sample.request_id: sample.token_ids for sample in engine.sample(iter(requests))}
    rows = [(request.request_id, request.prompt_ids, samples[request.request_id]) for request in requests]
    dataset = pl.DataFrame(rows, schema=["request_id", "prompt_ids", "completion_ids"], orient="row")
    return check_examples(dataset, LAB_CONTEXT)
