# Needs: graded answers of the base and of finished training, and a judge. Only with the section `annotation`.
# Makes: <results>/annotation/{questions,plan,replies,judgements}.parquet and <results>/analysis/annotation.parquet
#        The journal of replies is undeclared: what a judge said once is not asked again.
ANNOTATION = STUDY.judging()
JUDGE = ANNOTATION.judge
RUBRIC = local([ANNOTATION.rubric])
# A judge of ours is read as the study's model is, in a context of its own; its code is never run.
JUDGING_ENGINE = ENGINE | {
    "context": JUDGE.context or STUDY.model.context,
    "trust_remote_code": None,
}
JUDGING_GPUS = STUDY.sampling.gpus if JUDGE.ours else 0
# A server and a plugin are asked by text; replies lie apart.
ASKED = "server" if JUDGE.server else "plugin" if JUDGE.plugin else "engine"


rule judge_questions:
    """Says which answers are judged, and puts the rubric around each."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", JUDGED),
        evaluation="<results>/problems/eval.parquet",
        rubric=RUBRIC,
        judge=(
            local([str(file) for file in model_files(Path(JUDGE.model))])
            if JUDGE.ours
            else []
        ),
        library=library("judge_questions.py"),
    output:
        questions="<results>/annotation/questions.parquet",
        plan="<results>/annotation/plan.parquet",
    log:
        "<logs>/judge_questions.log",
    benchmark:
        "<benchmarks>/judge_questions.tsv"
    localrule: SMALL_MODEL
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(30),
    params:
        asked={
            "annotation": ANNOTATION.as_asked(),
            "models": JUDGED,
            "context": JUDGING_ENGINE["context"],
            "dtype": ENGINE["dtype"],
            "seed": STUDY.seed,
        },
    script:
        "../workflow_scripts/judge_questions.py"


rule judge:
    """Asks the judge. Every reply is in the journal at once; they are sealed when all are there."""
    input:
        questions="<results>/annotation/questions.parquet",
        plan="<results>/annotation/plan.parquet",
        rubric=RUBRIC if JUDGE.plugin else [],
    output:
        "<results>/annotation/replies.parquet",
    log:
        "<logs>/judge.log",
    benchmark:
        "<benchmarks>/judge.tsv"
    conda:
        SAMPLING_ENVIRONMENT if JUDGE.ours else "../envs/sampling.yaml"
    threads: 4 if JUDGING_GPUS else 1
    resources:
        mem_mb=larger(judging_memory(STUDY)),
        # A retry goes on where the job before it stopped.
        runtime=720,
        gpu=JUDGING_GPUS,
    params:
        annotation=to_json(ANNOTATION.as_asked()),
        # How a server is reached changes no reply. A param made with threads is not tracked. A key is in none of them.
        reached=lambda wildcards, threads: to_json(ANNOTATION.model_dump()),
        settings=to_json(JUDGING_ENGINE),
        journal=lambda wildcards, threads: (f"{WORK}/annotation/{ASKED}/journal-0"),
        batch=lambda wildcards, threads: STUDY.sampling.batch,
        gpus=lambda wildcards, threads: JUDGING_GPUS,
    shell:
        """
        python workflow_scripts/judge.py \
            --questions {input.questions:q} \
            --plan {input.plan:q} \
            --journal {params.journal:q} \
            --output {output:q} \
            --annotation {params.reached:q} \
            --settings {params.settings:q} \
            --batch {params.batch} \
            --gpus {params.gpus} \
            --threads {threads} 2>{log:q}
        """


rule annotation:
    """What the judge counted, and how far that agrees with words of doubt and with a second pass."""
    input:
        questions="<results>/annotation/questions.parquet",
        replies="<results>/annotation/replies.parquet",
        rubric=RUBRIC,
        library=library("annotation.py"),
    output:
        judgements="<results>/annotation/judgements.parquet",
        agreement="<results>/analysis/annotation.parquet",
    log:
        "<logs>/annotation.log",
    benchmark:
        "<benchmarks>/annotation.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(30),
    params:
        asked={
            "models": JUDGED,
            "thinks": STUDY.model.thinks,
            "doubt": STUDY.doubt.model_dump(),
        },
    script:
        "../workflow_scripts/annotation.py"
