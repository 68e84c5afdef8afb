# Needs: the base's samples of an arm, the prompts of contexts, finished training. Only with the section `disagreement`.
# Makes: <results>/disagreement/{asked/*/{carriers,plan},laws/{model},tokens}.parquet, whose parts are undeclared until all are there
#        <results>/analysis/context_kl.parquet
DISAGREEMENT = STUDY.disagreement
READERS = readers(STUDY)
# Reader → what it is asked: the bare prompts, or those under a context.
ASKED_AS = {
    reader: (
        f"in-{context_of(reader)}"
        if context_of(reader)
        and context_of(reader) in map(context_of, reading_contexts(STUDY))
        else "plain"
    )
    for reader in READERS
}
# Those contexts, and those whose samples they show: a text is read by nobody who was told of it.
TOLD = [
    model
    for model in with_what_they_are_shown(STUDY, reading_contexts(STUDY))
    if context_of(model)
]


rule disagreement_texts:
    """Says which of the base's samples are read again, and puts each reader's prompt before them."""
    input:
        samples=f"<results>/models/samples-{DISAGREEMENT.decode}/graded.parquet",
        prompts=of_models("<results>/models/MODEL/prompts.parquet", TOLD),
        library=library("disagreement_texts.py"),
    output:
        [
            directory(f"<results>/disagreement/asked/{name}")
            for name in dict.fromkeys(ASKED_AS.values())
        ],
    log:
        "<logs>/disagreement_texts.log",
    benchmark:
        "<benchmarks>/disagreement_texts.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(30),
    params:
        asked={
            "contexts": {
                f"in-{context_of(model)}": model for model in reading_contexts(STUDY)
            },
            "told": TOLD,
            "texts": DISAGREEMENT.texts,
            "context": STUDY.model.context,
            "seed": STUDY.seed,
        },
    script:
        "../workflow_scripts/disagreement_texts.py"


rule read_again:
    """Asks a model for its law at every token of the texts, behind its own prompt."""
    input:
        asked=lambda wildcards: f"<results>/disagreement/asked/{ASKED_AS[wildcards.model]}",
        weights=weights_of,
        checked=check_of,
    output:
        "<results>/disagreement/laws/{model}.parquet",
    log:
        "<logs>/read_again/{model}.log",
    benchmark:
        "<benchmarks>/read_again/{model}.tsv"
    wildcard_constraints:
        model=one_of(READERS),
    conda:
        SAMPLING_ENVIRONMENT
    threads: 4 if STUDY.sampling.gpus else 1
    resources:
        mem_mb=larger(MEMORY.sample),
        # A retry goes on where the job before it stopped.
        runtime=240,
        gpu=STUDY.sampling.gpus,
    params:
        settings=to_json(ENGINE | {"top": DISAGREEMENT.top}),
        folder=folder_of,
        # A param made with threads is not tracked.
        work=lambda wildcards, threads: f"{WORK}/disagreement/work/{wildcards.model}",
        gpus=lambda wildcards, threads: STUDY.sampling.gpus,
    shell:
        """
        python workflow_scripts/probe.py \
            --carriers {input.asked:q}/carriers.parquet \
            --plan {input.asked:q}/plan.parquet \
            --model {params.folder:q} \
            --model-id {wildcards.model:q} \
            --work {params.work:q} \
            --output {output:q} \
            --settings {params.settings:q} \
            --gpus {params.gpus} \
            --threads {threads} 2>{log:q}
        """


rule disagreement:
    """Where the readers disagree with who wrote the text: KL by token, by word and by word of doubt, and its share of all."""
    input:
        asked=[f"<results>/disagreement/asked/{ASKED_AS[reader]}" for reader in READERS],
        laws=of_models("<results>/disagreement/laws/MODEL.parquet", READERS),
        tokenizer=TOKENIZER_FILES,
        library=library("disagreement.py"),
    output:
        tokens="<results>/disagreement/tokens.parquet",
        where="<results>/analysis/context_kl.parquet",
    log:
        "<logs>/disagreement.log",
    benchmark:
        "<benchmarks>/disagreement.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={
            "readers": READERS,
            "doubt": STUDY.doubt.model_dump(),
            "shown": DISAGREEMENT.shown,
        },
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/disagreement.py"
