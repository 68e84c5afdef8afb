# Needs: graded answers of the base, its A/A twins and finished training; their weights. Only with the section `mechanism`.
# Makes: <results>/mechanism/{carriers,plan}.parquet, and <results>/mechanism/{probes,depths}/{model}.parquet, whose
#        parts are undeclared until all are there
#        <results>/analysis/{token_classes,mechanism,ssd_fit,curves,depth,strips}.parquet


rule carriers:
    """Says which texts are probed, the same for all models, and at which positions."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", WRITERS),
        tokenizer=TOKENIZER_FILES,
        library=library("carriers.py"),
    output:
        carriers="<results>/mechanism/carriers.parquet",
        plan="<results>/mechanism/plan.parquet",
    log:
        "<logs>/carriers.log",
    benchmark:
        "<benchmarks>/carriers.tsv"
    localrule: True
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(30),
    params:
        asked={
            "mechanism": MECHANISM.model_dump(
                include={"carriers", "decode", "positions", "strips", "doubt"}
            ),
            "context": STUDY.model.context,
            "seed": STUDY.seed,
        },
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/carriers.py"


DEPTHS = (
    {"depths": "<results>/mechanism/depths/{model}.parquet"} if MECHANISM.depth else {}
)


rule probe:
    """Asks a model for its next-token laws at every position of the plan, and how deep in it they settle."""
    input:
        carriers="<results>/mechanism/carriers.parquet",
        plan="<results>/mechanism/plan.parquet",
        weights=weights_of,
        checked=check_of,
    output:
        **DEPTHS,
        laws="<results>/mechanism/probes/{model}.parquet",
    log:
        "<logs>/probe/{model}.log",
    benchmark:
        "<benchmarks>/probe/{model}.tsv"
    wildcard_constraints:
        model=one_of(PROBED),
    conda:
        SAMPLING_ENVIRONMENT
    threads: 4 if STUDY.sampling.gpus else 1
    resources:
        mem_mb=larger(MEMORY.sample),
        # A retry goes on where the job before it stopped.
        runtime=240,
        gpu=STUDY.sampling.gpus,
    params:
        settings=to_json(ENGINE | {"top": MECHANISM.top}),
        distance=MECHANISM.depth.distance if MECHANISM.depth else 0,
        folder=folder_of,
        # A param made with threads is not tracked.
        work=lambda wildcards, threads: f"{WORK}/mechanism/work/{wildcards.model}",
        gpus=lambda wildcards, threads: STUDY.sampling.gpus,
        depths=lambda wildcards, threads, output: output.get("depths", ""),
    shell:
        """
        python workflow_scripts/probe.py \
            --carriers {input.carriers:q} \
            --plan {input.plan:q} \
            --model {params.folder:q} \
            --model-id {wildcards.model:q} \
            --work {params.work:q} \
            --output {output.laws:q} \
            --depths {params.depths:q} \
            --distance {params.distance} \
            --settings {params.settings:q} \
            --gpus {params.gpus} \
            --threads {threads} 2>{log:q}
        """


rule token_classes:
    """Sorts the probed positions into locks, forks, diffuse and mixed ones, by the base alone."""
    input:
        carriers="<results>/mechanism/carriers.parquet",
        plan="<results>/mechanism/plan.parquet",
        base="<results>/mechanism/probes/base.parquet",
        library=library("token_classes.py"),
    output:
        "<results>/analysis/token_classes.parquet",
    log:
        "<logs>/token_classes.log",
    benchmark:
        "<benchmarks>/token_classes.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(30),
    params:
        asked={
            "classes": MECHANISM.classes.model_dump(),
            "decode": STUDY.decodes[MECHANISM.decode].model_dump(),
        },
    script:
        "../workflow_scripts/token_classes.py"


rule mechanism:
    """How training moved next-token laws, how far to the target of self-distillation, and how much elsewhere."""
    input:
        classes="<results>/analysis/token_classes.parquet",
        probes=of_models("<results>/mechanism/probes/MODEL.parquet", PROBED),
        tokenizer=TOKENIZER_FILES,
        library=library("mechanism.py"),
    output:
        mechanism="<results>/analysis/mechanism.parquet",
        ssd_fit="<results>/analysis/ssd_fit.parquet",
        curves="<results>/analysis/curves.parquet",
    log:
        "<logs>/mechanism.log",
    benchmark:
        "<benchmarks>/mechanism.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(60),
    params:
        asked={
            "mechanism": MECHANISM.model_dump(
                include={"decode", "temperatures", "doubt", "classes"}
            ),
            "models": PROBED,
            "decodes": dumped(STUDY.decodes),
            "arms": dumped(STUDY.arms),
            "evaluated": STUDY.evaluation.decodes.final,
        },
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/mechanism.py"


if MECHANISM.depth:

    rule depth:
        """Whether the depth of a thought goes with the class of its token."""
        input:
            classes="<results>/analysis/token_classes.parquet",
            depths=of_models("<results>/mechanism/depths/MODEL.parquet", PROBED),
            library=library("depth.py"),
        output:
            "<results>/analysis/depth.parquet",
        log:
            "<logs>/depth.log",
        benchmark:
            "<benchmarks>/depth.tsv"
        localrule: True
        conda:
            "../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=larger(2000),
            runtime=later(30),
        params:
            asked={"least": MECHANISM.classes.least},
        script:
            "../workflow_scripts/depth.py"


rule strips:
    """Shows a few carriers token by token, with what the base and a trained model would have said in each place."""
    input:
        carriers="<results>/mechanism/carriers.parquet",
        classes="<results>/analysis/token_classes.parquet",
        probes=of_models("<results>/mechanism/probes/MODEL.parquet", PROBED),
        tokenizer=TOKENIZER_FILES,
        library=library("strips.py"),
    output:
        "<results>/analysis/strips.parquet",
    log:
        "<logs>/strips.log",
    benchmark:
        "<benchmarks>/strips.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(30),
    params:
        models=PROBED,
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/strips.py"


# Gradients at frozen checkpoints: of each arm at the base and at checkpoints of its first training.
NOISE_PROBED = noise_probed(STUDY)
# Of these no sample is left over that their training might have learnt: it learns one of each problem that it shares with
# others, or what was told more than the prompt says.
NOT_LEFT_OVER = [
    arm
    for arm in FROM_SAMPLES
    if arm in CORRECT or TRAINED[arm].context or STUDY.training.draws > 1
]


rule gradients:
    """Takes the gradient of each of an arm's examples at a frozen checkpoint, by class of token."""
    input:
        dataset="<results>/arms/{arm}/dataset.parquet",
        graded=lambda wildcards: (
            f"<results>/models/samples-{TRAINED[wildcards.arm].decode}/graded.parquet"
            if wildcards.arm in FROM_SAMPLES and wildcards.arm not in NOT_LEFT_OVER
            else []
        ),
        base=BASE_FILES,
        weights=probed_for_noise,
    output:
        "<results>/mechanism/gradients/{arm}/at-{percent}.parquet",
    log:
        "<logs>/gradients/{arm}/at-{percent}.log",
    benchmark:
        "<benchmarks>/gradients/{arm}/at-{percent}.tsv"
    wildcard_constraints:
        percent=r"\d{3}",
    conda:
        TRAINING_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=larger(MEMORY.train),
        # A retry goes on where the job before it stopped.
        runtime=720,
        gpu=min(1, STUDY.training.gpus),
    params:
        settings=to_json(
            {
                "decode": STUDY.decodes[MECHANISM.decode].model_dump(),
                "classes": MECHANISM.classes.model_dump(exclude={"least"}),
                "sketch": MECHANISM.noise.sketch if MECHANISM.noise else 0,
                "seed": STUDY.seed,
                "context": STUDY.model.context,
                "device": "cuda" if STUDY.training.gpus else "cpu",
            }
        ),
        sequences=MECHANISM.noise.sequences if MECHANISM.noise else 0,
        keep=lambda wildcards: plugged_keep(wildcards.arm).get("keep", "everything"),
        # Where a model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
        checkpoint=lambda wildcards, input: (
            input.weights if int(wildcards.percent) else STUDY.model.path
        ),
        # A param made with threads is not tracked.
        work=lambda wildcards, threads: (
            f"{WORK}/mechanism/gradients/{wildcards.arm}/at-{wildcards.percent}"
        ),
    shell:
        """
        python workflow_scripts/gradients.py \
            --model {params.checkpoint:q} \
            --base {params.folder:q} \
            --dataset {input.dataset:q} \
            --graded {input.graded:q} \
            --keep {params.keep} \
            --settings {params.settings:q} \
            --sequences {params.sequences} \
            --threads {threads} \
            --work {params.work:q} \
            --out {output:q} 2>{log:q}
        """


