# Needs: the rollouts, updates and logs of the runs that practised, and the noise of all runs. Only where arms practise.
# Makes: <results>/analysis/{practice,practice_changes,practice_signal,practice_cost}.parquet
rule practice_analysis:
    """How training on one's own answers went, what it changed, what it took."""
    input:
        train="<results>/problems/train.parquet",
        rollouts=[f"<results>/runs/{run}/rollouts.parquet" for run in PRACTICES],
        updates=[f"<results>/runs/{run}/updates.parquet" for run in PRACTICES],
        logs=[f"<results>/runs/{run}/log.parquet" for run in PRACTICES],
        noise="<results>/analysis/noise_steps.parquet",
        library=library("practice_analysis.py"),
    output:
        practice="<results>/analysis/practice.parquet",
        changes="<results>/analysis/practice_changes.parquet",
        signal="<results>/analysis/practice_signal.parquet",
        cost="<results>/analysis/practice_cost.parquet",
    log:
        "<logs>/practice_analysis.log",
    benchmark:
        "<benchmarks>/practice_analysis.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={
            "runs": PRACTICES,
            "rollouts": {
                run: STUDY.practice_of(run.split("/")[0]).rollouts for run in PRACTICES
            },
            "seed": STUDY.seed,
            "replaying": [run for run in PRACTICES if learns_of(STUDY, run)],
        },
    script:
        "../workflow_scripts/practice_analysis.py"
