# Needs: graded answers of the base, its A/A twins and finished training; their weights. Only with the section `mechanism`.
# Makes: <results>/mechanism/{carriers,plan}.parquet, and <results>/mechanism/{probes,depths}/{model}.parquet, whose
#        parts are undeclared until all are there; <results>/analysis/{token_classes,mechanism,ssd_fit,curves,depth}.parquet


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
