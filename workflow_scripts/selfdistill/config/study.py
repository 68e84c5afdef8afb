"""The study file as types. What a key means is said here once; `config/schema.json` is made from these classes.

Types are strict: PyYAML reads `1e-5` as text, and a text is not silently a number here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
StudyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,39}$")]
Share = Annotated[float, Field(gt=0, lt=1)]
HubId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
HUB = "Repository on the Hugging Face hub that path is downloaded from when it is not there."
REVISION = (
    "Commit of that repository. Empty: the newest one when the study first runs, kept in revisions.lock from then on."
)
# The datasets that problems/datasets/ can read; a test compares.
Loader = Literal[
    "aime-1983-2024", "aime-2025", "beyond-aime", "hendrycks-math", "numina-math-cot", "olympiad-bench", "omni-math-2"
]  # fmt: skip


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Model(Section):
    path: str = Field(description="Folder with config.json, safetensors weights and the tokenizer.")
    hub: HubId | None = Field(None, description=HUB)
    revision: Commit = Field("", description=REVISION)
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Precision of sampling.")
    context: int = Field(gt=0, description="Longest prompt plus completion that the model is asked for, in tokens.")
    trust_remote_code: str | None = Field(
        None,
        description="Architecture (as in config.json) whose code in the model's folder may be run. Nothing else is trusted.",
    )
    chat: dict[str, bool | int | str] = Field(
        default={}, description="Given to the chat template by name, as enable_thinking: false."
    )
    thinks: bool = Field(
        True, description="Completions hold a thought that </think> closes, and only what follows it is graded."
    )


class Source(Section):
    path: str = Field(
        description="JSON Lines with problem, answer, level and, where known, family; with a loader, a dataset's folder."
    )
    use: Literal["train", "eval"]
    loader: Loader | None = Field(None, description="Reads a public dataset as it lies on the hub (docs/datasets.md).")
    hub: HubId | None = Field(None, description=HUB + " The loader knows the usual one.")
    revision: Commit = Field("", description=REVISION)
    options: dict[str, Any] = Field(default={}, description="What the loader is to take, as levels: [4, 5].")


class Contamination(Section):
    """A training problem that is too like an evaluation problem is dropped. Overlaps are of word n-grams."""

    ngram: int = Field(8, gt=1, description="Words in an n-gram.")
    overlap: Share = Field(0.8, description="Share of the evaluation problem's n-grams found in one training problem.")
    jaccard: Share = Field(0.75, description="Jaccard similarity of the two sets of word pairs.")
    jaccard_same_answer: Share = Field(0.6, description="The lower threshold when the answers agree.")


class Problems(Section):
    prompt: str = Field(description="What is asked; {problem} is replaced by the problem's text.")
    sources: dict[Name, Source]
    contamination: Contamination = Contamination()
    dev_share: Share = Field(0.3, description="Share of evaluation families used for choices; the rest is reported on.")


class Decode(Section):
    """Order of operations is vLLM's: presence penalty, temperature, min-p, top-k, then top-p inside the top-k set."""

    temperature: float = Field(ge=0)
    top_k: int = Field(0, ge=0, description="0 keeps every token.")
    top_p: float = Field(1.0, gt=0, le=1)
    min_p: float = Field(0.0, ge=0, lt=1)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    max_tokens: int = Field(gt=0)


class Loops(Section):
    """A completion ends in a loop when its last tokens repeat one period over and over."""

    max_period: int = Field(96, gt=0, description="Longest period looked for, in tokens.")
    min_repeats: int = Field(4, ge=2, description="Repeats of the period at the end.")
    min_tokens: int = Field(48, gt=0, description="Tokens that the repeats must cover together.")


class AbortLoops(Section):
    """A completion is stopped as soon as its tail repeats one period so often. It changes the sampling law."""

    max_period: int = Field(128, gt=0, description="Longest period looked for, in tokens.")
    min_repeats: int = Field(16, ge=3, description="Repeats of the period at the end that stop the completion.")


class Sampling(Section):
    engine: Literal["auto", "vllm", "torch"] = Field(
        "auto", description="auto takes vllm where it is installed and the job has a GPU, and torch elsewhere."
    )
    abort_loops: AbortLoops | None = Field(
        None, description="Stop completions that loop. Off by default: it changes the law that is sampled from."
    )
    batch: int = Field(64, gt=0, description="Sequences decoded at once.")
    shards_base: int = Field(2, gt=0, le=999, description="Shards of a model with many samples (the base).")
    shards_checkpoint: int = Field(1, gt=0, le=999)
    gpus: int = Field(0, ge=0, le=1, description="GPUs of one sampling process; 0 samples on the CPU.")
    export_limit: float | None = Field(
        None,
        gt=0,
        description="Largest difference between the sampling engine's log-probability of a token and the trainer's that an "
        "exported checkpoint may show; the mean may be a tenth of it. By default 0.001 where weights, training and "
        "sampling are all in float32, and 2 otherwise.",
    )