rule noise_probe:
    """Signal and noise at frozen checkpoints, with intervals, and where among the tokens they sit."""
    input:
        products=[
            f"<results>/mechanism/gradients/{arm}/at-{percent:03d}.parquet"
            for arm, _, percent in NOISE_PROBED
        ],
        library=library("noise_probe.py"),
    output:
        "<results>/analysis/noise_probe.parquet",
    log:
        "<logs>/noise_probe.log",
    benchmark:
        "<benchmarks>/noise_probe.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(30),
    params:
        asked={"checkpoints": NOISE_PROBED, "seed": STUDY.seed},
    script:
        "../workflow_scripts/noise_probe.py"


if MECHANISM.branches:

    rule branch_runs:
        """Trains an arm for a short while at several batch sizes, looking at held-out examples along the way."""
        input:
            dataset=f"<results>/arms/{MECHANISM.branches.arm}/dataset.parquet",
            targets=(
                f"<results>/arms/{MECHANISM.branches.arm}/targets.parquet"
                if MECHANISM.branches.arm in TAUGHT
                else []
            ),
            weights=BASE_FILES,
        output:
            "<results>/mechanism/branch_losses.parquet",
        log:
            "<logs>/branch_runs.log",
        benchmark:
            "<benchmarks>/branch_runs.tsv"
        conda:
            TRAINING_ENVIRONMENT
        threads: 1
        resources:
            mem_mb=larger(MEMORY.train),
            # A retry goes on after the branches that are finished.
            runtime=720,
            gpu=min(1, STUDY.training.gpus),
        params:
            settings=to_json(
                {
                    "training": STUDY.recipe(MECHANISM.branches.arm).model_dump(
                        exclude={"save_every", "trackers"}
                    ),
                    "study_seed": STUDY.seed,
                    "training_seed": 0,
                    "arm": MECHANISM.branches.arm,
                    "context": STUDY.model.context,
                    "device": "cuda" if STUDY.training.gpus else "cpu",
                }
            ),
            branches=to_json(MECHANISM.branches.model_dump()),
            # Where the model lies is no reason to do it again; what it is is an input.
            folder=lambda wildcards, threads: STUDY.model.path,
            work=lambda wildcards, threads: f"{WORK}/mechanism/branches",
        shell:
            """
            python workflow_scripts/branch_runs.py \
                --model {params.folder:q} \
                --dataset {input.dataset:q} \
                --targets {input.targets:q} \
                --settings {params.settings:q} \
                --branches {params.branches:q} \
                --work {params.work:q} \
                --out {output:q} 2>{log:q}
            """

    rule branches:
        """What a larger batch costs in examples, against what the noise scale predicts."""
        input:
            losses="<results>/mechanism/branch_losses.parquet",
            library=library("branches.py"),
        output:
            "<results>/analysis/branches.parquet",
        log:
            "<logs>/branches.log",
        benchmark:
            "<benchmarks>/branches.tsv"
        localrule: True
        conda:
            "../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=larger(2000),
            runtime=later(20),
        params:
            batch=STUDY.recipe(MECHANISM.branches.arm).batch,
        script:
            "../workflow_scripts/branches.py"


rule weight_overlap:
    """What trainings did to the same weights, against rounding and noise alone."""
    input:
        finished=of_runs("<results>/runs/RUN/at-100"),
        base=BASE_FILES,
        library=library("weight_overlap.py"),
    output:
        "<results>/analysis/weight_overlap.parquet",
    log:
        "<logs>/weight_overlap.log",
    benchmark:
        "<benchmarks>/weight_overlap.tsv"
    localrule: SMALL_MODEL
    conda:
        "../envs/analysis.yaml"
    threads: 4
    resources:
        # A large model's embedding is the most that a thread holds at once, some times in float32.
        mem_mb=larger(3000 if SMALL_MODEL else 64000),
        runtime=later(480),
    params:
        asked={"runs": RUNS, "seed": STUDY.seed},
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/weight_overlap.py"
