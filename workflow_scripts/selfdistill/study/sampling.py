"""Sections `decodes` and `sampling`: the laws that are sampled from, and how samples are drawn."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from selfdistill.study.section import Section, name_among

AUTO = "auto"  # the engine that the machine and the model suggest
ENGINES = (AUTO, "vllm", "torch")
if TYPE_CHECKING:
    Engine = str
else:
    Engine = name_among(*ENGINES)


class Decode(Section):
    """Order of operations is vLLM's: presence penalty, temperature, min-p, top-k, then top-p inside the top-k set."""

    temperature: float = Field(ge=0, description="Logits are divided by it; 0 takes the likeliest token.")
    top_k: int = Field(0, ge=0, description="So many of the likeliest tokens are kept; 0 keeps every token.")
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The likeliest tokens are kept that have this probability together; 1 keeps every token.",
    )
    min_p: float = Field(
        0.0, ge=0, lt=1, description="Least share of the likeliest token's probability; 0 keeps every token."
    )
    presence_penalty: float = Field(
        0.0, ge=-2, le=2, description="Taken from the logit of every token that the completion holds."
    )
    max_tokens: int = Field(gt=0, description="A longer completion is cut.")


class AbortLoops(Section):
    """A completion is stopped as soon as its tail repeats one period so often. It changes the sampling law."""

    max_period: int = Field(128, gt=0, description="Longest period looked for, in tokens.")
    min_repeats: int = Field(16, ge=3, description="Repeats of the period at the end that stop the completion.")


class Sampling(Section):
    engine: Engine = Field(
        "auto",
        description="auto takes vllm where it is installed, the job has a GPU and the model is worth it, and torch elsewhere. "
        "plugins may give another.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Of the weights that sample; training.precision is that of training."
    )
    abort_loops: AbortLoops | None = Field(
        None, description="Stop completions that loop. Off by default: it changes the law that is sampled from."
    )
    batch: int = Field(64, gt=0, description="Sequences decoded at once.")
    shards_base: int = Field(2, gt=0, le=999, description="Shards of a model with many samples (the base).")
    shards_checkpoint: int = Field(1, gt=0, le=999, description="Shards of any other model.")
    gpus: int = Field(0, ge=0, le=1, description="GPUs of one sampling process; 0 samples on the CPU.")
    export_limit: float | None = Field(
        None,
        gt=0,
        description="Largest difference between the sampling engine's log-probability of a token and the trainer's that an "
        "exported checkpoint may show; the mean may be a tenth of it. By default 0.001 where weights, training and "
        "sampling are all in float32, and 2 otherwise.",
    )
