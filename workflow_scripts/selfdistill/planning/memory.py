"""Main memory that a job takes, from the model's size, the batch and the context: what its rule asks for.

On a CPU a process holds, beside the interpreter and its libraries:

    sample        the weights while they are laid out anew, as they are stored and as they are used; later the cache of keys
                  and values, full, what a prefill computes, and some copies of a step's logits
    check_export  the same, with a prefill of a few sequences
    teacher       the weights, what one example computes, and some copies of a few positions' logits
    train         the weights, their gradients and two moments; what a backward pass keeps; copies of its logits
    practice      the same, a frozen base and a teacher beside it, and all of sample at once

vLLM on a CPU is given a fixed amount and twice the weights: its own memory was not measured.

On a GPU all of this lies in the GPU's memory. Main memory then holds CUDA's libraries and the weights on their way.
`benchmarks/job_memory.py` holds the CPU's figures against what jobs took; nobody has measured the GPU's.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.models.sizes import ModelSize, size_of
from selfdistill.study.study import Study
from selfdistill.study.training import Recipe

MIB = 2**20
SPARE = 1.25  # of what is reckoned
STARTED_BY = 400 * MIB  # the Snakemake that starts a job's program on a cluster, and counts with it
WIDTHS = {"float32": 4, "bfloat16": 2, "pure-bf16": 2}
SAMPLING_BASE, TEACHING_BASE, TRAINING_BASE = 360 * MIB, 520 * MIB, 680 * MIB  # interpreter and libraries
DRAWING_COPIES, TEACHING_COPIES, TRAINING_COPIES = 7, 6, 6  # of logits, in float32
CHECKED_TOGETHER = 8  # completions that the check of exports scores
LOGITS_TOGETHER = 2**26  # numbers that the teacher makes at once (training/objectives/soft.py)
GPU_BASE = 16_000 * MIB


@dataclass(frozen=True)
class Needs:
    """Megabytes of main memory that one process of each rule asks for."""

    sample: int
    check_export: int
    teacher: int
    train: int
    practice: int


# What was asked for whatever the model was: where nothing says how large it is.
UNKNOWN_ON_CPU = Needs(sample=2000, check_export=2000, teacher=3000, train=3000, practice=5000)
VLLM_ON_CPU = 2000 * MIB  # what a job with vLLM was given before its model counted, and never lacked
UNKNOWN_ON_GPU = Needs(sample=32000, check_export=32000, teacher=48000, train=48000, practice=64000)


def needs_of(study: Study) -> Needs:
    """Of a model that is known by its name alone, a CPU is asked for what it always was: a rehearsal bears a large name."""
    unknown = _by_device(study, UNKNOWN_ON_CPU, UNKNOWN_ON_GPU)
    try:
        size = size_of(Path(study.model.path), study.model.hub or "")
    except (UserError, OSError, LookupError, TypeError, ValueError, ArithmeticError):
        size = None  # a damaged folder: whatever needs it says what is wrong
    if size is None:
        return unknown
    sampling, context = study.sampling, study.model.context
    reckoned = Needs(
        sample=_megabytes(sampling_memory(size, sampling.batch, context, sampling.precision)),
        check_export=_megabytes(checking_memory(size, sampling.batch, context, sampling.precision)),
        teacher=_megabytes(teaching_memory(size, context)),
        train=_megabytes(max(training_memory(size, recipe, context) for recipe in _recipes(study))),
        practice=_megabytes(
            max(
                practising_memory(size, recipe, sampling.batch, context, sampling.precision)
                for recipe in _recipes(study)
            )
        ),
    )
    if sampling.engine == "vllm":
        by_vllm = _megabytes(VLLM_ON_CPU + 2 * size.stored_bytes)
        reckoned = replace(reckoned, sample=by_vllm, check_export=by_vllm)
    on_cpu = reckoned if (Path(study.model.path) / "config.json").is_file() else UNKNOWN_ON_CPU
    sampled, trained = _megabytes(GPU_BASE + 2 * size.stored_bytes), _megabytes(GPU_BASE + 8 * size.parameters)
    practised = _megabytes(GPU_BASE + 12 * size.parameters + 2 * size.stored_bytes)
    return _by_device(study, on_cpu, Needs(sampled, sampled, trained, trained, practised))


SERVED = 1000  # megabytes of a job that asks a server or a plugin


def judging_memory(study: Study) -> int:
    """Of a judge of ours, which may be another model than the study's, in a context of its own."""
    annotation = study.judging()
    if annotation is None or not annotation.judge.ours:
        return SERVED
    judge = annotation.judge
    about = {"path": judge.model, "hub": None, "context": judge.context or study.model.context}
    return needs_of(study.model_copy(update={"model": study.model.model_copy(update=about)})).sample


