"""The tables of the report as a reader sees them: words and formatted numbers, out of the frames of the analysis.

A function returns a Table, or None when its frames are missing; the template decides where it stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.figures_evaluation import EFFECTS, final_levels, largest_budget, share_correct
from selfdistill.reporting.figures_training import runs_in_order, total
from selfdistill.reporting.inputs import ReportInputs, arm_names, is_difference_of, is_resampled_base, split_to_report
from selfdistill.tables import COMPARISONS

LEAD = "paired t"
OVER_SEEDS = "t over training seeds"


@dataclass(frozen=True)
class Row:
    cells: list[str]  # the first is the row's header
    minor: bool = False  # a single training seed under the row of its arm


@dataclass(frozen=True)
class Group:
    rows: list[Row]
    title: str = ""


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[str]
    groups: list[Group]
    source: str  # the file under the results folder that the numbers come from
    note: str = ""
    text_columns: frozenset[int] = field(default=frozenset({0}))  # the rest are numbers, set flush right


def main_results(inputs: ReportInputs) -> Table | None:
    """Accuracy of every finished model on the reported split: at each shared decode, then each at its best decode."""
    levels = final_levels(inputs, "accuracy")
    if levels.is_empty():
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = _base_row(inputs, decode) + _arm_rows(inputs, "matched", decode)
        groups.append(Group(rows, f"Same decode for all, {decode}: {decode_in_words(inputs, decode)}"))
    if fair := _arm_rows(inputs, "fair"):
        groups.append(Group(_best_base_row(inputs) + fair, "Fair: each side at its own best decode, chosen on dev"))
    columns = ["model", "accuracy", "difference from base, pp", "p", "p adjusted", "cut rate", "mean tokens", "n"]
    return Table(
        f"Every finished model on the {split_to_report(levels)} problems",
        columns,
        groups,
        "analysis/comparisons.parquet",
        "Brackets are 95 % intervals: Wilson (at the effective n where problems share families or have several "
        "draws) for levels, paired t over problems for differences. p is from sign flips of whole families; p "
        "adjusted is Benjamini–Hochberg over this grid of matched comparisons. Holm's adjustment of the planned "
        "hypotheses is in the answers above. Rows “over training seeds” take the seeds as the units: they speak of "
        "the method, the others of these checkpoints. Levels come from analysis/levels.parquet.",
    )


def decodes_at_the_end(inputs: ReportInputs) -> list[str]:
    """The decodes of the final evaluation, in the study's order; the base's own when there are no arms."""
    wanted = inputs.study.get("evaluation", {}).get("final") or []
    there = final_levels(inputs, "accuracy")["decode_id"].unique(maintain_order=True).to_list()
    return [decode for decode in wanted if decode in there] or there


def decode_in_words(inputs: ReportInputs, decode: str) -> str:
    return fmt.decode_in_words(inputs.study.get("decodes", {}).get(decode, {"temperature": float("nan")}))


def _base_row(inputs: ReportInputs, decode: str) -> list[Row]:
    return [Row(["base", *_level_cells(inputs, "base", decode, ["–", "–", "–"])])]


def _best_base_row(inputs: ReportInputs) -> list[Row]:
    fair = _differences(inputs, "accuracy", "fair").filter(pl.col("against") == "base")
    chosen = fair["against_decode_id"].unique(maintain_order=True).to_list()
    return [Row([f"base at {decode}", *_level_cells(inputs, "base", decode, ["–", "–", "–"])]) for decode in chosen]


def _arm_rows(inputs: ReportInputs, kind: str, decode: str | None = None) -> list[Row]:
    table = _differences(inputs, "accuracy", kind).filter(pl.col("against") == "base")
    if decode is not None:
        table = table.filter(pl.col("decode_id") == decode)
    rows = []
    for arm in arm_names(inputs.study):
        of_arm = table.filter(pl.col("arm") == arm)
        lead = of_arm.filter(pl.col("method") == LEAD)
        seeds = sorted(lead["training_seed"].drop_nulls().unique())
        pooled = lead.filter(pl.col("training_seed").is_null()).to_dicts()[:1] or lead.to_dicts()[:1]
        for row in pooled:
            rows.append(_difference_row(inputs, row, _arm_label(inputs, row, len(seeds)), False))
        if len(seeds) > 1:
            for row in lead.filter(pl.col("training_seed").is_not_null()).sort("training_seed").to_dicts():
                rows.append(_difference_row(inputs, row, f"seed {row['training_seed']}", True))
            for row in of_arm.filter(pl.col("method") == OVER_SEEDS).to_dicts()[:1]:
                rows.append(_over_seeds_row(row))
    return rows


def _arm_label(inputs: ReportInputs, row: dict[str, Any], seeds: int) -> str:
    label = row["arm"]
    if row["decode_id"] != row["against_decode_id"] or row.get("comparison") == "fair":
        label += f" at {row['decode_id']}"
    if is_resampled_base(inputs.study, row["arm"]):
        return f"{label} (A/A control)"
    return f"{label}, {seeds} seeds" if seeds > 1 else label


def _difference_row(inputs: ReportInputs, row: dict[str, Any], label: str, minor: bool) -> Row:
    cells = [fmt.points_with_interval(row), fmt.p_value(row["p_value"]), fmt.p_value(row["p_adjusted"])]
    return Row([label, *_level_cells(inputs, row["model_id"], row["decode_id"], cells)], minor)


def _over_seeds_row(row: dict[str, Any]) -> Row:
    n = f"{row['n']} seeds"
    return Row(
        ["over training seeds", "", fmt.points_with_interval(row), fmt.p_value(row["p_value"]), "", "", "", n], True
    )


def _level_cells(inputs: ReportInputs, model_id: str, decode: str, difference: list[str]) -> list[str]:
    """accuracy | the cells of the difference | cut rate | mean tokens | n"""
    accuracy, cut, tokens = (_level(inputs, name, model_id, decode) for name in ("accuracy", "cut_rate", "mean_tokens"))
    return [
        _percent_with_interval(accuracy),
        *difference,
        fmt.percent(cut.get("estimate")),
        fmt.count(tokens.get("estimate")),
        fmt.count(accuracy.get("n")),
    ]


def _level(inputs: ReportInputs, estimand: str, model_id: str, decode: str) -> dict[str, Any]:
    rows = final_levels(inputs, estimand).filter((pl.col("model_id") == model_id) & (pl.col("decode_id") == decode))
    return rows.row(0, named=True) if rows.height else {}


def _percent_with_interval(row: dict[str, Any]) -> str:
    return f"{fmt.percent(row.get('estimate'))} {fmt.percent_interval(row.get('low'), row.get('high'))}".strip()


def _differences(inputs: ReportInputs, estimand: str, kind: str) -> pl.DataFrame:
    """Differences at the end of training on the reported split and the largest budget."""
    table = inputs.comparisons
    if table is None or table.is_empty():
        return pl.DataFrame(schema=COMPARISONS)
    return table.filter(
        is_difference_of(estimand)
        & (pl.col("comparison") == kind)
        & pl.col("percent").is_in([0, 100])
        & (pl.col("split") == split_to_report(table))
        & (pl.col("budget") == largest_budget(table))
    )


def shorter_answers(inputs: ReportInputs) -> Table | None:
    """Is a gain more than finishing more often? Paired differences from base of what the token cap does."""
    accuracy = _differences(inputs, "accuracy", "matched").filter(
        (pl.col("against") == "base") & (pl.col("method") == LEAD)
    )
    if accuracy.is_empty():
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = []
        for arm in arm_names(inputs.study):
            for row in one_per_arm(accuracy.filter((pl.col("decode_id") == decode) & (pl.col("arm") == arm))):
                rows.append(Row([arm, *_shorter_cells(inputs, row)]))
        groups.append(Group(rows, f"at {decode}"))
    columns = ["arm", "accuracy", "where both finished", "bounds", "cut rate", "loop rate", "mean tokens"]
    return Table(
        "Differences from base at the same decode, in percentage points (tokens in tokens)",
        columns,
        groups,
        "analysis/comparisons.parquet",
        "95 % intervals, paired t over problems. “Where both finished” compares only answers that neither side had "
        "cut, and is itself a selection. Bounds: the accuracy difference if every cut answer had counted for base, "
        "and if every one had counted for the arm.",
    )


def _shorter_cells(inputs: ReportInputs, accuracy: dict[str, Any]) -> Iterator[str]:
    def difference(estimand: str) -> dict[str, Any]:
        rows = _differences(inputs, estimand, "matched").filter(
            (pl.col("against") == "base") & (pl.col("method") == LEAD)
        )
        same = rows.filter(
            (pl.col("model_id") == accuracy["model_id"]) & (pl.col("decode_id") == accuracy["decode_id"])
        )
        return next(iter(one_per_arm(same)), {})

    yield fmt.points_with_interval(accuracy)
    yield fmt.points_with_interval(difference("accuracy_when_both_finished"))
    bounds = [difference(f"accuracy, cut counted for {whom}").get("estimate") for whom in ("base", "the arm")]
    yield " to ".join(map(fmt.points, bounds)) if None not in bounds else fmt.MISSING
    yield fmt.points_with_interval(difference("cut_rate"))
    yield fmt.points_with_interval(difference("loop_rate"))
    tokens = difference("mean_tokens")
    ends = fmt.interval(tokens.get("low"), tokens.get("high"), 0, signed=True)
    yield f"{fmt.number(tokens.get('estimate'), 0, signed=True)} {ends}".strip()


def one_per_arm(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The row over all training seeds where there is one, else the single seed's."""
    return rows.sort(pl.col("training_seed").is_not_null(), maintain_order=True).to_dicts()[:1]