class Grading(Section):
    loops: Loops = Loops()
    seconds_per_answer: float = Field(
        10.0, gt=0, description="Hard limit for one answer; the process is killed after it."
    )


class Lora(Section):
    """Train low-rank adapters instead of the weights; exports hold them merged."""

    rank: int = Field(gt=0)
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
    epochs: int = Field(1, gt=0)
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
    schedule: Literal["cosine", "linear"] = Field(
        "cosine", description="How the rate falls from the peak to the floor."
    )
    warmup_steps: int = Field(5, ge=0, description="Steps of linear rise; the last of them is at the peak.")
    warmup_share: Share | None = Field(None, description="The same as a share of all steps; replaces warmup_steps.")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    weight_decay: float = Field(0.1, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    lora: Lora | None = None
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

    def warm_up(self, steps: int) -> int:
        return self.warmup_steps if self.warmup_share is None else round(self.warmup_share * steps)


class Training(Recipe):
    samples: int = Field(gt=0, description="Training problems sampled from, the first of the ranking.")
    examples: int = Field(gt=0, description="Examples that every arm trains on, so that arms take equally many steps.")
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
    "samples", "examples", "gpus", "nodes", "processes", "slow_kernels", "checkpoints", "save_every", "trackers",
}  # fmt: skip


class Arm(Section):
    """One way of making a model out of its own samples. Controls are arms like any other."""

    resample: bool = Field(False, description="Train nothing: sample the base anew (the A/A control).")
    decode: Name | None = Field(None, description="Decode of the training samples.")
    keep: Literal["finished", "everything"] | None = Field(None, description="finished drops what the token cap cut.")
    targets: Literal["sampled", "soft"] = Field(
        "sampled", description="soft: the base's whole distribution at the decode, along the sampled tokens."
    )
    training: dict[str, Any] = Field(default={}, description="Keys of training that differ for this arm.")
    seeds: list[int] = Field(default=[0], description="Training seeds: data order and everything random in training.")

    @property
    def method(self) -> dict[str, Any]:
        """All that distinguishes arms; the seeds only repeat one."""
        return self.model_dump(exclude={"seeds"})


class Evaluation(Section):
    budgets: dict[Literal["quick", "full"], Annotated[int, Field(gt=0)]]
    mixtures: dict[Name, dict[Name, Annotated[int, Field(gt=0)]]] = Field(
        default={},
        description="Parts of the full budget of another composition, so many problems of each source; levels are told for them too.",
    )
    draws: int = Field(1, gt=0, description="Independent answers per problem.")
    base: list[Name] = Field(description="Decodes of the base at the full budget: the sweep and the baselines.")
    final: list[Name] = Field(description="Decodes of finished training and of the A/A control, at the full budget.")
    earlier: list[Name] = Field(description="Decodes of earlier checkpoints, at the quick budget.")
    pass_at: list[Annotated[int, Field(gt=0)]] = Field(default=[1], description="k of pass@k; needs at least k draws.")
    resamples: int = Field(4000, ge=200, description="Bootstrap resamples and sign flips.")


class Hypothesis(Section):
    """One line of the analysis plan, written before the data."""

    arm: Name
    against: Name = Field("base", description="base or another arm.")
    comparison: Literal["matched", "fair"] = Field(
        description="matched: the same decode on both sides. fair: each side at its best decode, chosen on dev."
    )
    decode: Name | None = Field(None, description="The decode of a matched comparison.")
    family: Name = Field("primary", description="p-values are adjusted (Holm) within a family.")
    margin: float = Field(gt=0, lt=1, description="Differences smaller than this count as equivalent.")


class Study(Section):
    study: StudyName = Field(description="Name of the study and of its folder of results.")
    seed: int = Field(ge=0, description="Seed of ranking, splitting, sampling and data order.")
    model: Model
    problems: Problems
    decodes: dict[Name, Decode]
    sampling: Sampling = Sampling()
    grading: Grading = Grading()
    training: Training
    arms: dict[Name, Arm]
    evaluation: Evaluation
    hypotheses: dict[Name, Hypothesis] = {}

    def recipe(self, arm: str) -> Recipe:
        """How this arm is trained: the study's training with the arm's changes."""
        shared = self.training.model_dump(include=set(Recipe.model_fields))
        return Recipe.model_validate(shared | self.arms[arm].training)
