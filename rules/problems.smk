# Needs: the raw sources named in the study file, and the base model's tokenizer.
# Makes: <results>/hub/model.json, <results>/hub/sources/{source}.json, and the undeclared <results>/revisions.lock
#        <results>/problems/sources/{source}.jsonl, {source}.json
#        <results>/problems/{train,eval,contamination,prompts}.parquet and, where an arm learns them, references.parquet


rule fetch_model:
    """Downloads the base model from the hub where its folder is not there, and says which commit it is."""
    output:
        "<results>/hub/model.json",
    log:
        "<logs>/fetch_model.log",
    benchmark:
        "<benchmarks>/fetch_model.tsv"
    localrule: True
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        asked={
            "key": "model",
            "kind": "model",
            "hub": STUDY.model.hub,
        },
        # Where the copy lies, and a pin that says what the lock says already, are no reasons to look again.
        place=lambda wildcards, threads: {
            "revision": STUDY.model.revision,
            "folder": STUDY.model.path,
            "lock": REVISIONS,
        },
    script:
        "../workflow_scripts/fetch.py"


rule fetch_source:
    """The same for a public dataset of problems."""
    output:
        "<results>/hub/sources/{source}.json",
    log:
        "<logs>/fetch_source/{source}.log",
    benchmark:
        "<benchmarks>/fetch_source/{source}.tsv"
    localrule: True
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        asked=lambda wildcards: {
            "key": f"problems.sources.{wildcards.source}",
            "kind": "dataset",
            "hub": STUDY.problems.sources[wildcards.source].hub,
            "loader": loader_of(wildcards.source),
        },
        place=lambda wildcards, threads: {
            "revision": STUDY.problems.sources[wildcards.source].revision,
            "folder": STUDY.problems.sources[wildcards.source].path,
            "lock": REVISIONS,
        },
    script:
        "../workflow_scripts/fetch.py"


rule convert:
    """Reads a public dataset into problems with one readable answer each, and counts what was left out and why."""
    input:
        fetched="<results>/hub/sources/{source}.json",
        library=lambda wildcards: library(
            "convert.py",
            *file_of(STUDY.problems.sources[wildcards.source].loader),
        ),
    output:
        problems="<results>/problems/sources/{source}.jsonl",
        audit="<results>/problems/sources/{source}.json",
    log:
        "<logs>/convert/{source}.log",
    benchmark:
        "<benchmarks>/convert/{source}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(60),
    params:
        asked=lambda wildcards: {
            "key": f"problems.sources.{wildcards.source}",
            "loader": loader_of(wildcards.source),
            "options": STUDY.problems.sources[wildcards.source].options,
        },
        folder=lambda wildcards, threads: STUDY.problems.sources[wildcards.source].path,
    script:
        "../workflow_scripts/convert.py"


rule problems:
    """Normalises, de-duplicates, checks for contamination, splits and ranks."""
    input:
        sources=[
            source["path"] if "loader" in source else local(source["path"])
            for source in SOURCES.values()
        ],
        examples=local(EXAMPLES),
        library=library("problems.py"),
    output:
        train="<results>/problems/train.parquet",
        evaluation="<results>/problems/eval.parquet",
        contamination="<results>/problems/contamination.parquet",
    log:
        "<logs>/problems.log",
    benchmark:
        "<benchmarks>/problems.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "problems": STUDY.problems.model_dump(
                exclude={"prompt", "reference", "sources", "examples"}
            )
            | {"sources": SOURCES},
            "seed": STUDY.seed,
            **({"examples_answer": STUDY.grading.answer} if EXAMPLES else {}),
        },
    script:
        "../workflow_scripts/problems.py"


rule prompts:
    """Puts every problem into the study's wording and the model's chat template, tokenised once for all models."""
    input:
        train="<results>/problems/train.parquet",
        evaluation="<results>/problems/eval.parquet",
        tokenizer=TOKENIZER_FILES,
        examples=local(EXAMPLES),
        library=library("prompts.py"),
    output:
        "<results>/problems/prompts.parquet",
    log:
        "<logs>/prompts.log",
    benchmark:
        "<benchmarks>/prompts.tsv"
    localrule: True
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "prompt": STUDY.problems.prompt,
            "model": STUDY.model.path,
            "context": STUDY.model.context,
            "trust_remote_code": STUDY.model.trust_remote_code,
            **({"chat": STUDY.model.chat} if STUDY.model.chat else {}),
            **({"switches": SWITCHES} if SWITCHES else {}),
        },
    script:
        "../workflow_scripts/prompts.py"


rule references:
    """Puts the dataset's own solutions into the study's wording, as the tokens that a model would have to sample."""
    input:
        sources=[
            source["path"] if "loader" in source else local(source["path"])
            for source in TRAINING_SOURCES.values()
        ],
        train="<results>/problems/train.parquet",
        prompts="<results>/problems/prompts.parquet",
        tokenizer=TOKENIZER_FILES,
        library=library("references.py"),
    output:
        "<results>/problems/references.parquet",
    log:
        "<logs>/references.log",
    benchmark:
        "<benchmarks>/references.tsv"
    localrule: True
    conda:
        "../envs/sampling.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "sources": list(TRAINING_SOURCES),
            "wording": wording_of(STUDY),
            "context": STUDY.model.context,
            "trust_remote_code": STUDY.model.trust_remote_code,
            "chat": STUDY.model.chat,
        },
        # Where the model lies is no reason to do it again; its tokenizer is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/references.py"
