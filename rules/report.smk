# Needs: everything.
# Makes: <results>/study.yaml, <results>/report.html, <results>/figures/ and <results>/provenance.json
#        <results>/lineage.json where the model is a checkpoint of another study


rule study_record:
    """Writes down the effective study, as checked and with every default spelt out."""
    output:
        "<results>/study.yaml",
    log:
        "<logs>/study_record.log",
    benchmark:
        "<benchmarks>/study_record.tsv"
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        study=STUDY.as_param(),
    script:
        "../workflow_scripts/study_record.py"


rule lineage:
    """Says what a base that is a checkpoint of another study was made from."""
    input:
        weights=BASE_FILES,
        library=library("lineage.py"),
    output:
        "<results>/lineage.json",
    log:
        "<logs>/lineage.log",
    benchmark:
        "<benchmarks>/lineage.tsv"
    localrule: SMALL_MODEL
    conda:
        "../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=later(20),
    params:
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/lineage.py"


rule report:
    """Everything on one self-contained page."""
    input:
        study="<results>/study.yaml",
        checks="<results>/checks.json",
        verdicts="<results>/analysis/verdicts.parquet",
        looks="<results>/analysis/looks.parquet",
        levels="<results>/analysis/levels.parquet",
        comparisons="<results>/analysis/comparisons.parquet",
        flips="<results>/analysis/flips.parquet",
        factorial="<results>/analysis/factorial.parquet",
        variance="<results>/analysis/variance.parquet",
        truncation="<results>/analysis/truncation.parquet",
        token_budgets="<results>/analysis/token_budgets.parquet",
        doubt="<results>/analysis/doubt.parquet",
        doubt_ratios="<results>/analysis/doubt_ratios.parquet",
        word_shift="<results>/analysis/word_shift.parquet",
        noise_steps="<results>/analysis/noise_steps.parquet",
        noise_summary="<results>/analysis/noise_summary.parquet",
        weight_change="<results>/analysis/weight_change.parquet",
        coherence="<results>/analysis/coherence.parquet",
        noise_probe=(
            ["<results>/analysis/noise_probe.parquet"]
            if MECHANISM and MECHANISM.noise
            else []
        ),
        branches=(
            ["<results>/analysis/branches.parquet"]
            if MECHANISM and MECHANISM.branches
            else []
        ),
        weight_overlap=(
            ["<results>/analysis/weight_overlap.parquet"] if MECHANISM else []
        ),
        grader="<results>/analysis/grader.parquet",
        grader_errors="<results>/analysis/grader_errors.parquet",
        corrected="<results>/analysis/corrected.parquet",
        difficulty="<results>/analysis/difficulty.parquet",
        solving="<results>/analysis/solving.parquet",
        audit_sheet="<results>/audit/sheet.csv",
        graded=of_models("<results>/models/MODEL/graded.parquet"),
        training_samples=of_models("<results>/models/MODEL/graded.parquet", SAMPLES),
        audits=[f"<results>/arms/{arm}/audit.json" for arm in WITH_DATASET],
        targets=[f"<results>/arms/{arm}/targets.json" for arm in TAUGHT],
        logs=of_runs("<results>/runs/RUN/log.parquet"),
        export_checks=of_runs("<results>/runs/RUN/export_check.json"),
        manifests=of_runs("<results>/runs/RUN/manifest.json"),
        train="<results>/problems/train.parquet",
        evaluation="<results>/problems/eval.parquet",
        contamination="<results>/problems/contamination.parquet",
        hub=[
            *(BASE_FILES if STUDY.model.hub else []),
            *(f"<results>/hub/sources/{source}.json" for source in LOADED),
        ],
        carriers=["<results>/mechanism/carriers.parquet"] if MECHANISM else [],
        probe_plan=["<results>/mechanism/plan.parquet"] if MECHANISM else [],
        probes=of_models("<results>/mechanism/probes/MODEL.parquet", PROBED),
        depths=(
            of_models("<results>/mechanism/depths/MODEL.parquet", PROBED)
            if MECHANISM and MECHANISM.depth
            else []
        ),
        token_classes=(
            ["<results>/analysis/token_classes.parquet"] if MECHANISM else []
        ),
        mechanism=["<results>/analysis/mechanism.parquet"] if MECHANISM else [],
        ssd_fit=["<results>/analysis/ssd_fit.parquet"] if MECHANISM else [],
        curves=["<results>/analysis/curves.parquet"] if MECHANISM else [],
        strips=["<results>/analysis/strips.parquet"] if MECHANISM else [],
        depth=(
            ["<results>/analysis/depth.parquet"]
            if MECHANISM and MECHANISM.depth
            else []
        ),
        practice=["<results>/analysis/practice.parquet"] if PRACTISING else [],
        practice_changes=(
            ["<results>/analysis/practice_changes.parquet"] if PRACTISING else []
        ),
        practice_signal=(
            ["<results>/analysis/practice_signal.parquet"] if PRACTISING else []
        ),
        practice_cost=(
            ["<results>/analysis/practice_cost.parquet"] if PRACTISING else []
        ),
        ladder=["<results>/analysis/ladder.parquet"] if STUDY.ladder else [],
        ladder_tests=["<results>/analysis/ladder_tests.parquet"] if STUDY.ladder else [],
        ladder_examples=(
            ["<results>/analysis/ladder_examples.parquet"] if STUDY.ladder else []
        ),
        information=(
            ["<results>/analysis/information.parquet"]
            if STUDY.ladder and STUDY.ladder.information
            else []
        ),
        context_kl=(
            ["<results>/analysis/context_kl.parquet"] if STUDY.disagreement else []
        ),
        annotation=(
            ["<results>/analysis/annotation.parquet"] if STUDY.annotation else []
        ),
        judgements=(
            ["<results>/annotation/judgements.parquet"] if STUDY.annotation else []
        ),
        plugged=(["<results>/analysis/plugged.parquet"] if PLUGGED_ANALYSES else []),
        lineage=LINEAGE,
        origin=ORIGIN,
        conversions=[f"<results>/problems/sources/{source}.json" for source in LOADED],
        library=library("report.py"),
        page=local(
            sorted(str(file) for file in Path("report").rglob("*") if file.is_file())
        ),
        lock=local("requirements.lock"),
    output:
        report="<results>/report.html",
        figures=directory("<results>/figures"),
        provenance="<results>/provenance.json",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(3000),
        runtime=later(30),
    params:
        asked={
            "arms": WITH_DATASET,
            "taught": TAUGHT,
            "from_hub": [*(["model"] if STUDY.model.hub else []), *LOADED],
            "converted": LOADED,
            "runs": RUNS,
            "results": RESULTS,
            **({"plugins": PLUGINS} if PLUGINS else {}),
        },
    script:
        "../workflow_scripts/report.py"