def _recipes(study: Study) -> list[Recipe]:
    return [study.recipe(name) for name, arm in study.arms.items() if not arm.resample] or [study.training]


def _by_device(study: Study, on_cpu: Needs, on_gpu: Needs) -> Needs:
    sampling = on_gpu if study.sampling.gpus else on_cpu
    training = on_gpu if study.training.gpus else on_cpu
    return Needs(sampling.sample, sampling.check_export, training.teacher, training.train, training.practice)


def _megabytes(memory: float) -> int:
    """Of a whole job, rounded up to whole hundreds."""
    return -int(-(memory + STARTED_BY) // (100 * MIB)) * 100


# On a CPU, in bytes


def sampling_memory(size: ModelSize, batch: int, context: int, precision: str) -> float:
    """The torch engine's. A prefill takes an eighth of the batch."""
    return _engine_memory(size, batch, max(1, batch // 8), context, precision)


def checking_memory(size: ModelSize, batch: int, context: int, precision: str) -> float:
    """The cache is made for the whole batch. The prompts that are prefilled are taken to be half a context long."""
    return _engine_memory(size, batch, min(batch, CHECKED_TOGETHER) // 2, context, precision)


def _engine_memory(size: ModelSize, rows: int, prefilled: int, context: int, precision: str) -> float:
    width = WIDTHS[precision]
    used = width * (size.parameters + size.largest)  # the embedding lies twice: by token, and as the head
    converted = width * size.parameters if round(size.stored_width) != width else 0
    loading = size.stored_bytes + converted + used
    cache = rows * context * size.layers * size.cached * width
    hidden = prefilled * context * (12 * size.hidden + 6 * size.inner) * width
    scores = 3 * prefilled * size.heads * context**2 * 4
    drawing = DRAWING_COPIES * rows * size.vocabulary * 4
    return SPARE * (SAMPLING_BASE + max(loading, used + cache + max(hidden + scores, drawing)))


def teaching_memory(size: ModelSize, context: int) -> float:
    logits = min(context * size.vocabulary, LOGITS_TOGETHER)
    computed = context * (6 * size.hidden + 3 * size.inner)
    return SPARE * (TEACHING_BASE + 4 * (size.parameters + computed + TEACHING_COPIES * logits))


def training_memory(size: ModelSize, recipe: Recipe, context: int) -> float:
    """Of adapters only the weights below them count: they are small."""
    width = WIDTHS[recipe.precision]
    state = width * size.parameters * (1 if recipe.lora else 4)
    tokens = recipe.micro_batch * context
    layers = size.layers if recipe.activations in ("auto", "keep", "offload") else 2
    kept = tokens * (12 * size.hidden + 4 * size.inner) * layers * width
    logits = TRAINING_COPIES * tokens * size.vocabulary * 4
    return SPARE * (TRAINING_BASE + size.stored_bytes + state + kept + logits)


def practising_memory(size: ModelSize, recipe: Recipe, batch: int, context: int, precision: str) -> float:
    """An engine and a trainer in one process, with a frozen base and a teacher that may move."""
    copies = 2 * WIDTHS["float32"] * size.parameters
    together = training_memory(size, recipe, context) + sampling_memory(size, batch, context, precision)
    return together + SPARE * (copies - SAMPLING_BASE)
