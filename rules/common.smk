# Functions and names that the rules share; no rule stands here.
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from selfdistill.machine.job_status import refuse_blind_status
from selfdistill.study.loaders import file_of
from selfdistill.study.looks import asked_sizes
from selfdistill.study.models import evaluated, runs, sources_of_samples
from selfdistill.study.models import judged, reading_contexts, readers
from selfdistill.study.models import with_what_they_are_shown
from selfdistill.study.models import noise_probed, probed, trained_arms, writers
from selfdistill.study.models import reference_arms, sampled_arms
from selfdistill.study.models import answers_learnt, arms_with_dataset, learns_of
from selfdistill.study.models import practising_arms, teacher_of
from selfdistill.study.practice import deciding
from selfdistill.study.models import asked_in_context, context_asked, shown_to
from selfdistill.study.ladder_models import SOURCE, climbers, contexts_of_rungs
from selfdistill.study.ladder_models import ladder_models, rungs_asked, rungs_of
from selfdistill.study.ladder_models import source_of_climber
from selfdistill.study.models import correct_arms, partners, source_of, thinks
from selfdistill.foundation.closure import modules_used_by
from selfdistill.foundation.errors import UserError
from selfdistill.study.plugins import listed_plugins
from selfdistill.study.names import context_of, parse_model_id
from selfdistill.models.digests import model_files, tokenizer_files
from selfdistill.annotation.server import key_of
from selfdistill.planning.memory import judging_memory, needs_of
from selfdistill.planning.resumed import JOB_HOURS, RETRIES
from selfdistill.models.lineage import is_checkpoint
from selfdistill.problems.wording import answer_sentence, wording_of
from selfdistill.models.origin import ORIGIN as ORIGIN_RECORD
from selfdistill.sampling.asked import asked_of, noises_shared
from selfdistill.training.asked import settings_of, settings_of_practice

TRAINED = trained_arms(STUDY)
# Of them, those that learn from the base's own samples, and those that learn from the dataset's solutions.
FROM_SAMPLES = list(sampled_arms(STUDY))
# Of those from samples, those that learn right answers alone, and which of them learn such to the same problems.
CORRECT = list(correct_arms(STUDY))
ALIKE = [
    list(arms) for arms in dict.fromkeys(tuple(partners(STUDY, arm)) for arm in CORRECT)
]
FROM_REFERENCES = list(reference_arms(STUDY))
# Those that learn what was chosen for them, and those that learn from answers that they give while they train.
WITH_DATASET = list(arms_with_dataset(STUDY))
PRACTISING = list(practising_arms(STUDY))
TAUGHT = [name for name in WITH_DATASET if TRAINED[name].targets == "soft"]
UNEQUAL = [name for name, arm in TRAINED.items() if arm.unequal_budget]
RUNS = runs(STUDY)
PRACTICES = [run for run in RUNS if run.split("/")[0] in PRACTISING]
BETA1 = {run: STUDY.recipe(run.split("/")[0]).beta1 for run in RUNS}
CHECKPOINTS = [f"at-{percent:03d}" for percent in STUDY.training.checkpoints]
# The base's files; of a model from the hub, which may not be there yet, what says which it is. What is not of the study's
# making is local: it is read where it lies, even where a storage provider keeps the results (docs/moving.md).
BASE_FILES = (
    ["<results>/hub/model.json"]
    if STUDY.model.hub
    else local([str(file) for file in model_files(Path(STUDY.model.path))])
)
TOKENIZER_FILES = (
    BASE_FILES
    if STUDY.model.hub
    else local([str(file) for file in tokenizer_files(Path(STUDY.model.path))])
)
# Where the base is a checkpoint of another study, what it was made from belongs to what is told of this one.
LINEAGE = ["<results>/lineage.json"] if is_checkpoint(Path(STUDY.model.path)) else []
# What tells where the weights come from, where they are not as the model's makers publish them.
ORIGIN = (
    BASE_FILES
    if STUDY.model.hub
    else local([str(file) for file in Path(STUDY.model.path).glob(ORIGIN_RECORD)])
)
# The user's own analyses, each by what it is; and all plugins for the report. Nothing where the study names none.
PLUGGED_ANALYSES = STUDY.references("analysis")
PLUGINS = listed_plugins(STUDY.plugins)
# Every source as JSON Lines: a file of the user's, or what a loader makes of a public dataset.
SOURCES = {
    name: (
        {
            "path": f"{RESULTS}/problems/sources/{name}.jsonl",
            "use": source.use,
            "loader": source.loader,
        }
        if source.loader
        else {"path": source.path, "use": source.use}
    )
    for name, source in STUDY.problems.sources.items()
}
TRAINING_SOURCES = {
    name: source for name, source in SOURCES.items() if source["use"] == "train"
}
# What every prompt shows the model first; none unless the study names some.
EXAMPLES = [STUDY.problems.examples] if STUDY.problems.examples else []
LOADED = [name for name, source in SOURCES.items() if "loader" in source]
SAMPLES = sources_of_samples(STUDY)
# Of them, those that are told something beside the problem.
IN_CONTEXT = asked_in_context(STUDY)
# Switches of the chat template that contexts set, where it is the model's own.
SWITCHES = {
    name: context.switches
    for name, context in STUDY.contexts.items()
    if context.switches and context.template is None
}
# What is sampled for the ladder: by its name which model is asked, and under which context; nothing where there is none.
LADDER = ladder_models(STUDY)
TOLD_ON_LADDER = [name for name, rung in LADDER.items() if rung.context]
EVALUATED = evaluated(STUDY)
# The section of probes, whose texts are probed, and which models are asked; nothing where the study has none.
MECHANISM = STUDY.mechanism
WRITERS, PROBED = writers(STUDY), probed(STUDY)
# Whose answers a language model judges; nothing where the study has no judge.
JUDGED = judged(STUDY)
# What each model is asked at each decode at the present look; empty where the study has no looks.
LOOK_SIZES = asked_sizes(STUDY, LOOKS)
# The base, its A/A twins and what finished training made.
FINISHED = [model for model in EVALUATED if parse_model_id(model).percent in (0, 100)]
# A training on several nodes has equally many GPUs on each; mpi keeps Snakemake from making one task of it.
SEVERAL_NODES = {
    "nodes": STUDY.training.nodes,
    "tasks": STUDY.training.nodes,
    "tasks_per_gpu": 0,
    "mpi": "srun",
}
if STUDY.training.gpus:
    SEVERAL_NODES["slurm_extra"] = f"--gpus-per-node={STUDY.training.gpus}"
