# Needs: graded completions of every model; the log, noise and weights of every run.
# Makes: <results>/analysis/*.parquet, <results>/audit/, which a person fills,
#        and <results>/checks.json, which no result passes that breaks an invariant


rule levels:
    """Accuracy, rates and lengths of every model, each with its interval."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet"),
        evaluation="<results>/problems/eval.parquet",
        library=library("levels.py"),
    output:
        "<results>/analysis/levels.parquet",
    log:
        "<logs>/levels.log",
    benchmark:
        "<benchmarks>/levels.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "budgets": STUDY.evaluation.sizes,
            "pass_at": STUDY.evaluation.pass_at,
            "mixtures": STUDY.evaluation.mixtures,
            **(
                {"mixture_draws": STUDY.evaluation.mixture_draws}
                if STUDY.evaluation.mixture_draws
                else {}
            ),
        },
    script:
        "../workflow_scripts/levels.py"


rule comparisons:
    """Paired differences by problem, against the base and where a hypothesis asks for it; the problems won and lost."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet"),
        library=library("comparisons.py"),
    output:
        comparisons="<results>/analysis/comparisons.parquet",
        flips="<results>/analysis/flips.parquet",
    log:
        "<logs>/comparisons.log",
    benchmark:
        "<benchmarks>/comparisons.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={
            "evaluation": STUDY.evaluation.model_dump(
                exclude={"mixtures", "mixture_draws", "audit"}
            ),
            "hypotheses": dumped(STUDY.hypotheses),
            "seed": STUDY.seed,
        },
    script:
        "../workflow_scripts/comparisons.py"


rule truncation:
    """Whether a gain is only truncation: its parts, smaller token caps, gains by how the base ended, lengths."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet"),
        library=library("truncation.py"),
    output:
        truncation="<results>/analysis/truncation.parquet",
        token_budgets="<results>/analysis/token_budgets.parquet",
    log:
        "<logs>/truncation.log",
    benchmark:
        "<benchmarks>/truncation.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={
            "budgets": STUDY.evaluation.sizes,
            "noises": noises_shared(STUDY, EVALUATED),
            "resamples": STUDY.evaluation.resamples,
            "caps": {
                name: decode.max_tokens for name, decode in STUDY.decodes.items()
            },
            "seed": STUDY.seed,
        },
    script:
        "../workflow_scripts/truncation.py"


rule factorial:
    """The 2×2 of decode and filter: main effects and interaction."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet"),
        library=library("factorial.py"),
    output:
        "<results>/analysis/factorial.parquet",
    log:
        "<logs>/factorial.log",
    benchmark:
        "<benchmarks>/factorial.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={
            "arms": dumped(STUDY.arms),
            "decodes": dumped(STUDY.decodes),
            "evaluation": STUDY.evaluation.model_dump(
                exclude={"mixtures", "mixture_draws", "audit", "resamples"}
            ),
        },
    script:
        "../workflow_scripts/factorial.py"


rule verdicts:
    """One sentence for every hypothesis of the analysis plan, at the present look where the study has looks."""
    input:
        comparisons="<results>/analysis/comparisons.parquet",
        evaluation="<results>/problems/eval.parquet",
        variance="<results>/analysis/variance.parquet",
        library=library("verdicts.py"),
    output:
        verdicts="<results>/analysis/verdicts.parquet",
        looks="<results>/analysis/looks.parquet",
    log:
        "<logs>/verdicts.log",
    benchmark:
        "<benchmarks>/verdicts.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(20),
    params:
        asked={
            "hypotheses": dumped(STUDY.hypotheses),
            "arms": dumped(STUDY.arms),
            "decodes": dumped(STUDY.decodes),
            **({"looks": LOOKS.model_dump()} if LOOKS else {}),
            "examples": answers_learnt(STUDY),
        },
    script:
        "../workflow_scripts/verdicts.py"


rule audit_sheet:
    """Draws the answers that a person judges again, blind, and keeps apart which they are."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", FINISHED),
        evaluation="<results>/problems/eval.parquet",
        library=library("audit_sheet.py"),
    output:
        sheet="<results>/audit/sheet.csv",
        key="<results>/audit/key.parquet",
    log:
        "<logs>/audit_sheet.log",
    benchmark:
        "<benchmarks>/audit_sheet.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "evaluation": {
                **STUDY.evaluation.model_dump(
                    exclude={"mixtures", "mixture_draws", "resamples"}
                ),
                "audit": {"rows": STUDY.evaluation.audit.rows},
            },
            "seed": STUDY.seed,
        },
    script:
        "../workflow_scripts/audit_sheet.py"


rule grader:
    """What the grader could not judge, or judged two ways, by arm; and what a person found, once the sheet is filled."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", FINISHED),
        key="<results>/audit/key.parquet",
        filled=(
            local([STUDY.evaluation.audit.filled])
            if STUDY.evaluation.audit.filled
            else []
        ),
        library=library("grader.py"),
    output:
        panel="<results>/analysis/grader.parquet",
        errors="<results>/analysis/grader_errors.parquet",
        corrected="<results>/analysis/corrected.parquet",
    log:
        "<logs>/grader.log",
    benchmark:
        "<benchmarks>/grader.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "evaluation": STUDY.evaluation.model_dump(
                exclude={"mixtures", "mixture_draws", "resamples"}
            )
        },
    script:
        "../workflow_scripts/grader.py"


