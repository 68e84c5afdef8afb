# Needs: the graded answers of every model, and the user's own analyses.
# Makes: <results>/analysis/plugged.parquet


rule plugged:
    """Runs the analyses of the study's plugins. A changed plugin is another param."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet"),
        library=library("plugged.py"),
    output:
        "<results>/analysis/plugged.parquet",
    log:
        "<logs>/plugged.log",
    benchmark:
        "<benchmarks>/plugged.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={"analyses": PLUGGED_ANALYSES, "models": EVALUATED},
    script:
        "../workflow_scripts/plugged.py"
