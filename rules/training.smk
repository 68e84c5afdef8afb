# Needs: the base's graded samples at the arm's decode; for an arm on solutions, the dataset's own.
# Makes: <results>/arms/{arm}/{dataset.parquet,audit.json} and, where targets are soft, {targets.parquet,targets.json}
#        <results>/runs/{arm}/seed-{seed}/manifest.json, {log,noise,weights,histograms,coherence}.parquet, at-025 … at-100
#        The run's undeclared work folder keeps what a crashed training goes on from.


rule dataset:
    """Filters an arm's samples, and says what the filter did."""
    input:
        graded=lambda wildcards: f"<results>/models/{source_of(STUDY, wildcards.arm)}/graded.parquet",
        # Where the samples were told something, what is learnt is the completion behind the bare prompt.
        prompts=lambda wildcards: (
            ["<results>/problems/prompts.parquet"]
            if TRAINED[wildcards.arm].context
            else []
        ),
        library=library("dataset.py"),
    output:
        dataset="<results>/arms/{arm}/dataset.parquet",
        audit="<results>/arms/{arm}/audit.json",
    log:
        "<logs>/dataset/{arm}.log",
    benchmark:
        "<benchmarks>/dataset/{arm}.tsv"
    wildcard_constraints:
        arm=one_of([arm for arm in FROM_SAMPLES if arm not in CORRECT]),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(20),
    params:
        asked=lambda wildcards: {
            "arm": STUDY.arms[wildcards.arm].model_dump(
                include={"resample", "decode", "keep"}
            )
            | plugged_keep(wildcards.arm),
            "decode": STUDY.decodes[STUDY.arms[wildcards.arm].decode].model_dump(),
            "examples": STUDY.training.examples,
        },
    script:
        "../workflow_scripts/dataset.py"


rule correct_dataset:
    """Takes an arm's right answers to the problems that all arms with keep: correct and its decode have answered right."""
    input:
        graded=lambda wildcards: [
            f"<results>/models/{model}/graded.parquet"
            for model in samples_of_partners(wildcards)
        ],
        prompts="<results>/problems/prompts.parquet",
        library=library("correct_dataset.py"),
    output:
        dataset="<results>/arms/{arm}/dataset.parquet",
        audit="<results>/arms/{arm}/audit.json",
    log:
        "<logs>/correct_dataset/{arm}.log",
    benchmark:
        "<benchmarks>/correct_dataset/{arm}.tsv"
    wildcard_constraints:
        arm=one_of(CORRECT),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(20),
    params:
        asked=lambda wildcards: {
            "arms": {
                arm: STUDY.arms[arm].model_dump(
                    include={"decode", "keep", "context", "length_like"}
                )
                for arm in partners(STUDY, wildcards.arm)
            },
            "models": samples_of_partners(wildcards),
            "samples_of": {
                arm: source_of(STUDY, arm) for arm in partners(STUDY, wildcards.arm)
            },
            "examples": STUDY.training.examples,
        },
    script:
        "../workflow_scripts/correct_dataset.py"


rule reference_dataset:
    """Takes the dataset's own solutions for an arm, and says which were left out."""
    input:
        train="<results>/problems/train.parquet",
        prompts="<results>/problems/prompts.parquet",
        references="<results>/problems/references.parquet",
        library=library("reference_dataset.py"),
    output:
        dataset="<results>/arms/{arm}/dataset.parquet",
        audit="<results>/arms/{arm}/audit.json",
    log:
        "<logs>/reference_dataset/{arm}.log",
    benchmark:
        "<benchmarks>/reference_dataset/{arm}.tsv"
    wildcard_constraints:
        arm=one_of(FROM_REFERENCES),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(20),
    params:
        asked={
            "examples": STUDY.training.examples,
            "context": STUDY.model.context,
            "grading": STUDY.grading.model_dump(
                include={"answer", "seconds_per_answer"}
            ),
            "thinks": STUDY.model.thinks,
        },
    script:
        "../workflow_scripts/reference_dataset.py"