rule difficulty:
    """For which problems: effects by the base's solve rate, by level and by source."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", FINISHED),
        library=library("difficulty.py"),
    output:
        "<results>/analysis/difficulty.parquet",
    log:
        "<logs>/difficulty.log",
    benchmark:
        "<benchmarks>/difficulty.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "evaluation": STUDY.evaluation.model_dump(
                exclude={"mixtures", "mixture_draws", "audit", "resamples"}
            ),
            **(
                {
                    "noises": {
                        model: asked_of(STUDY, model).noises
                        for model in FINISHED
                        if model != "base"
                    }
                }
                if STUDY.evaluation.coupling == "shared"
                else {}
            ),
        },
    script:
        "../workflow_scripts/difficulty.py"


rule solving:
    """How much several draws are worth: pass@k and maj@k of finished models."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", FINISHED),
        library=library("solving.py"),
    output:
        "<results>/analysis/solving.parquet",
    log:
        "<logs>/solving.log",
    benchmark:
        "<benchmarks>/solving.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={
            "evaluation": STUDY.evaluation.model_dump(
                exclude={"mixtures", "mixture_draws", "audit", "resamples"}
            ),
            "seconds_per_answer": STUDY.grading.seconds_per_answer,
        },
    script:
        "../workflow_scripts/solving.py"


rule variance:
    """Where the error of every difference comes from: trainings, problems, draws, and what draws have in common."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet", FINISHED),
        library=library("variance.py"),
    output:
        "<results>/analysis/variance.parquet",
    log:
        "<logs>/variance.log",
    benchmark:
        "<benchmarks>/variance.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "arms": dumped(STUDY.arms),
            "evaluation": STUDY.evaluation.model_dump(
                exclude={"mixtures", "mixture_draws", "resamples", "audit"}
            ),
            "hypotheses": dumped(STUDY.hypotheses),
        },
    script:
        "../workflow_scripts/variance.py"


rule doubt:
    """Words of doubt: how many each model writes, how many times as many as the other side, and the shift of every word."""
    input:
        graded=of_models("<results>/models/MODEL/graded.parquet"),
        tokenizer=TOKENIZER_FILES,
        library=library("doubt.py"),
    output:
        doubt="<results>/analysis/doubt.parquet",
        ratios="<results>/analysis/doubt_ratios.parquet",
        shift="<results>/analysis/word_shift.parquet",
    log:
        "<logs>/doubt.log",
    benchmark:
        "<benchmarks>/doubt.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(60),
    params:
        asked={
            "doubt": STUDY.doubt.model_dump(),
            "models": EVALUATED,
            "thinks": STUDY.model.thinks,
            "evaluation": STUDY.evaluation.model_dump(
                exclude={"mixtures", "mixture_draws", "audit", "resamples"}
            ),
            "hypotheses": dumped(STUDY.hypotheses),
        },
        # Where the model lies is no reason to do it again; what it is is an input.
        folder=lambda wildcards, threads: STUDY.model.path,
    script:
        "../workflow_scripts/doubt.py"


rule noise:
    """Gradient noise of every run: signal, noise and noise scale, per step and pooled."""
    input:
        noise=of_runs("<results>/runs/RUN/noise.parquet"),
        library=library("noise.py"),
    output:
        steps="<results>/analysis/noise_steps.parquet",
        summary="<results>/analysis/noise_summary.parquet",
    log:
        "<logs>/noise.log",
    benchmark:
        "<benchmarks>/noise.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(30),
    params:
        asked={
            "runs": RUNS,
            "beta1": BETA1,
            "seed": STUDY.seed,
            **({"by_sequence": PRACTICES} if PRACTISING else {}),
        },
    script:
        "../workflow_scripts/noise.py"


rule weight_change:
    """Weights changed by every run, beside what rounding alone predicts, and whether its steps add up."""
    input:
        weights=of_runs("<results>/runs/RUN/weights.parquet"),
        coherence=of_runs("<results>/runs/RUN/coherence.parquet"),
        library=library("weight_change.py"),
    output:
        changes="<results>/analysis/weight_change.parquet",
        coherence="<results>/analysis/coherence.parquet",
    log:
        "<logs>/weight_change.log",
    benchmark:
        "<benchmarks>/weight_change.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(2000),
        runtime=later(30),
    params:
        asked={"runs": RUNS, "beta1": BETA1},
    script:
        "../workflow_scripts/weight_change.py"


rule checks:
    """Tests the results themselves: a study that breaks an invariant gets no report."""
    input:
        plans=of_models("<results>/models/MODEL/plan.parquet", EVALUATED + SAMPLES),
        graded=of_models("<results>/models/MODEL/graded.parquet", EVALUATED + SAMPLES),
        datasets=[f"<results>/arms/{arm}/dataset.parquet" for arm in WITH_DATASET],
        questions=[f"<results>/arms/{arm}/questions.parquet" for arm in PRACTISING],
        evaluation="<results>/problems/eval.parquet",
        contamination="<results>/problems/contamination.parquet",
        levels="<results>/analysis/levels.parquet",
        manifests=of_runs("<results>/runs/RUN/manifest.json"),
        library=library("checks.py"),
    output:
        "<results>/checks.json",
    log:
        "<logs>/checks.log",
    benchmark:
        "<benchmarks>/checks.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=larger(4000),
        runtime=later(30),
    params:
        asked={
            "models": EVALUATED + SAMPLES,
            "arms": WITH_DATASET,
            **({"practising": PRACTISING} if PRACTISING else {}),
            "budgets": STUDY.evaluation.sizes,
            "draws": dict(STUDY.evaluation.draws_by_side),
            **({"unequal": UNEQUAL} if UNEQUAL else {}),
            **({"alike": ALIKE} if ALIKE else {}),
        },
    script:
        "../workflow_scripts/checks.py"
