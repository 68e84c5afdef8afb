"""A study's recipe in the words of TRL: what a run is configured with, and its learning rate at every step."""

import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import TrainingArguments
from trl import SFTConfig

from selfdistill.study.training import Recipe
from selfdistill.training.processes import ranks
from selfdistill.training.settings import RunSettings
from selfdistill.training.trainer.memory import activations
from selfdistill.training.trainer.stock import use_one_gpu


def trainer_config(settings: RunSettings, work: Path, parameters: int) -> SFTConfig:
    """The study's training settings in the words of TRL, with every default that would change the data turned off."""
    training = settings.training
    kept = activations(training.activations, settings.device, parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL's own defaults use names that transformers deprecates
        config = SFTConfig(
            **usual_arguments(settings, work, kept, selective=kept == "recompute-all-but-attention"),
            per_device_train_batch_size=training.micro_batch,
            gradient_accumulation_steps=training.batch // (training.micro_batch * settings.ranks),
            max_length=None,  # TRL's default cuts at 1024 tokens without a word; too long is refused before we get here
            packing=False,
            padding_free=False,  # where the study asks for it, the collator does it
            dataset_kwargs={"skip_prepare_dataset": True},
            train_sampling_strategy="sequential",
            activation_offloading=kept == "offload",
        )
    place(config, settings)
    return config


def usual_arguments(settings: RunSettings, work: Path, kept: str, **checkpointing: bool) -> dict[str, Any]:
    """What is the same whatever is trained on. `kept` says what becomes of activations."""
    training, cuda = settings.training, settings.device == "cuda"
    return {
        "output_dir": str(work),
        "num_train_epochs": 1,  # the order of rows already holds every epoch
        "learning_rate": training.lr,
        "optim": "adamw_torch_fused" if cuda else "adamw_torch",
        "adam_beta1": training.beta1,
        "adam_beta2": training.beta2,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "remove_unused_columns": False,  # the collator takes what it needs
        "bf16": cuda and training.precision == "float32",  # autocast; weights and optimiser stay in float32
        "use_cpu": not cuda,
        "gradient_checkpointing": kept != "keep",
        "gradient_checkpointing_kwargs": {"use_reentrant": False, **checkpointing},
        "dataloader_pin_memory": cuda,
        "logging_strategy": "no",  # the journal holds every step
        "logging_nan_inf_filter": False,
        "save_strategy": "no",  # saved by the step recorder, atomically
        "report_to": list(training.trackers) or "none",
        "disable_tqdm": True,
        "seed": settings.seed("training"),
        "data_seed": settings.seed("training"),
        **(spread() if settings.ranks > 1 else {}),
    }


def place(config: TrainingArguments, settings: RunSettings) -> None:
    if settings.ranks > 1:
        # accelerate would gather and reduce in bf16; what is cast, and where, is autocast's business, as on one GPU.
        config.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    if settings.device == "cuda":
        use_one_gpu(config)


def spread() -> dict[str, Any]:
    """Weights, gradients and moments lie in parts on the ranks, and no rank ever holds a whole gradient of the model."""
    return {
        "fsdp": True,
        "fsdp_config": ranks.sharding(),
        "accelerator_config": {"gradient_accumulation_kwargs": {"sync_each_batch": True}},
    }


def learning_rate(step: int, steps: int, training: Recipe) -> float:
    """The rate of the step after `step` others. It rises to the peak in the last step of the warm-up and falls to the
    floor in the last step of all, unless it is constant; no step has a rate of 0, for that would lose its examples."""
    peak = max(training.warm_up(steps), 1) - 1
    if step < peak:
        return training.lr * (step + 1) / (peak + 1)
    if training.schedule == "constant":
        return training.lr
    done = min(1.0, (step - peak) / max(1, steps - 1 - peak))
    left = 1 - done if training.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return training.lr_floor + (training.lr - training.lr_floor) * left