def three_methods(inputs: ReportInputs) -> Table | None:
    """The same differences by each interval method: conclusions should not hang on the choice."""
    table = _differences(inputs, "accuracy", "matched").filter(
        (pl.col("against") == "base") & (pl.col("method") != OVER_SEEDS)
    )
    methods = table["method"].unique(maintain_order=True).to_list()
    if len(methods) < 2:
        return None
    rows = []
    for arm in arm_names(inputs.study):
        for decode in decodes_at_the_end(inputs):
            here = table.filter((pl.col("arm") == arm) & (pl.col("decode_id") == decode))
            found = [one_per_arm(here.filter(pl.col("method") == method)) for method in methods]
            if any(found):
                cells = [fmt.points_interval(f[0]["low"], f[0]["high"]) if f else fmt.MISSING for f in found]
                estimate = next(f[0]["estimate"] for f in found if f)
                rows.append(Row([f"{arm} at {decode}", fmt.points(estimate), *cells]))
    return Table(
        "The same differences, three intervals",
        ["arm", "difference, pp", *methods],
        [Group(rows)],
        "analysis/comparisons.parquet",
    )


def pass_at_k(inputs: ReportInputs) -> Table | None:
    if inputs.levels is None or inputs.levels.is_empty():
        return None
    names = [name for name in inputs.levels["estimand"].unique().to_list() if name.startswith("pass@")]
    names.sort(key=lambda name: int(name.removeprefix("pass@")))
    if len(names) < 2:
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = []
        for arm in arm_names(inputs.study):
            of_arm = final_levels(inputs, "accuracy").filter((pl.col("arm") == arm) & (pl.col("decode_id") == decode))
            for lead in one_per_arm(of_arm):
                levels = [_level(inputs, name, lead["model_id"], decode) for name in names]
                rows.append(Row([arm, *map(_percent_with_interval, levels), fmt.count(lead["n"])]))
        groups.append(Group(rows, f"at {decode}"))
    note = (
        "Unbiased pass@k from the draws of each problem, 95 % intervals as for accuracy; at k equal to the number of "
        "draws it is only whether any draw was right."
    )
    return Table("Pass at k", ["model", *names, "n"], groups, "analysis/levels.parquet", note)


