"""What is told of each key of a study file beside its sentence: the unit of a number, what runs again when it changes, and an
example where no study that is shipped has one. The page of all keys and the schema for editors are made of it.

`NAME` stands for a name of the study's own. A test holds what runs again against the requests and the identities of trainings.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from selfdistill.study.section import Section
from selfdistill.study.study import Study
from selfdistill.study.words import section_of_union

ANOTHER = "another study"
RESULTS = "all, elsewhere"
PROBLEMS = "problems"
SAMPLES = "samples"
TRAININGS = "trainings"
GRADES = "grades"
LADDER = "ladder"
PROBES = "probes"
READINGS = "readings"
JUDGEMENTS = "judgements"
ANALYSIS = "analysis"
REPORT = "report"
NOTHING = "nothing"
PLUGGED = "what uses it"

# In the order of the flow: each comes with what rests on it.
RUNS_AGAIN = {
    ANOTHER: "Nothing of one serves the other: such a change is refused in the same folder of results. Give the study another "
    "name, or say `--config replace=NAME`.",
    RESULTS: "Everything is made in the other folder. Move the old one there to keep what it holds.",
    PROBLEMS: "Problems are put together anew. Only those are sampled that were not asked before, and a training runs anew if "
    "its examples changed.",
    SAMPLES: "Samples of the models that it concerns, so far as no journal holds them; trainings whose examples changed; their "
    "answers; the analysis.",
    TRAININGS: "Trainings of the arms that it concerns, the answers of their checkpoints, the analysis. No training sample is "
    "drawn anew.",
    GRADES: "Answers are graded again, in minutes, and the analysis is made again. A training runs anew only if its examples "
    "changed.",
    LADDER: "Answers on the ladder, so far as no journal holds them, and the ladder's tables.",
    PROBES: "Probes, gradients or short trainings of the mechanism, and its tables.",
    READINGS: "Texts are read again, and the tables of disagreement are made.",
    JUDGEMENTS: "Questions to the judge, so far as no journal holds the reply.",
    ANALYSIS: "Tables of the analysis, in minutes, and the report.",
    REPORT: "The report.",
    PLUGGED: "What uses a file that changed: a loader's problems, a filter's trainings, an analysis. A journal that another "
    "version of an engine began is refused. A file that is added runs nothing again but what names it.",
    NOTHING: "The report, which shows the file. Jobs may be listed and find all they need; the key says how work is done, and "
    "changes no result.",
}

# By key, or by the section that it stands in; the longer one counts.
AGAIN = {
    "study": ANOTHER,
    "results": RESULTS,
    "seed": ANOTHER,
    "plugins": PLUGGED,
    "model.path": ANOTHER,
    "model.hub": ANOTHER,
    "model.revision": ANOTHER,
    "model.context": TRAININGS,
    "model.trust_remote_code": NOTHING,
    "model.chat": SAMPLES,
    "model.thinks": GRADES,
    "problems": PROBLEMS,
    "problems.prompt": SAMPLES,
    "problems.examples": SAMPLES,
    "problems.reference": TRAININGS,
    "problems.sources": ANOTHER,
    "decodes": SAMPLES,
    "sampling": NOTHING,
    "sampling.precision": SAMPLES,
    "sampling.abort_loops": SAMPLES,
    "grading": GRADES,
    "training": TRAININGS,
    "training.samples": SAMPLES,
    "training.draws": SAMPLES,
    "training.save_every": NOTHING,
    "training.trackers": NOTHING,
    "training.slow_kernels": NOTHING,
    "contexts": SAMPLES,
    "arms": SAMPLES,
    "arms.NAME.samples": TRAININGS,
    "arms.NAME.keep": TRAININGS,
    "arms.NAME.length_like": TRAININGS,
    "arms.NAME.targets": TRAININGS,
    "arms.NAME.training": TRAININGS,
    "arms.NAME.practice": TRAININGS,
    "arms.NAME.replays": TRAININGS,
    "arms.NAME.seeds": TRAININGS,
    "arms.NAME.unequal_budget": ANALYSIS,
    "evaluation": SAMPLES,
    "evaluation.mixtures": ANALYSIS,
    "evaluation.pass_at": ANALYSIS,
    "evaluation.audit": ANALYSIS,
    "evaluation.resamples": ANALYSIS,
    "hypotheses": ANALYSIS,
    "reported": REPORT,
    "doubt": ANALYSIS,
    "ladder": LADDER,
    "mechanism": PROBES,
    "mechanism.temperatures": ANALYSIS,
    "mechanism.classes.least": ANALYSIS,
    "practice": TRAININGS,
    "practice.turns": NOTHING,
    "disagreement": READINGS,
    "disagreement.shown": ANALYSIS,
    "annotation": JUDGEMENTS,
    "annotation.judge.key_from": NOTHING,
    "annotation.judge.parallel": NOTHING,
    "annotation.judge.seconds": NOTHING,
    "annotation.judge.tries": NOTHING,
}

TOKENS, SHARE, PROBABILITY = "tokens", "share, 0 to 1", "probability"

UNITS = {
    "seed": "number",
    "model.context": TOKENS,
    "problems.contamination.ngram": "words",
    "problems.contamination.overlap": SHARE,
    "problems.contamination.jaccard": SHARE,
    "problems.contamination.jaccard_same_answer": SHARE,
    "problems.dev_share": SHARE,
    "decodes.NAME.temperature": "temperature",
    "decodes.NAME.top_k": TOKENS,
    "decodes.NAME.top_p": PROBABILITY,
    "decodes.NAME.min_p": SHARE,
    "decodes.NAME.presence_penalty": "logits",
    "decodes.NAME.max_tokens": TOKENS,
    "sampling.abort_loops.max_period": TOKENS,
    "sampling.abort_loops.min_repeats": "times",
    "sampling.batch": "sequences",
    "sampling.shards_base": "shards",
    "sampling.shards_checkpoint": "shards",
    "sampling.gpus": "GPUs",
    "sampling.export_limit": "nats",
    "grading.loops.max_period": TOKENS,
    "grading.loops.min_repeats": "times",
    "grading.loops.min_tokens": TOKENS,
    "grading.seconds_per_answer": "seconds",
    "training.batch": "sequences",
    "training.micro_batch": "sequences",
    "training.epochs": "passes",
    "training.max_steps": "steps",
    "training.lr": "step size",
    "training.lr_floor": "step size",
    "training.warmup_steps": "steps",
    "training.warmup_share": SHARE,
    "training.beta1": SHARE,
    "training.beta2": SHARE,
    "training.weight_decay": "per step and step size",
    "training.max_grad_norm": "norm",
    "training.lora.rank": "rank",
    "training.lora.alpha": "number",
    "training.measure_every": "steps",
    "training.save_every": "steps",
    "training.checkpoints": "% of training",
    "training.samples": "problems",
    "training.examples": "examples",
    "training.draws": "samples per problem",
    "training.gpus": "GPUs",
    "training.nodes": "nodes",
    "training.processes": "processes",
    "arms.NAME.seeds": "seeds",
    "evaluation.budgets": "problems",
    "evaluation.mixtures": "problems",
    "evaluation.looks": "problems",
    "evaluation.draws": "answers per problem",
    "evaluation.draws.base": "answers per problem",
    "evaluation.draws.arms": "answers per problem",
    "evaluation.mixture_draws": "answers per problem",
    "evaluation.pass_at": "answers per problem",
    "evaluation.audit.rows": "answers",
    "evaluation.resamples": "times",
    "hypotheses.NAME.margin": "the outcome's: a share, or tokens",
    "reported.NAME.difference": "share, -1 to 1",
    "ladder.draws": "answers per problem",
    "ladder.problems": "problems",
    "ladder.solved": SHARE,
    "ladder.pool": "problems",
    "mechanism.carriers": "texts",
    "mechanism.positions.regular": "positions per text",
    "mechanism.positions.random": "positions per text",
    "mechanism.positions.heuristic": "positions per text",
    "mechanism.strips": "texts",
    "mechanism.top": TOKENS,
    "mechanism.temperatures": "temperature",
    "mechanism.classes.lock_top": PROBABILITY,
    "mechanism.classes.fork_top": PROBABILITY,
    "mechanism.classes.fork_second": PROBABILITY,
    "mechanism.classes.fork_tail": PROBABILITY,
    "mechanism.classes.diffuse_tail": PROBABILITY,
    "mechanism.classes.least": "positions",
    "mechanism.depth.distance": "bits",
    "mechanism.noise.sequences": "sequences",
    "mechanism.noise.checkpoints": "% of training",
    "mechanism.noise.sketch": "numbers",
    "mechanism.branches.batches": "examples",
    "mechanism.branches.examples": "examples",
    "mechanism.branches.held_out": "examples",
    "mechanism.branches.seeds": "seeds",
    "practice.generations": "rounds",
    "practice.questions": "questions",
    "practice.rollouts": "answers per question",
    "practice.updates": "steps per round",
    "practice.coverage": "problems",
    "practice.clip": "ratio, from 1",
    "practice.dual_clip": "ratio",
    "practice.is_clip": "ratio",
    "practice.ratio_clip": "ratio",
    "practice.teacher.ema": SHARE,
    "practice.support": TOKENS,
    "practice.token_clip": "nats",
    "practice.prefix": TOKENS,
    "disagreement.texts": "texts",
    "disagreement.top": TOKENS,
    "disagreement.shown": "tokens, and words",
    "annotation.judge.parallel": "questions",
    "annotation.judge.seconds": "seconds",
    "annotation.judge.tries": "times",
    "annotation.judge.context": TOKENS,
    "annotation.answers": "answers per model",
    "annotation.longest": TOKENS,
    "annotation.passes": "times",
    "annotation.temperature": "temperature",
    "annotation.max_tokens": TOKENS,
}

# Where no study that is shipped has the key, or says something else than the default.
EXAMPLES: dict[str, Any] = {
    "plugins": ["plugins/my_loader.py", "plugins/more"],
    "model.revision": "0123456789abcdef0123456789abcdef01234567",
    "problems.sources.NAME.revision": "0123456789abcdef0123456789abcdef01234567",
    "model.trust_remote_code": "OlmoHybridForCausalLM",
    "problems.examples": "mine/solved.jsonl",
    "problems.sources.NAME.hub": "openai/gsm8k",
    "problems.contamination.ngram": 10,
    "problems.contamination.overlap": 0.7,
    "problems.contamination.jaccard": 0.7,
    "problems.contamination.jaccard_same_answer": 0.5,
    "sampling.abort_loops.max_period": 64,
    "sampling.abort_loops.min_repeats": 32,
    "sampling.export_limit": 0.01,
    "grading.answer": "line",
    "grading.loops.min_repeats": 3,
    "grading.loops.counters": True,
    "grading.seconds_per_answer": 30.0,
    "training.max_steps": 500,
    "training.beta1": 0.95,
    "training.max_grad_norm": 0.5,
    "training.collation": "padding-free",
    "training.precision": "pure-bf16",
    "training.schedule": "linear",
    "training.warmup_share": 0.03,
    "training.lora.rank": 16,
    "training.lora.alpha": 32,
    "training.lora.modules": ["q_proj", "v_proj"],
    "training.compile": True,
    "training.trackers": ["tensorboard"],
    "training.nodes": 2,
    "training.slow_kernels": True,
    "training.processes": 2,
    "contexts.NAME.thinking": False,
    "contexts.NAME.chat": {"reasoning_effort": "low"},
    "contexts.NAME.template": "mine/chat.jinja",
    "arms.NAME.method": "grpo",
    "arms.NAME.practice": {"rollouts": 4},
    "arms.NAME.replays": "grpo",
    "arms.NAME.unequal_budget": True,
    "evaluation.looks": [400, 800, "all"],
    "evaluation.audit.rows": 400,
    "evaluation.audit.filled": "mine/sheet.csv",
    "hypotheses.NAME.question": "not_worse",
    "doubt.markers": ["wait", "hmm", "hold on"],
    "doubt.patterns": {"not-sure": "not (so |quite )?sure"},
    "ladder.arms": ["guided"],
    "ladder.information": False,
    "mechanism.top": 512,
    "mechanism.temperatures": [0.5, 1.0, 1.5],
    "mechanism.doubt": ["wait", "hmm"],
    "mechanism.depth.distance": 0.25,
    "mechanism.classes.lock_top": 0.98,
    "mechanism.classes.fork_top": 0.9,
    "mechanism.classes.fork_second": 0.1,
    "mechanism.classes.fork_tail": 0.05,
    "mechanism.classes.diffuse_tail": 0.3,
    "mechanism.classes.least": 50,
    "practice.decode": "plain",
    "practice.generations": 40,
    "practice.questions": 64,
    "practice.rollouts": 4,
    "practice.updates": 1,
    "practice.coverage": 100,
    "practice.clip": [0.2, 0.2],
    "practice.dual_clip": 10.0,
    "practice.scale_rewards": "group",
    "practice.is_clip": 5.0,
    "practice.ratio_clip": 3.0,
    "practice.teacher": {"ema": 0.05},
    "practice.teacher.ema": 0.05,
    "practice.divergence": "reverse",
    "practice.support": 20,
    "practice.tail": False,
    "practice.token_clip": 0.05,
    "practice.prefix": 1024,
    "practice.base_kl": False,
    "practice.turns": "apart",
    "disagreement.shown": 40,
    "annotation.judge.server": "https://host/v1",
    "annotation.judge.key_from": "MY_JUDGE_KEY",
    "annotation.judge.cap": "max_completion_tokens",
    "annotation.judge.parallel": 16,
    "annotation.judge.seconds": 300.0,
    "annotation.judge.tries": 3,
    "annotation.judge.context": 32768,
    "annotation.judge.chat": {"enable_thinking": False},
    "annotation.arms": ["ssd"],
    "annotation.longest": 12000,
    "annotation.passes": 3,
    "annotation.temperature": 1.0,
}


def runs_again(key: str) -> str:
    """What runs again when this key changes: `training.lr` → trainings."""
    above = key.split(".")
    while above and ".".join(above) not in AGAIN:
        above.pop()
    return AGAIN[".".join(above)]


class Key(NamedTuple):
    """A key of a study file: `decodes.NAME.top_p`, and the field of the section that it stands in."""

    path: str
    section: type[Section]
    field: FieldInfo

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def inner(self) -> type[Section] | None:
        """The section that stands at it, alone, under names, or where the key is given at all."""
        annotation = self.field.annotation
        parts = (part for part in (annotation, *get_args(annotation)) if isinstance(part, type))
        return next((part for part in parts if issubclass(part, Section)), None)

    @property
    def of_names(self) -> bool:
        return get_origin(self.field.annotation) is dict

    @property
    def holds_a_value(self) -> bool:
        """Whether something but a section may stand at it."""
        return self.inner is None or section_of_union(self.field.annotation) is not None

    @property
    def may_be_left_out_whole(self) -> bool:
        return self.inner is not None and not self.field.is_required() and self.field.default is None


def all_keys(section: type[Section] = Study, before: str = "") -> Iterator[Key]:
    """Every key, sections and their keys in the order of the file."""
    for name, field in section.model_fields.items():
        key = Key(before + name, section, field)
        yield key
        if key.inner is not None:
            yield from all_keys(key.inner, f"{key.path}.NAME." if key.of_names else f"{key.path}.")
