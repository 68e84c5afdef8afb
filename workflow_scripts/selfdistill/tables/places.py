"""Where every table lies in a study's results, and which rule makes it, in the order of the flow.

A test holds this against the rules, and another against a finished study. `{model}` may hold slashes.
"""

from typing import NamedTuple

# Schemas that no rule makes a table of.
WITHOUT_RULE: tuple[str, ...] = ("analysis.ACROSS_STUDIES",)


class Place(NamedTuple):
    file: str  # in the results
    schema: str  # module.SCHEMA, as described.py names it
    rule: str
    of_runs: bool = False  # with the column `run` before the others
    declared: bool = True  # no: within a folder that the rule makes, or undeclared, so that it outlives the job


RUN = "runs/{arm}/seed-{seed}"

PLACES = (
    Place("problems/train.parquet", "problems.PROBLEMS", "problems"),
    Place("problems/eval.parquet", "problems.PROBLEMS", "problems"),
    Place("problems/contamination.parquet", "problems.CONTAMINATION", "problems"),
    Place("problems/prompts.parquet", "problems.PROMPTS", "prompts"),
    Place("problems/references.parquet", "problems.REFERENCES", "references"),
    Place("models/{model}/prompts.parquet", "contexts.CONTEXT_PROMPTS", "context_prompts"),
    Place("models/{model}/plan.parquet", "sampling.PLAN", "plan, plan_in_context, plan_ladder"),
    Place("models/{model}/shard-{shard}.parquet", "sampling.COMPLETIONS", "sample"),
    Place("models/{model}/journal-{shard}/{segment}.parquet", "sampling.COMPLETIONS", "sample", declared=False),
    Place("models/{model}/graded.parquet", "sampling.GRADED", "grade"),
    Place("arms/{arm}/dataset.parquet", "training.DATASET", "dataset, correct_dataset, reference_dataset"),
    Place("arms/{arm}/targets.parquet", "training.TARGETS", "teacher"),
    Place(f"{RUN}/log.parquet", "training.RUN_LOG", "train, practice"),
    Place(f"{RUN}/noise.parquet", "training.NOISE", "train, practice"),
    Place(f"{RUN}/weights.parquet", "training.WEIGHTS", "train, practice"),
    Place(f"{RUN}/histograms.parquet", "training.HISTOGRAMS", "train, practice"),
    Place(f"{RUN}/coherence.parquet", "training.COHERENCE", "train, practice"),
    Place("arms/{arm}/questions.parquet", "practice.QUESTIONS", "questions"),
    Place(f"{RUN}/rollouts.parquet", "practice.ROLLOUTS", "practice"),
    Place(f"{RUN}/updates.parquet", "practice.UPDATES", "practice"),
    Place(f"{RUN}/at-{{percent}}/trained_logprobs.parquet", "training.TRAINED_LOGPROBS", "train", declared=False),
    Place(f"{RUN}/at-{{percent}}/base_logprobs.parquet", "training.TRAINED_LOGPROBS", "train", declared=False),
    Place("analysis/levels.parquet", "analysis.ESTIMATES", "levels"),
    Place("analysis/comparisons.parquet", "analysis.COMPARISONS", "comparisons"),
    Place("analysis/verdicts.parquet", "analysis.VERDICTS", "verdicts"),
    Place("analysis/looks.parquet", "analysis.LOOKS", "verdicts"),
    Place("analysis/factorial.parquet", "analysis.EFFECTS", "factorial"),
    Place("analysis/variance.parquet", "analysis.VARIANCE", "variance"),
    Place("analysis/flips.parquet", "analysis.FLIPS", "comparisons"),
    Place("analysis/truncation.parquet", "analysis.TRUNCATION", "truncation"),
    Place("analysis/token_budgets.parquet", "analysis.TOKEN_BUDGETS", "truncation"),
    Place("analysis/difficulty.parquet", "analysis.DIFFICULTY", "difficulty"),
    Place("analysis/solving.parquet", "analysis.SOLVING", "solving"),
    Place("analysis/grader.parquet", "analysis.GRADER", "grader"),
    Place("audit/key.parquet", "analysis.AUDIT_KEY", "audit_sheet"),
    Place("analysis/grader_errors.parquet", "analysis.GRADER_ERRORS", "grader"),
    Place("analysis/corrected.parquet", "analysis.CORRECTED", "grader"),
    Place("analysis/noise_steps.parquet", "analysis.NOISE_STEPS", "noise", of_runs=True),
    Place("analysis/noise_summary.parquet", "analysis.NOISE_SUMMARY", "noise", of_runs=True),
    Place("analysis/weight_change.parquet", "analysis.WEIGHT_CHANGE", "weight_change", of_runs=True),
    Place("analysis/coherence.parquet", "analysis.PATH_COHERENCE", "weight_change", of_runs=True),
    Place("analysis/doubt.parquet", "doubt.DOUBT", "doubt"),
    Place("analysis/doubt_ratios.parquet", "doubt.DOUBT_RATIOS", "doubt"),
    Place("analysis/word_shift.parquet", "doubt.WORD_SHIFT", "doubt"),
    Place("analysis/practice.parquet", "practice_analysis.PRACTICE", "practice_analysis"),
    Place("analysis/practice_changes.parquet", "practice_analysis.PRACTICE_CHANGES", "practice_analysis"),
    Place("analysis/practice_signal.parquet", "practice_analysis.PRACTICE_SIGNAL", "practice_analysis"),
    Place("analysis/practice_cost.parquet", "practice_analysis.PRACTICE_COST", "practice_analysis"),
    Place("mechanism/carriers.parquet", "mechanism.CARRIERS", "carriers"),
    Place("disagreement/asked/{asked}/carriers.parquet", "mechanism.CARRIERS", "disagreement_texts", declared=False),
    Place("mechanism/plan.parquet", "mechanism.PROBE_PLAN", "carriers"),
    Place("disagreement/asked/{asked}/plan.parquet", "mechanism.PROBE_PLAN", "disagreement_texts", declared=False),
    Place("mechanism/probes/{model}.parquet", "mechanism.DISTRIBUTIONS", "probe"),
    Place("disagreement/laws/{model}.parquet", "mechanism.DISTRIBUTIONS", "read_again"),
    Place("mechanism/depths/{model}.parquet", "mechanism.DEPTHS", "probe"),
    Place("analysis/token_classes.parquet", "mechanism.TOKEN_CLASSES", "token_classes"),
    Place("analysis/mechanism.parquet", "mechanism.MECHANISM", "mechanism"),
    Place("analysis/ssd_fit.parquet", "mechanism.SSD_FIT", "mechanism"),
    Place("analysis/curves.parquet", "mechanism.CURVES", "mechanism"),
    Place("analysis/depth.parquet", "mechanism.DEPTH", "depth"),
    Place("analysis/strips.parquet", "mechanism.STRIPS", "strips"),
    Place("mechanism/gradients/{arm}/at-{percent}.parquet", "mechanism.GRADIENT_PRODUCTS", "gradients"),
    Place("analysis/noise_probe.parquet", "mechanism.NOISE_PROBE", "noise_probe"),
    Place("mechanism/branch_losses.parquet", "mechanism.BRANCH_LOSSES", "branch_runs"),
    Place("analysis/branches.parquet", "mechanism.BRANCHES", "branches"),
    Place("analysis/weight_overlap.parquet", "mechanism.WEIGHT_OVERLAP", "weight_overlap"),
    Place("disagreement/tokens.parquet", "mechanism.DISAGREEMENTS", "disagreement"),
    Place("analysis/context_kl.parquet", "mechanism.CONTEXT_KL", "disagreement"),
    Place("ladder/problems.parquet", "ladder.LADDER_PROBLEMS", "ladder_problems"),
    Place("ladder/chosen.parquet", "problems.PROBLEMS", "ladder_problems"),
    Place("analysis/ladder.parquet", "ladder.LADDER", "ladder"),
    Place("analysis/ladder_tests.parquet", "ladder.LADDER_TESTS", "ladder"),
    Place("analysis/ladder_examples.parquet", "ladder.LADDER_EXAMPLES", "ladder"),
    Place("ladder/{model}/texts.parquet", "ladder.INFORMATION_TEXTS", "information_texts"),
    Place("ladder/{model}/readings.parquet", "ladder.READINGS", "information_texts"),
    Place("ladder/{model}/logprobs.parquet", "ladder.LOGPROBS", "read_texts"),
    Place("analysis/information.parquet", "ladder.INFORMATION", "information"),
    Place("annotation/questions.parquet", "annotation.QUESTIONS", "judge_questions"),
    Place("annotation/plan.parquet", "annotation.JUDGE_PLAN", "judge_questions"),
    Place("annotation/replies.parquet", "sampling.COMPLETIONS", "judge"),
    Place("annotation/judgements.parquet", "annotation.JUDGEMENTS", "annotation"),
    Place("analysis/annotation.parquet", "annotation.ANNOTATION", "annotation"),
    Place("analysis/plugged.parquet", "analysis.PLUGGED", "plugged"),
)


def places_of(schema: str) -> list[Place]:
    return [place for place in PLACES if place.schema == schema]


def placed_schemas() -> list[str]:
    """In the order of the flow, each once."""
    return list(dict.fromkeys(place.schema for place in PLACES))