def factorial(inputs: ReportInputs) -> Table | None:
    """Main effects and interaction on accuracy and on the cut rate, at each decode."""
    if inputs.factorial is None or inputs.factorial.is_empty():
        return None
    table = inputs.factorial.filter(pl.col("method") == LEAD)
    groups = []
    for decode in table["decode_id"].unique(maintain_order=True).to_list():
        rows = []
        for effect in EFFECTS:
            here = table.filter(
                (pl.col("decode_id") == decode) & pl.col("estimand").is_in([effect, f"{effect} on cut_rate"])
            )
            found = {row["estimand"]: row for row in here.to_dicts()}
            accuracy, cut = found.get(effect), found.get(f"{effect} on cut_rate", {})
            if accuracy:
                rows.append(Row([
                    effect, fmt.points(accuracy["estimate"]), fmt.points_interval(accuracy["low"], accuracy["high"]),
                    fmt.p_value(accuracy["p_value"]), fmt.p_value(accuracy["p_adjusted"]),
                    fmt.points_with_interval(cut), fmt.count(accuracy["n"]),
                ]))  # fmt: skip
        groups.append(Group(rows, f"evaluated at {decode}: {decode_in_words(inputs, decode)}"))
    columns = ["effect", "on accuracy, pp", "95 % interval", "p", "p Holm", "on cut rate, pp", "n"]
    note = (
        "Contrasts of the four cells within each problem, paired t over problems; p by sign flips, Holm over the three "
        "effects of a decode."
    )
    return Table("Main effects and interaction", columns, groups, "analysis/factorial.parquet", note)


