# Needs: the problems and their prompts; for a checkpoint, its run. What is asked under a context is planned in contexts.smk.
# Makes: <results>/runs/{arm}/seed-{seed}/export_check.json
#        <results>/models/{model}/{plan,shard-{shard},graded}.parquet, and beside each shard its undeclared journal


rule check_export:
    """Loads a run's checkpoints in the sampling engine and compares its log-probabilities with the trainer's and the base's."""
    input:
        checkpoints=[
            f"<results>/runs/{{arm}}/seed-{{seed}}/{checkpoint}"
            for checkpoint in CHECKPOINTS
        ],
        manifest="<results>/runs/{arm}/seed-{seed}/manifest.json",
    output:
        "<results>/runs/{arm}/seed-{seed}/export_check.json",
    log:
        "<logs>/check_export/{arm}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/check_export/{arm}/seed-{seed}.tsv"
    conda:
        SAMPLING_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=larger(MEMORY.check_export),
        runtime=later(60),
        gpu=STUDY.sampling.gpus,
    params:
        settings=lambda wildcards: to_json(
            ENGINE | {"limit": STUDY.sampling.export_limit}
        ),
        # Changes no difference that matters. A param made with threads is not tracked.
        batch=lambda wildcards, threads: STUDY.sampling.batch,
        gpus=lambda wildcards, threads: STUDY.sampling.gpus,
    shell:
        """
        python workflow_scripts/check_export.py \
            --checkpoints {input.checkpoints:q} \
            --manifest {input.manifest:q} \
            --output {output:q} \
            --settings {params.settings:q} \
            --batch {params.batch} \
            --gpus {params.gpus} \
            --threads {threads} 2>{log:q}
        """


rule plan:
    """Says what to sample from a model: training samples and evaluation answers alike."""
    input:
        train="<results>/problems/train.parquet",
        evaluation="<results>/problems/eval.parquet",
        prompts="<results>/problems/prompts.parquet",
        weights=weights_of,
        checked=check_of,
    output:
        "<results>/models/{model}/plan.parquet",
    log:
        "<logs>/plan/{model}.log",
    benchmark:
        "<benchmarks>/plan/{model}.tsv"
    wildcard_constraints:
        model=one_of(
            [model for model in EVALUATED + SAMPLES if model not in IN_CONTEXT]
        ),
    localrule: SMALL_MODEL
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(20),
    params:
        asked=lambda wildcards: {
            "model_id": wildcards.model,
            "plan": asked_of(STUDY, wildcards.model, LOOK_SIZES).as_param(),
        },
        folder=folder_of,
        # A mixture that cannot be had is better known now than when everything is sampled.
        mixtures=lambda wildcards, threads: STUDY.evaluation.mixtures,
    script:
        "../workflow_scripts/plan.py"


rule sample:
    """Executes a shard of a plan. Every finished sample is in the journal at once; the shard is sealed when all are."""
    input:
        plan="<results>/models/{model}/plan.parquet",
        weights=weights_of,
    output:
        "<results>/models/{model}/shard-{shard}.parquet",
    log:
        "<logs>/sample/{model}/shard-{shard}.log",
    benchmark:
        "<benchmarks>/sample/{model}/shard-{shard}.tsv"
    conda:
        SAMPLING_ENVIRONMENT
    threads: 4 if STUDY.sampling.gpus else 1
    resources:
        mem_mb=larger(MEMORY.sample),
        # A retry goes on where the job before it stopped: it needs no longer time, which a partition may not have.
        runtime=720 if STUDY.sampling.gpus else 240,
        gpu=STUDY.sampling.gpus,
    params:
        settings=lambda wildcards: to_json(
            ENGINE | {"abort_loops": STUDY.sampling.model_dump()["abort_loops"]}
        ),
        folder=folder_of,
        # Where the journal lies and how it is filled. What is in the journal is good whatever these are. A param made with threads is not tracked.
        journal=lambda wildcards, threads: (
            f"{WORK}/models/{wildcards.model}/journal-{wildcards.shard}"
        ),
        batch=lambda wildcards, threads: STUDY.sampling.batch,
        gpus=lambda wildcards, threads: STUDY.sampling.gpus,
    shell:
        """
        python workflow_scripts/sample.py \
            --plan {input.plan:q} \
            --model {params.folder:q} \
            --shard {wildcards.shard} \
            --journal {params.journal:q} \
            --output {output:q} \
            --settings {params.settings:q} \
            --batch {params.batch} \
            --gpus {params.gpus} \
            --threads {threads} 2>{log:q}
        """


rule grade:
    """Gives every completion its finish class and its verdict."""
    input:
        plan="<results>/models/{model}/plan.parquet",
        shards=shards_of,
        train="<results>/problems/train.parquet",
        evaluation="<results>/problems/eval.parquet",
        library=library("grade.py"),
    output:
        "<results>/models/{model}/graded.parquet",
    log:
        "<logs>/grade/{model}.log",
    benchmark:
        "<benchmarks>/grade/{model}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(60),
    params:
        asked=lambda wildcards: {
            "grading": STUDY.grading.as_param(),
            "model": STUDY.model.path,
            **({} if thinks(STUDY, wildcards.model) else {"thinks": False}),
        },
    script:
        "../workflow_scripts/grade.py"
