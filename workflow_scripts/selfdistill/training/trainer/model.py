"""The model as it is trained: its precision, what of it learns, and whether sequences in one row stay apart."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers

from selfdistill.foundation.errors import UserError
from selfdistill.study.training import Lora, Recipe
from selfdistill.training.instruments.bf16 import share_moved_in_bf16
from selfdistill.training.instruments.groups import layer_group

# Parameters; from here activations are recomputed to save memory. One of 135 million trained several times slower so.
LARGE_MODEL = 400_000_000
PROBE_TOKENS, PROBE_ROWS = 256, 3
SAME_LOGPROBS = {torch.float32: 1e-4, torch.bfloat16: 0.1}  # how far apart the same sequence may lie, by precision


def load_model(folder: Path, precision: str = "float32") -> Any:
    """The model as its own class, with float32 weights (updates to bf16 weights round to nothing) and no dropout.

    Its own class: loaded as a plain causal model, a composite one would lose the parts that the engines ask for.
    """
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for part in (config, config.get_text_config()):
        for key in list(part.to_dict()):
            if key.endswith(("dropout", "_pdrop")) and getattr(part, key, None):
                setattr(part, key, 0.0)
    name = (config.architectures or [""])[0]
    if not hasattr(transformers, name):
        raise UserError(
            f"{folder}/config.json: the architecture {name!r} is not known to transformers {version('transformers')}."
        )
    dtype = torch.bfloat16 if precision == "pure-bf16" else torch.float32
    model = getattr(transformers, name).from_pretrained(
        folder, config=config, dtype=dtype, use_safetensors=True, local_files_only=True
    )
    for parameter_name, parameter in model.named_parameters():
        if layer_group(parameter_name) == "vision":
            parameter.requires_grad_(False)  # text alone is trained on: what sees stays as it came
    return model


def with_adapters(model: Any, lora: Lora, seed: int) -> Any:
    """The model with low-rank adapters, the only part of it that learns."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UserError("training.lora: needs the package peft; install the training environment anew.") from None
    torch.manual_seed(seed)
    modules = lora.modules
    if modules != "all-linear":
        known = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
        unknown = sorted(set(modules) - known)
        if unknown:
            raise UserError(f"training.lora.modules: the model has no layer named {unknown[0]!r}.")
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules=modules, task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def warn_of_rounding(model: Any, training: Recipe) -> None:
    """What a pure bf16 run is about to do to its updates, from the weights as they are and the size of Adam's steps."""
    usual = training.lr * ((1 - training.beta1) / (1 + training.beta1)) ** 0.5
    share = share_moved_in_bf16([parameter for parameter in model.parameters() if parameter.requires_grad], usual)
    print(
        f"warning: training.precision: pure-bf16 keeps the weights in bf16. At the peak learning rate {training.lr:g} an "
        f"update of the usual size ({usual:.1e}, noise-dominated Adam) moves {share:.1%} of the weights; all others "
        "round back to where they were, step after step. Use float32 unless this is what you study.",
        file=sys.stderr,
        flush=True,
    )


def refuse_leaks(model: Any, collator: Any, rows: Sequence[dict[str, list[int]]], device: str) -> None:
    """Padding-free rows only where the sequences in one row are seen to be as if each were alone, on this machine."""
    pieces = [{key: values[:PROBE_TOKENS] for key, values in row.items()} for row in rows[:PROBE_ROWS]]
    model = model.to(device).eval()

    @torch.no_grad()
    def logprobs(batch: dict[str, Any]) -> torch.Tensor:
        batch = {key: value.to(device) if hasattr(value, "to") else value for key, value in batch.items()}
        batch.pop("labels")
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=device == "cuda"):
            logits = model(**batch, use_cache=False).logits[0]
        return torch.as_tensor(logits.float().log_softmax(-1))

    try:
        together = logprobs(collator(pieces))
    except (ValueError, NotImplementedError) as error:  # a model without the kernels that keep them apart says so
        raise UserError(
            f"training.collation: padding-free is refused for {type(model).__name__} on this machine: {error}"
        ) from None
    alone = torch.cat([logprobs(collator([piece])) for piece in pieces])
    apart = float((together - alone).abs().max())
    limit = SAME_LOGPROBS[torch.bfloat16 if device == "cuda" else torch.float32]
    if not apart <= limit:
        raise UserError(
            f"training.collation: padding-free is refused for {type(model).__name__} on this machine: log-probabilities "
            f"of sequences in one row differ from those of each alone by up to {apart:.2g} (limit {limit:g}): "
            "sequences see each other. Use padded."
        )
    model.train()


def compile_layers(model: Any) -> None:
    """Fuse the elementwise parts of every layer: norms, the gate of the MLP, rotary positions. Attention stays apart.

    Parts and not whole layers, so that what is recomputed in the backward pass can still leave attention out.
    """
    from selfdistill.training.trainer.stock import is_compiled

    modelings = set()
    for module in model.modules():
        kind = type(module).__name__
        if kind.endswith(("RMSNorm", "MLP")):
            module.compile()
            modelings.add(sys.modules[type(module).__module__])
    for modeling in modelings:
        rotate = getattr(modeling, "apply_rotary_pos_emb", None)
        if rotate is not None and not is_compiled(rotate):
            modeling.apply_rotary_pos_emb = torch.compile(rotate)  # type: ignore[attr-defined]


def plain_model(model: Any) -> Any:
    """The model without adapters around it."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


@torch.no_grad()
def trained_state(model: Any) -> dict[str, torch.Tensor]:
    """All weights under the names of the plain model, with adapters worked into the weights that they change."""
    if not hasattr(model, "peft_config"):
        return dict(model.state_dict())
    base = model.get_base_model()
    adapted = {name: module for name, module in base.named_modules() if hasattr(module, "get_delta_weight")}
    state = {}
    for name, tensor in base.state_dict().items():
        if ".lora_" in name:
            continue
        layer, _, kind = name.replace(".base_layer", "").rpartition(".")
        if kind == "weight" and layer in adapted:
            tensor = tensor + adapted[layer].get_delta_weight("default").to(tensor.dtype)
        state[f"{layer}.{kind}" if layer else kind] = tensor
    return state