def filter_audit(inputs: ReportInputs) -> Table | None:
    rows = []
    for arm in arm_names(inputs.study):
        if not (entry := inputs.audits.get(arm)):
            continue
        counts = [
            fmt.count(entry.get(key)) for key in ("sampled", "finished", "cut", "looped", "empty", "kept", "used")
        ]
        before, after = entry.get("before") or {}, entry.get("after") or {}
        favour = entry.get("favour") or {}
        rows.append(Row([
            arm, str(entry.get("decode", fmt.MISSING)), str(entry.get("keep", fmt.MISSING)), *counts,
            " → ".join(fmt.percent(share_correct(entry, stage), 0) for stage in ("before", "after")),
            fmt.points(favour.get("correctness_difference")),
            f"{fmt.count(before.get('mean_tokens'))} → {fmt.count(after.get('mean_tokens'))}",
        ]))  # fmt: skip
    if not rows:
        return None
    columns = ["arm", "sampled with", "keeps", "sampled", "finished", "cut", "looped", "empty", "kept", "used",
               "correct", "filter favours correct by, pp", "mean tokens"]  # fmt: skip
    note = (
        "Correct and mean tokens: sampled → kept. A cut answer is never correct, so dropping the cut ones raises the share "
        "of correct ones without looking at an answer: by so many percentage points."
    )
    return Table("What each arm trained on", columns, [Group(rows)], "arms/*/audit.json", note, frozenset({0, 1, 2}))


def gradient_noise(inputs: ReportInputs) -> Table | None:
    summary = total(inputs.noise_summary)
    if summary is None:
        return None
    rows = []
    for run in runs_in_order(inputs, summary):
        for row in summary.filter((pl.col("run") == run) & (pl.col("window") == "run")).to_dicts()[:1]:
            low, high = row["signal_fraction_low"], row["signal_fraction_high"]
            rows.append(Row([
                run, fmt.count(row["steps"]), fmt.significant(row["signal"]),
                fmt.significant(row["trace_per_sequence"]),
                f"{fmt.percent(row['signal_fraction'])} {fmt.percent_interval(low, high)}", noise_scale_in_words(row),
                fmt.count(row["sequences"]), fmt.count(row["detection_limit"]),
            ]))  # fmt: skip
    columns = ["run", "steps", "signal |G|²", "noise tr Σ, one sequence", "share of |g|² that is signal",
               "noise scale, sequences", "batch", "detection limit"]  # fmt: skip
    note = (
        "|G|² and tr Σ are pooled as sums over steps before any ratio is taken, from gradients before clipping. The "
        "interval (95 %) belongs to |G|²/tr Σ and is inverted for the noise scale: where it reaches zero the scale "
        "is unbounded above. A scale up to the detection limit would have been told from no signal. Euclidean "
        "norms: Adam's own geometry differs."
    )
    return Table("Signal and noise over the whole run", columns, [Group(rows)], "analysis/noise_summary.parquet", note)


def noise_scale_in_words(row: dict[str, Any]) -> str:
    if row.get("noise_scale_text"):
        return str(row["noise_scale_text"])
    low, high = row.get("noise_scale_low"), row.get("noise_scale_high")
    if row.get("noise_scale") is None or high is None:
        return f"at least {fmt.count(low)}, unbounded above"
    return f"{fmt.count(row['noise_scale'])} {fmt.interval(low, high, 0)}"