# A large model's weights take a while to read for their digest, which is no work for a login node.
SMALL_MODEL = not STUDY.sampling.gpus
# Main memory of one process of each rule that holds the model, from the model's size, the batch and the context.
MEMORY = needs_of(STUDY)
# The CUDA build of torch and what runs on it are gigabytes that only a GPU needs.
SAMPLING_ENVIRONMENT = (
    "../envs/sampling-vllm.yaml"
    if STUDY.sampling.gpus or STUDY.sampling.engine == "vllm"
    else "../envs/sampling.yaml"
)
TRAINING_ENVIRONMENT = (
    "../envs/training-gpu.yaml" if STUDY.training.gpus else "../envs/training.yaml"
)
SLOW_KERNELS = "--slow-kernels" if STUDY.training.slow_kernels else ""
# What decides how an engine reads a model.
ENGINE = {
    "engine": STUDY.reference("engine", STUDY.sampling.engine),
    "dtype": STUDY.sampling.precision,
    "context": STUDY.model.context,
    "trust_remote_code": STUDY.model.trust_remote_code,
}

# Rules without an environment of their own run with the Python that runs Snakemake.
if not workflow.deployment_settings.deployment_method:
    shell.prefix(f'export PATH="{Path(sys.executable).parent}:$PATH"; ')


def library(script, *more):
    """What a rule's script rests on, as inputs: a cheap rule runs again when the code that made its result changes."""
    return local(
        [
            str(file.relative_to(workflow.basedir))
            for file in modules_used_by(script, *more)
        ]
    )


def loader_of(source):
    """A source's loader: its name, or where a plugin gives it and what that is."""
    return STUDY.reference("loader", STUDY.problems.sources[source].loader)


def plugged_keep(arm):
    """What an arm keeps, in the same way, beside what else decides its dataset."""
    keep = STUDY.arms[arm].keep
    return {"keep": STUDY.reference("filter", keep)} if keep else {}


def climber_of(name):
    """The model that is asked under this name: on the ladder one has several."""
    return LADDER[name].climber if name in LADDER else name


def on_rungs(climbers):
    """The names under which these models are sampled on their rungs, one model after the other."""
    return [name for climber in climbers for name in rungs_of(STUDY, climber)]


def weights_of(wildcards):
    """The files or the folder that a model's samples depend on."""
    arm, seed, percent = parse_model_id(climber_of(wildcards.model))
    return (
        BASE_FILES
        if seed is None
        else f"<results>/runs/{arm}/seed-{seed}/at-{percent:03d}"
    )


def probed_for_noise(wildcards):
    """The files or the folder of the checkpoint whose gradients are taken."""
    arm, seed, percent = (
        wildcards.arm,
        STUDY.arms[wildcards.arm].seeds[0],
        int(wildcards.percent),
    )
    return (
        f"<results>/runs/{arm}/seed-{seed}/at-{percent:03d}" if percent else BASE_FILES
    )


def folder_of(wildcards, input):
    """The folder of a model, for a command line: an exported checkpoint's lies where the storage of results puts it."""
    _, seed, _ = parse_model_id(climber_of(wildcards.model))
    return STUDY.model.path if seed is None else input.weights


