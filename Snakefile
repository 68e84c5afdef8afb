# Forklock: from raw problems to a verdict on self-distillation. Read the rules in the order of the includes.
from snakemake.utils import min_version

min_version("9.27")


include: "rules/study.smk"
include: "rules/common.smk"


pathvars:
    results=RESULTS,
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


wildcard_constraints:
    model="|".join([*EVALUATED, *SAMPLES, *LADDER]),
    arm="|".join(TRAINED),
    seed=r"\d+",
    shard=r"\d+",
    source=r"[a-z][a-z0-9-]*",


include: "rules/problems.smk"
include: "rules/contexts.smk"
include: "rules/completions.smk"
include: "rules/training.smk"


if PRACTISING:

    include: "rules/practice.smk"


include: "rules/analysis.smk"


if PRACTISING:

    include: "rules/practice_analysis.smk"


if STUDY.ladder:

    include: "rules/ladder.smk"


if MECHANISM:

    include: "rules/mechanism.smk"


if STUDY.disagreement:

    include: "rules/disagreement.smk"


if STUDY.annotation:

    include: "rules/annotation.smk"


if PLUGGED_ANALYSES:

    include: "rules/plugins.smk"


include: "rules/report.smk"


onstart:
    refuse_unwritable(RESULTS)
    refuse_blind_slurm()
    refuse_few_gpus()
    refuse_judge_without_key()


rule all:
    default_target: True
    input:
        "<results>/report.html",
    localrule: True
