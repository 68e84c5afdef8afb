# Needs: the problems and their prompts; for a trained model, its run. Only with the section `ladder`.
# Makes: <results>/models/{model}/plan.parquet of every rung, which the usual rules sample and grade
#        <results>/ladder/{problems,chosen}.parquet, <results>/ladder/{model}/{texts,readings,logprobs}.parquet
#        <results>/analysis/{ladder,ladder_tests,ladder_examples,information}.parquet
CLIMBERS = climbers(STUDY)
SOURCES_OF_CLIMBERS = [source_of_climber(climber) for climber in CLIMBERS]


rule ladder_problems:
    """Chooses the problems: those that the base solves neither too seldom nor too often."""
    input:
        graded=f"<results>/models/{SOURCE}/graded.parquet",
        problems=f"<results>/problems/{STUDY.ladder.use}.parquet",
        library=library("ladder_problems.py"),
    output:
        problems="<results>/ladder/problems.parquet",
        chosen="<results>/ladder/chosen.parquet",
    log:
        "<logs>/ladder_problems.log",
    benchmark:
        "<benchmarks>/ladder_problems.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(20),
    params:
        asked=STUDY.ladder.model_dump(include={"solved", "problems"}),
    script:
        "../workflow_scripts/ladder_problems.py"


rule plan_ladder:
    """Says what to sample on one rung, and of the base to choose the problems."""
    input:
        problems=lambda wildcards: (
            f"<results>/problems/{STUDY.ladder.use}.parquet"
            if LADDER[wildcards.model].chooses
            else "<results>/ladder/chosen.parquet"
        ),
        prompts=lambda wildcards: (
            "<results>/models/{model}/prompts.parquet"
            if LADDER[wildcards.model].context
            else "<results>/problems/prompts.parquet"
        ),
        weights=weights_of,
        checked=check_of,
    output:
        "<results>/models/{model}/plan.parquet",
    log:
        "<logs>/plan_ladder/{model}.log",
    benchmark:
        "<benchmarks>/plan_ladder/{model}.tsv"
    wildcard_constraints:
        model=one_of(LADDER),
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
            "plan": asked_of(STUDY, wildcards.model).as_param(),
            "in_context": LADDER[wildcards.model].context is not None,
        },
        folder=folder_of,
    script:
        "../workflow_scripts/plan_ladder.py"


rule ladder:
    """Score, length and doubt on every rung, whether the rungs are in order, and answers side by side."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", on_rungs(CLIMBERS)),
        told=of_models("<results>/models/MODEL/prompts.parquet", on_rungs(["base"])[1:]),
        problems="<results>/ladder/chosen.parquet",
        library=library("ladder.py"),
    output:
        ladder="<results>/analysis/ladder.parquet",
        tests="<results>/analysis/ladder_tests.parquet",
        examples="<results>/analysis/ladder_examples.parquet",
    log:
        "<logs>/ladder.log",
    benchmark:
        "<benchmarks>/ladder.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "contexts": contexts_of_rungs(STUDY),
            "rungs": rungs_asked(STUDY, CLIMBERS),
            "doubt": STUDY.doubt.model_dump(),
        },
    script:
        "../workflow_scripts/ladder.py"


if STUDY.ladder.information:

    rule information_texts:
        """Says which of a model's texts are read behind which prompts, to measure what each context tells."""
        input:
            graded=lambda wildcards: of_models(
                "<results>/models/MODEL/graded.parquet",
                on_rungs([climber_of(wildcards.model)]),
            ),
            problems="<results>/ladder/chosen.parquet",
            tokenizer=TOKENIZER_FILES,
            library=library("information_texts.py"),
        output:
            texts="<results>/ladder/{model}/texts.parquet",
            readings="<results>/ladder/{model}/readings.parquet",
        log:
            "<logs>/information_texts/{model}.log",
        benchmark:
            "<benchmarks>/information_texts/{model}.tsv"
        wildcard_constraints:
            model=one_of(SOURCES_OF_CLIMBERS),
        localrule: True
        conda:
            "../envs/sampling.yaml"
        threads: 1
        resources:
            mem_mb=larger(4000),
            runtime=later(30),
        params:
            asked=lambda wildcards: {
                "climber": climber_of(wildcards.model),
                "contexts": STUDY.ladder.contexts,
                "sentence": answer_sentence(STUDY),
                "thinks": [
                    thinks(STUDY, model)
                    for model in on_rungs([climber_of(wildcards.model)])
                ],
                "context": STUDY.model.context,
                "trust_remote_code": STUDY.model.trust_remote_code,
            },
            # Where the model lies is no reason to do it again; its tokenizer is an input.
            folder=lambda wildcards, threads: STUDY.model.path,
        script:
            "../workflow_scripts/information_texts.py"

    rule read_texts:
        """Asks a model how likely it holds these texts behind these prompts."""
        input:
            readings="<results>/ladder/{model}/readings.parquet",
            weights=weights_of,
            checked=check_of,
        output:
            "<results>/ladder/{model}/logprobs.parquet",
        log:
            "<logs>/read_texts/{model}.log",
        benchmark:
            "<benchmarks>/read_texts/{model}.tsv"
        wildcard_constraints:
            model=one_of(SOURCES_OF_CLIMBERS),
        conda:
            SAMPLING_ENVIRONMENT
        threads: 4 if STUDY.sampling.gpus else 1
        resources:
            mem_mb=larger(MEMORY.sample),
            # A retry goes on where the job before it stopped.
            runtime=240,
            gpu=STUDY.sampling.gpus,
        params:
            settings=to_json(ENGINE),
            folder=folder_of,
            # A param made with threads is not tracked.
            work=lambda wildcards, threads: f"{WORK}/ladder/work/{wildcards.model}",
            gpus=lambda wildcards, threads: STUDY.sampling.gpus,
        shell:
            """
            python workflow_scripts/read_texts.py \
                --readings {input.readings:q} \
                --model {params.folder:q} \
                --work {params.work:q} \
                --output {output:q} \
                --settings {params.settings:q} \
                --gpus {params.gpus} \
                --threads {threads} 2>{log:q}
            """

    rule information:
        """What each context told, in nats."""
        input:
            texts=[
                f"<results>/ladder/{source}/texts.parquet"
                for source in SOURCES_OF_CLIMBERS
            ],
            logprobs=[
                f"<results>/ladder/{source}/logprobs.parquet"
                for source in SOURCES_OF_CLIMBERS
            ],
            library=library("information.py"),
        output:
            "<results>/analysis/information.parquet",
        log:
            "<logs>/information.log",
        benchmark:
            "<benchmarks>/information.tsv"
        localrule: True
        conda:
            "../envs/analysis.yaml"
        threads: 1
        resources:
            mem_mb=larger(2000),
            runtime=later(20),
        params:
            contexts=contexts_of_rungs(STUDY),
        script:
            "../workflow_scripts/information.py"