def check_of(wildcards):
    """For a checkpoint, the check that the sampling engine reads it as the trainer does; nothing for the base."""
    arm, seed, percent = parse_model_id(climber_of(wildcards.model))
    return [] if seed is None else f"<results>/runs/{arm}/seed-{seed}/export_check.json"


def samples_of_partners(wildcards):
    """Whose samples the arms learn that learn right answers to the same problems as this one."""
    arms = partners(STUDY, wildcards.arm)
    return list(dict.fromkeys(source_of(STUDY, arm) for arm in arms))


def problems_in_context(wildcards):
    """The problems that are asked under a context."""
    if wildcards.model in LADDER:
        return "<results>/ladder/chosen.parquet"
    return "<results>/problems/train.parquet"


def told_sources(wildcards):
    """The sources of the problems that are asked under a context."""
    wanted = STUDY.ladder.use if wildcards.model in LADDER else "train"
    return {name: source for name, source in SOURCES.items() if source["use"] == wanted}


def samples_shown(wildcards):
    """The graded samples of which a context shows one; none where its solutions are not a model's."""
    shown = shown_to(STUDY, wildcards.model)
    return [f"<results>/models/{shown}/graded.parquet"] if shown else []


def sources_told_of(wildcards):
    """What the problems' own solutions, and other texts beside them, are read from, where a context tells them."""
    told = context_asked(STUDY, wildcards.model).solution in ("dataset", "column")
    return [
        source["path"] if "loader" in source else local(source["path"])
        for source in told_sources(wildcards).values()
        if told
    ]


def room_in_context(wildcards):
    """What a prompt under a context must leave room for: the completion of its decode."""
    [(name, decode)] = asked_of(STUDY, wildcards.model).decodes.items()
    return {
        "context": STUDY.model.context,
        "max_tokens": decode.max_tokens,
        "decode": name,
    }


def shards_of(wildcards):
    """The sealed shards of a model: how many is fixed, so that the graph is static."""
    shards = range(asked_of(STUDY, wildcards.model, LOOK_SIZES).shards)
    return [
        f"<results>/models/{wildcards.model}/shard-{shard}.parquet" for shard in shards
    ]


def one_of(names):
    """A constraint of a wildcard to these names; without any, to what no name is."""
    return "|".join(names) or "(?!)"


def of_models(pattern, models=EVALUATED):
    return [pattern.replace("MODEL", model) for model in models]


def of_runs(pattern):
    return [pattern.replace("RUN", run) for run in RUNS]


def dumped(sections):
    """A mapping of sections as plain data, for params."""
    return {name: section.model_dump() for name, section in sections.items()}


def to_json(settings):
    """Settings as one sorted text: what a program is given on its command line, and what Snakemake tracks."""
    return json.dumps(settings, sort_keys=True)


def later(minutes):
    """Run time that doubles on a retry."""
    return lambda wildcards, attempt: minutes * 2 ** (attempt - 1)


def larger(megabytes):
    """Memory that doubles on a retry."""
    return lambda wildcards, attempt: megabytes * 2 ** (attempt - 1)


def on_every_node(wildcards, threads):
    """What starts a program once on each node of its job."""
    processes = STUDY.training.processes_per_node
    if STUDY.training.nodes == 1:
        return ""
    nodes = STUDY.training.nodes
    return (
        f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1"
        f" --cpus-per-task={processes} --kill-on-bad-exit=1"
    )


def refuse_unwritable(folder):
    """Before the first job of a real run: better one sentence than a failure of every job."""
    standing = next(
        parent
        for parent in (Path(folder), *Path(folder).absolute().parents)
        if parent.exists()
    )
    if not os.access(standing, os.W_OK):
        raise WorkflowError(
            f"{standing}: cannot be written to; make it writable or mount it so."
        )


def refuse_blind_slurm():
    """Before the first job of a real run on Slurm: could its end be seen?"""
    plugin = workflow.executor_plugin
    if plugin is None or plugin.name != "slurm":
        return
    try:
        refuse_blind_status(workflow.executor_settings.status_command)
    except UserError as error:
        raise WorkflowError(str(error))


def refuse_few_gpus():
    """Before the first job: what one job asks for beyond the GPUs of all jobs, Snakemake would cut without a word."""
    allowed = workflow.global_resources.get("gpu")
    allowed = getattr(allowed, "value", allowed)
    wanted = max(STUDY.training.gpus * STUDY.training.nodes, STUDY.sampling.gpus)
    if allowed is not None and allowed < wanted:
        raise WorkflowError(
            f"resources: gpu={allowed} is for all jobs together, and one job of this study asks for {wanted}; "
            f"raise it in the profile or by --resources gpu={wanted}."
        )


def refuse_judge_without_key():
    """Before the first job of a real run that asks the judge: one that would answer nothing is better known now."""
    if not any(job.rule.name == "judge" for job in workflow.dag.needrun_jobs()):
        return
    try:
        key_of(STUDY.annotation.judge)
    except UserError as error:
        raise WorkflowError(str(error))
