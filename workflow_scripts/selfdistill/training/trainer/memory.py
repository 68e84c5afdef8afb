"""Whether a run fits before it starts: an estimate of memory with the settings that change it, and the disk it will fill."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch

from selfdistill.foundation.errors import UserError
from selfdistill.training.settings import RunSettings

GIB = 2**30
KNOBS = (
    "training.micro_batch (fewer sequences at once), training.activations (recompute, offload), training.gpus (the state "
    "is shared out), training.lora, or a shorter model.context"
)


class Beside(NamedTuple):
    """What takes memory beside the model that is trained, and what of the settings would make all of it less."""

    by_weight: float = 0.0  # bytes for each weight of the model: copies of it
    fixed: float = 0.0  # bytes of each process
    knobs: str = KNOBS


NOTHING = Beside()


def refuse_without_memory(model: Any, settings: RunSettings, longest: int, beside: Beside = NOTHING) -> None:
    """Before anything is moved to a GPU: the state and the activations that are kept, against what is free."""
    needed, free = needed_memory(model, settings, longest, beside), free_memory(settings.device)
    if free is not None and needed > free:
        raise UserError(
            f"too little memory: this run needs about {needed / GIB:.1f} GiB on each device and {free / GIB:.1f} GiB are "
            f"free. What changes it: {beside.knobs}."
        )


def needed_memory(model: Any, settings: RunSettings, longest: int, beside: Beside = NOTHING) -> float:
    """Bytes per process: weights, gradients, two moments, and the activations of one backward pass, roughly."""
    recipe, config = settings.training, model.config.get_text_config()
    size = 2 if recipe.precision == "pure-bf16" else 4
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    whole = sum(parameter.numel() for parameter in model.parameters())
    state = ((size + beside.by_weight) * whole + 3 * size * trained) / settings.ranks + beside.fixed
    if settings.device == "cuda":
        state += max(parameter.numel() for parameter in model.parameters()) * 2  # the cast of the largest weight
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", 4 * hidden)
    width = 2 if settings.device == "cuda" else size
    tokens = recipe.micro_batch * longest
    one_layer = tokens * (12 * hidden + 4 * inner) * width
    kept = tokens * hidden * layers * (4 if settings.device == "cuda" else size)
    recomputed = activations(recipe.activations, settings.device, whole) != "keep"
    return state + (kept + 2 * one_layer if recomputed else layers * one_layer)


def activations(asked: str, device: str, parameters: int) -> str:
    """What `auto` means: small models and CPUs keep everything, large ones on a GPU recompute all but attention."""
    from selfdistill.training.trainer.model import LARGE_MODEL

    if asked != "auto":
        return asked
    return "recompute-all-but-attention" if device == "cuda" and parameters >= LARGE_MODEL else "keep"


def free_memory(device: str) -> float | None:
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []:
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024
    return None


class Written(NamedTuple):
    """What a run writes beside exports, and the weights and moments of its checkpoints."""

    checkpoints: int  # at once
    by_checkpoint: int  # bytes more in each
    rollouts: int  # bytes of answers that it gives while it trains, and has not yet


def refuse_without_disk(
    model: Any,
    work: Path,
    source: Path,
    exports: int,
    steps: int,
    settings: RunSettings,
    written: Written | None = None,
) -> None:
    """Before the first step: every export, and two checkpoints of weights and moments: one is replaced by the next."""
    weights = sum(file.stat().st_size for file in source.glob("*.safetensors"))
    size = 2 if settings.training.precision == "pure-bf16" else 4
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    whole = sum(parameter.numel() for parameter in model.parameters())
    held = sum(file.stat().st_size for file in work.rglob("*") if file.is_file() and not file.is_symlink())
    if written is None:
        written = Written(2 if steps > settings.training.save_every else 1, 0, 0)  # one for a stop that is asked for
    checkpoint = (whole + 2 * trained) * size + written.by_checkpoint
    needed = exports * weights + written.checkpoints * checkpoint + written.rollouts - held
    free = shutil.disk_usage(work).free
    if needed > free:
        answers = f", its answers: {written.rollouts / GIB:.1f} GiB," if written.rollouts else ","
        raise UserError(
            f"{work}: too little disk: this run writes up to {needed / GIB:.1f} GiB ({exports} exported models{answers} and the "
            f"checkpoint it survives a crash with while the next one is written) and {free / GIB:.1f} GiB are free: make "
            "room, or export fewer checkpoints (training.checkpoints)."
        )


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def out_of_memory(
    error: BaseException, model: Any, settings: RunSettings, longest: int, beside: Beside = NOTHING
) -> UserError:
    needed = needed_memory(model, settings, longest, beside)
    return UserError(
        f"out of memory in training (the estimate was {needed / GIB:.1f} GiB on each device; longest example: {longest} "
        f"tokens): {str(error).splitlines()[0]} What changes it: {beside.knobs}. The run goes on from its last checkpoint."
    )