def weights_changed(inputs: ReportInputs) -> Table | None:
    table = total(inputs.weight_change)
    if table is None:
        return None
    rows = []
    for run in runs_in_order(inputs, table):
        here = table.filter(pl.col("run") == run).sort("step")
        last = here.row(-1, named=True)
        middle = here.select(pl.col("changed_fraction", "predicted_fraction", "changed_to_predicted").median()).row(0)
        rows.append(Row([
            run, fmt.count(last["weights"]), fmt.percent(middle[0]), fmt.percent(middle[1]), fmt.number(middle[2]),
            fmt.percent(last["changed_since_start_fraction"]), fmt.significant(last["relative_distance"]),
            fmt.number(last["coherence"], 1),
        ]))  # fmt: skip
    columns = ["run", "weights", "changed in a step", "predicted", "seen / predicted", "changed since base",
               "distance / norm", "coherence"]  # fmt: skip
    note = (
        "Medians over steps; the last three columns at the end of training. Coherence |θ − θ₀|² / Σ|Δθ|²: about "
        "(1+β₁)/(1−β₁) for steps of pure noise, growing with the number of steps when they agree."
    )
    return Table(
        "Weights changed, as bfloat16 sees them", columns, [Group(rows)], "analysis/weight_change.parquet", note
    )


def problem_counts(inputs: ReportInputs) -> Table | None:
    table = inputs.problem_counts
    if table is None or table.is_empty():
        return None
    words = [name for name in table.columns if not table.schema[name].is_numeric() or name == "level"]
    numbers = [name for name in table.columns if name not in words]
    rows = [
        Row([*(_word(row[name]) for name in words), *(fmt.count(row[name]) for name in numbers)])
        for row in table.to_dicts()
    ]
    return Table("Problems by source, level and split", [*words, *numbers], [Group(rows)],
                 "problems/eval.parquet", text_columns=frozenset(range(len(words))))  # fmt: skip


def budgets(inputs: ReportInputs) -> Table | None:
    found = inputs.study.get("evaluation", {}).get("budgets") or {}
    if not found:
        return None
    rows = [Row([name, fmt.count(size)]) for name, size in found.items()]
    return Table("Evaluation budgets", ["budget", "problems, dev and test"], [Group(rows)], "study.yaml")


def contamination(inputs: ReportInputs) -> Table | None:
    """How many training problems were dropped as too like an evaluation problem, by source and method."""
    table = inputs.contamination
    if table is None or table.is_empty():
        return None
    grouped = table.group_by("train_source", "eval_source", "method", maintain_order=True).agg(
        pl.col("train_problem_id").n_unique().alias("training"),
        pl.col("eval_problem_id").n_unique().alias("evaluation"),
        pl.col("answers_agree").mean().alias("agree"),
    )
    rows = [
        Row([_word(row["train_source"]), _word(row["eval_source"]), _word(row["method"]), fmt.count(row["training"]),
             fmt.count(row["evaluation"]), fmt.percent(row["agree"], 0)])
        for row in grouped.sort("train_source", "eval_source", "method").to_dicts()
    ]  # fmt: skip
    columns = [
        "training source",
        "evaluation source",
        "found by",
        "training problems",
        "evaluation problems",
        "answers agree",
    ]
    note = "Each was dropped from training before anything was sampled."
    return Table(
        "Contamination found and removed",
        columns,
        [Group(rows)],
        "problems/contamination.parquet",
        note,
        frozenset({0, 1, 2}),
    )


def rule_times(inputs: ReportInputs) -> Table | None:
    table = inputs.rule_times
    if table is None or table.is_empty():
        return None
    memory = next((name for name in ("max_rss", "max_rss_mb") if name in table.columns), None)
    rows = [
        Row([_word(row["rule"]), fmt.count(row["jobs"]), fmt.duration(row["seconds"]),
             f"{fmt.count(row[memory])} MB" if memory and row[memory] is not None else fmt.MISSING])
        for row in table.to_dicts()
    ]  # fmt: skip
    in_all = fmt.duration(float(table["seconds"].sum()))
    note = f"{in_all} in all, jobs counted one after another. From the benchmark that Snakemake keeps of every job."
    return Table(
        "Seconds per rule",
        ["rule", "jobs", "time, all jobs", "most memory"],
        [Group(rows)],
        "",
        note,
    )


def _word(value: Any) -> str:
    return fmt.MISSING if value is None else str(value)
