# Needs: the raw sources named in the study file, and the base model's tokenizer.
# Makes: <results>/problems/{train,eval,contamination,prompts}.parquet


rule problems:
    """Normalises, de-duplicates, checks for contamination, splits and ranks."""
    input:
        sources=[source.path for source in STUDY.problems.sources.values()],
        library=library("problems", "grading"),
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
            "problems": STUDY.problems.model_dump(exclude={"prompt"}),
            "seed": STUDY.seed,
        },
    script:
        "../workflow_scripts/problems.py"


rule prompts:
    """Puts every problem into the study's wording and the model's chat template, tokenised once for all models."""
    input:
        train="<results>/problems/train.parquet",
        evaluation="<results>/problems/eval.parquet",
        tokenizer=TOKENIZER_FILES,
        library=library("model_folder.py", "sampling/plan.py"),
    output:
        "<results>/problems/prompts.parquet",
    log:
        "<logs>/prompts.log",
    benchmark:
        "<benchmarks>/prompts.tsv"
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
        },
    script:
        "../workflow_scripts/prompts.py"
