"""Section `training`: how a model is trained on a dataset, and the jobs that do it."""

from typing import Literal

from pydantic import Field

from selfdistill.study.section import Section, Share


class Lora(Section):
    """Train low-rank adapters instead of the weights; exports hold them merged."""

    rank: int = Field(gt=0, description="Rank of the adapters.")
    alpha: int = Field(gt=0, description="The adapters' product is scaled by alpha / rank.")
    modules: list[str] | Literal["all-linear"] = Field(
        "all-linear", description="Names of the layers that get adapters; all-linear is all but the head."
    )


class Recipe(Section):
    """How a model is trained on a dataset: what the trainer needs to know."""

    batch: int = Field(32, gt=0, description="Sequences per optimiser step.")
    micro_batch: int = Field(
        4,
        gt=0,
        description="Sequences per backward pass; gradient noise needs at least two passes a step, and gains from four.",
    )
    epochs: int = Field(1, gt=0, description="Passes over the dataset.")
    max_steps: int | None = Field(None, gt=0, description="Optimiser steps at most; the schedule ends with them.")
    collation: Literal["padded", "padding-free"] = Field(
        "padded",
        description="padding-free puts the sequences of a backward pass into one row, if the model is seen to keep them apart.",
    )
    over_length: Literal["raise", "drop", "truncate"] = Field(
        "raise", description="What becomes of an example that is longer than model.context."
    )
    precision: Literal["float32", "pure-bf16"] = Field(
        "float32",
        description="float32 weights and optimiser (bf16 autocast on a GPU); pure-bf16 rounds small updates to nothing.",
    )
    lr: float = Field(gt=0, description="Peak learning rate.")
    lr_floor: float = Field(ge=0, description="Where the schedule ends.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine",
        description="How the rate falls from the peak to the floor; constant stays at the peak after the warm-up.",
    )
    warmup_steps: int = Field(5, ge=0, description="Steps of linear rise; the last of them is at the peak.")
    warmup_share: Share | None = Field(None, description="The same as a share of all steps; replaces warmup_steps.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of AdamW's mean of gradients.")
    beta2: float = Field(0.95, ge=0, lt=1, description="Decay of AdamW's mean of squared gradients.")
    weight_decay: float = Field(0.1, ge=0, description="AdamW's, decoupled.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients of a larger norm are scaled down to it.")
    lora: Lora | None = Field(None, description="Train low-rank adapters instead of the weights. Off by default.")
    activations: Literal["auto", "keep", "recompute", "recompute-all-but-attention", "offload"] = Field(
        "auto",
        description="What the backward pass needs: kept, recomputed, or kept in main memory. auto recomputes large models on a GPU.",
    )
    compile: bool = Field(False, description="Compile the layers' elementwise parts (GPU).")
    measure_every: int = Field(
        10, gt=0, description="Steps between the measurements that are too dear for every step, as Adam-weighted norms."
    )
    save_every: int = Field(10, gt=0, description="Steps between the crash-safe checkpoints.")
    checkpoints: list[int] = Field(default=[25, 50, 75, 100], description="Percent of training at which to export.")
    trackers: list[Literal["tensorboard", "wandb"]] = Field(
        default=[], description="Where the trainer also logs to, by its own integrations."
    )

    def steps(self, examples: int) -> int:
        """Optimiser steps of a training on so many examples."""
        steps = -(-examples * self.epochs // self.batch)
        return min(steps, self.max_steps or steps)

    def warm_up(self, steps: int) -> int:
        return self.warmup_steps if self.warmup_share is None else round(self.warmup_share * steps)


class Training(Recipe):
    samples: int = Field(
        0,
        ge=0,
        description="Training problems sampled from, the first of the ranking; left out where every arm has a method.",
    )
    examples: int = Field(
        0,
        ge=0,
        description="Examples that every arm trains on, so that arms take equally many steps; left out where every arm has a "
        "method.",
    )
    draws: int = Field(
        1, gt=0, description="Samples of each training problem; an arm learns one of them, the first that it keeps."
    )
    gpus: int = Field(0, ge=0, description="GPUs of one training on each node; 0 trains on the CPU.")
    nodes: int = Field(1, gt=0, description="Nodes of one training.")
    slow_kernels: bool = Field(
        False, description="Train on a GPU even without the kernels that make the model's architecture fast."
    )
    processes: int | None = Field(None, gt=0, description="Processes on each node; as many as GPUs unless given.")

    @property
    def processes_per_node(self) -> int:
        return self.processes or max(1, self.gpus)


# What belongs to the study or to its jobs, and what all arms must share to be compared.
NOT_BY_ARM = {
    "samples", "draws", "examples", "gpus", "nodes", "processes", "slow_kernels", "checkpoints", "save_every", "trackers",
}  # fmt: skip