rule teacher:
    """Writes down what the base would have drawn at every token that an arm is trained on."""
    input:
        dataset="<results>/arms/{arm}/dataset.parquet",
        weights=BASE_FILES,
    output:
        targets="<results>/arms/{arm}/targets.parquet",
        summary="<results>/arms/{arm}/targets.json",
    log:
        "<logs>/teacher/{arm}.log",
    benchmark:
        "<benchmarks>/teacher/{arm}.tsv"
    conda:
        TRAINING_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=larger(MEMORY.teacher),
        runtime=later(240),
        gpu=min(1, STUDY.training.gpus),
    params:
        decode=lambda wildcards: to_json(
            STUDY.decodes[STUDY.arms[wildcards.arm].decode].model_dump()
        ),
        device="cuda" if STUDY.training.gpus else "cpu",
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
        kernels=lambda wildcards, threads: SLOW_KERNELS,
    shell:
        """
        python workflow_scripts/teacher.py \
            --model {params.folder:q} \
            --dataset {input.dataset:q} \
            --decode {params.decode:q} \
            --device {params.device} {params.kernels} \
            --threads {threads} \
            --out {output.targets:q} \
            --summary {output.summary:q} 2>{log:q}
        """


rule train:
    """Fine-tunes the base on an arm's dataset with one seed, measuring as it goes: the same command for one GPU or many."""
    input:
        dataset="<results>/arms/{arm}/dataset.parquet",
        targets=lambda wildcards: (
            f"<results>/arms/{wildcards.arm}/targets.parquet"
            if wildcards.arm in TAUGHT
            else []
        ),
        weights=BASE_FILES,
    output:
        manifest="<results>/runs/{arm}/seed-{seed}/manifest.json",
        log="<results>/runs/{arm}/seed-{seed}/log.parquet",
        noise="<results>/runs/{arm}/seed-{seed}/noise.parquet",
        weights="<results>/runs/{arm}/seed-{seed}/weights.parquet",
        histograms="<results>/runs/{arm}/seed-{seed}/histograms.parquet",
        coherence="<results>/runs/{arm}/seed-{seed}/coherence.parquet",
        checkpoints=[
            directory(f"<results>/runs/{{arm}}/seed-{{seed}}/{checkpoint}")
            for checkpoint in CHECKPOINTS
        ],
    log:
        "<logs>/train/{arm}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/train/{arm}/seed-{seed}.tsv"
    wildcard_constraints:
        arm=one_of(WITH_DATASET),
    conda:
        TRAINING_ENVIRONMENT
    threads: STUDY.training.processes_per_node
    resources:
        **(SEVERAL_NODES if STUDY.training.nodes > 1 else {}),
        mem_mb=larger(MEMORY.train * STUDY.training.processes_per_node),
        runtime=720,  # a retry goes on where the job before it stopped
        gpu=STUDY.training.gpus * STUDY.training.nodes,
    params:
        settings=lambda wildcards: to_json(
            settings_of(STUDY, wildcards.arm, int(wildcards.seed))
        ),
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
        # Changes no weight. A param made with threads is not tracked, so it is no reason to train again.
        save_every=lambda wildcards, threads: STUDY.training.save_every,
        trackers=lambda wildcards, threads: STUDY.training.trackers,
        # More options of that kind go with these: the text of the command is tracked, and a new place in it would train anew.
        kernels=lambda wildcards, threads: f"{SLOW_KERNELS} --study {STUDY.study}",
        work=lambda wildcards, threads: (
            f"{WORK}/runs/{wildcards.arm}/seed-{wildcards.seed}/work"
        ),
        on_every_node=on_every_node,
    shell:
        """
        {params.on_every_node} python workflow_scripts/train.py \
            --model {params.folder:q} \
            --dataset {input.dataset:q} \
            --targets {input.targets:q} \
            --settings {params.settings:q} \
            --save-every {params.save_every} \
            --trackers {params.trackers} {params.kernels} \
            --out "$(dirname {output.manifest:q})" \
            --work {params.work:q} 2> >(
                trap '' INT TERM
                tee {log:q} >&2
            )
        """
