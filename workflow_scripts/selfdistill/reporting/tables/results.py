"""The report's tables of models and arms: accuracy, differences, rates, the two by two."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from selfdistill.foundation import wording
from selfdistill.foundation.wording import several
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.figures.evaluation import fair_menus, final_levels, largest_budget
from selfdistill.reporting.inputs import ReportInputs, arm_names, is_resampled_base, split_to_report
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS


def main_results(inputs: ReportInputs) -> Table | None:
    """Accuracy of every finished model on the reported split: at each shared decode, then each at its best decode."""
    levels = final_levels(inputs, words.ACCURACY)
    if levels.is_empty():
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = _base_row(inputs, decode) + _arm_rows(inputs, words.MATCHED, decode)
        groups.append(Group(rows, f"Same decode for all, {decode}: {decode_in_words(inputs, decode)}"))
    if fair := _arm_rows(inputs, words.FAIR):
        groups.append(Group(_best_base_row(inputs) + fair, "Fair: each side at its own best decode, chosen on dev"))
    columns = ["model", "accuracy", "difference from base, pp", "p", "p adjusted", "cut rate", "mean tokens", "n"]
    return Table(
        f"Every finished model on the {split_to_report(levels)} problems",
        columns,
        groups,
        "analysis/comparisons.parquet",
        "Brackets are 95 % intervals: Wilson (at the effective n where problems share families or have several "
        "draws) for levels, paired t over problems or their families for differences. p is from sign flips of whole families; p "
        "adjusted is Benjamini–Hochberg over this grid of matched comparisons. Holm's adjustment of the planned "
        "hypotheses is in the answers above. Rows “over training seeds” take the seeds as the units: they speak of "
        "the method, the others of these checkpoints. Levels come from analysis/levels.parquet. "
        f"{n_counts(levels)} {fair_menus(inputs)}".strip(),
    )


def n_counts(rows: pl.DataFrame) -> str:
    """What the column n counts, from the rows themselves."""
    units = [several(unit) for unit in rows["unit"].drop_nulls().unique(maintain_order=True)]
    explained = ["families of near-duplicate problems" if unit == "families" else unit for unit in units]
    return f"n counts {' or '.join(explained)}." if explained else ""


def decodes_at_the_end(inputs: ReportInputs) -> list[str]:
    """The decodes of the final evaluation, in the study's order; the base's own when there are no arms."""
    wanted = inputs.study.get("evaluation", {}).get("decodes", {}).get("final") or []
    there = final_levels(inputs, words.ACCURACY)["decode_id"].unique(maintain_order=True).to_list()
    return [decode for decode in wanted if decode in there] or there


def decode_in_words(inputs: ReportInputs, decode: str) -> str:
    return wording.decode_in_words(inputs.study.get("decodes", {}).get(decode, {"temperature": float("nan")}))


def _base_row(inputs: ReportInputs, decode: str) -> list[Row]:
    return [Row(["base", *_level_cells(inputs, "base", decode, ["–", "–", "–"])])]


def _best_base_row(inputs: ReportInputs) -> list[Row]:
    fair = _differences(inputs, words.ACCURACY, words.FAIR).filter(pl.col("against") == "base")
    chosen = fair["against_decode_id"].unique(maintain_order=True).to_list()
    return [Row([f"base at {decode}", *_level_cells(inputs, "base", decode, ["–", "–", "–"])]) for decode in chosen]


def _arm_rows(inputs: ReportInputs, kind: str, decode: str | None = None) -> list[Row]:
    table = _differences(inputs, words.ACCURACY, kind).filter(pl.col("against") == "base")
    if decode is not None:
        table = table.filter(pl.col("decode_id") == decode)
    rows = []
    for arm in arm_names(inputs.study):
        of_arm = table.filter(pl.col("arm") == arm)
        lead = of_arm.filter(pl.col("method") == words.LEAD)
        seeds = sorted(lead["training_seed"].drop_nulls().unique())
        pooled = lead.filter(pl.col("training_seed").is_null()).to_dicts()[:1] or lead.to_dicts()[:1]
        for row in pooled:
            rows.append(_difference_row(inputs, row, _arm_label(inputs, row, len(seeds)), False))
        if len(seeds) > 1:
            for row in lead.filter(pl.col("training_seed").is_not_null()).sort("training_seed").to_dicts():
                rows.append(_difference_row(inputs, row, f"seed {row['training_seed']}", True))
            for row in of_arm.filter(pl.col("method") == words.OVER_SEEDS).to_dicts()[:1]:
                rows.append(_over_seeds_row(row))
    return rows


def _arm_label(inputs: ReportInputs, row: dict[str, Any], seeds: int) -> str:
    label = row["arm"]
    if row["decode_id"] != row["against_decode_id"] or row.get("comparison") == words.FAIR:
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
    accuracy, cut, tokens = (
        _level(inputs, name, model_id, decode) for name in (words.ACCURACY, words.CUT_RATE, words.MEAN_TOKENS)
    )
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
        (pl.col("estimand") == estimand)
        & (pl.col("comparison") == kind)
        & pl.col("percent").is_in([0, 100])
        & (pl.col("split") == split_to_report(table))
        & (pl.col("budget") == largest_budget(table))
    )


def shorter_answers(inputs: ReportInputs) -> Table | None:
    """Is a gain more than finishing more often? Paired differences from base of what the token cap does."""
    accuracy = _differences(inputs, words.ACCURACY, words.MATCHED).filter(
        (pl.col("against") == "base") & (pl.col("method") == words.LEAD)
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
        "95 % intervals, paired t over problems or their families. “Where both finished” compares only answers that neither side had "
        "cut, and is itself a selection. Bounds: the accuracy difference if every cut answer had counted for base, "
        "and if every one had counted for the arm.",
    )


def _shorter_cells(inputs: ReportInputs, accuracy: dict[str, Any]) -> Iterator[str]:
    def difference(estimand: str) -> dict[str, Any]:
        rows = _differences(inputs, estimand, words.MATCHED).filter(
            (pl.col("against") == "base") & (pl.col("method") == words.LEAD)
        )
        same = rows.filter(
            (pl.col("model_id") == accuracy["model_id"]) & (pl.col("decode_id") == accuracy["decode_id"])
        )
        return next(iter(one_per_arm(same)), {})

    yield fmt.points_with_interval(accuracy)
    yield fmt.points_with_interval(difference(words.WHEN_BOTH_FINISHED))
    bounds = [difference(words.cut_counted_for(whom)).get("estimate") for whom in ("base", words.THE_ARM)]
    yield " to ".join(map(fmt.points, bounds)) if None not in bounds else fmt.MISSING
    yield fmt.points_with_interval(difference(words.CUT_RATE))
    yield fmt.points_with_interval(difference(words.LOOP_RATE))
    tokens = difference(words.MEAN_TOKENS)
    ends = fmt.interval(tokens.get("low"), tokens.get("high"), 0, signed=True)
    yield f"{fmt.number(tokens.get('estimate'), 0, signed=True)} {ends}".strip()


def one_per_arm(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The row over all training seeds where there is one, else the single seed's."""
    return rows.sort(pl.col("training_seed").is_not_null(), maintain_order=True).to_dicts()[:1]


def three_methods(inputs: ReportInputs) -> Table | None:
    """The same differences by each interval method: conclusions should not hang on the choice."""
    table = _differences(inputs, words.ACCURACY, words.MATCHED).filter(
        (pl.col("against") == "base") & (pl.col("method") != words.OVER_SEEDS)
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
    names = [name for name in inputs.levels["estimand"].unique().to_list() if name.startswith(words.PASS_AT)]
    names.sort(key=lambda name: int(name.removeprefix(words.PASS_AT)))
    if len(names) < 2:
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = []
        for arm in arm_names(inputs.study):
            of_arm = final_levels(inputs, words.ACCURACY).filter(
                (pl.col("arm") == arm) & (pl.col("decode_id") == decode)
            )
            for lead in one_per_arm(of_arm):
                levels = [_level(inputs, name, lead["model_id"], decode) for name in names]
                rows.append(Row([arm, *map(_percent_with_interval, levels), fmt.count(lead["n"])]))
        groups.append(Group(rows, f"at {decode}"))
    note = (
        "Unbiased pass@k from the draws of each problem, 95 % intervals as for accuracy; at k equal to the number of "
        f"draws it is only whether any draw was right. {n_counts(final_levels(inputs, names[0]))}"
    )
    return Table("Pass at k", ["model", *names, "n"], groups, "analysis/levels.parquet", note)


def factorial(inputs: ReportInputs) -> Table | None:
    """Main effects and interaction on accuracy and on the cut rate, at each decode."""
    if inputs.factorial is None or inputs.factorial.is_empty():
        return None
    table = inputs.factorial.filter(pl.col("method") == words.LEAD)
    groups = []
    for decode in table["decode_id"].unique(maintain_order=True).to_list():
        rows = []
        for effect in words.EFFECTS:
            on_cut = words.on(effect, words.CUT_RATE)
            here = table.filter((pl.col("decode_id") == decode) & pl.col("estimand").is_in([effect, on_cut]))
            found = {row["estimand"]: row for row in here.to_dicts()}
            accuracy, cut = found.get(effect), found.get(on_cut, {})
            if accuracy:
                rows.append(Row([
                    effect, fmt.points(accuracy["estimate"]), fmt.points_interval(accuracy["low"], accuracy["high"]),
                    fmt.p_value(accuracy["p_value"]), fmt.p_value(accuracy["p_adjusted"]),
                    fmt.points_with_interval(cut), fmt.count(accuracy["n"]),
                ]))  # fmt: skip
        groups.append(Group(rows, f"evaluated at {decode}: {decode_in_words(inputs, decode)}"))
    columns = ["effect", "on accuracy, pp", "95 % interval", "p", "p Holm", "on cut rate, pp", "n"]
    note = (
        "Contrasts of the four cells within each problem, paired t over problems or their families; p by sign flips. "
        "Intervals and p hold the noise of problems only, not of training: a cell with several training seeds is their "
        "average, a cell with one seed speaks of that one training. Holm covers the three effects within one decode and "
        f"one outcome, no more. {n_counts(table)}"
    )
    return Table("Main effects and interaction", columns, groups, "analysis/factorial.parquet", note)


RATES = {
    words.ACCURACY: "correct",
    words.THINK_CLOSE_RATE: "closed its thought",
    words.BOXED_RATE: "boxed an answer",
    words.CUT_RATE: "cut",
    words.LOOP_RATE: "looped",
}


def base_at_every_decode(inputs: ReportInputs) -> Table | None:
    """The sweep and the baselines: what can be had from the base by decoding alone."""
    levels = final_levels(inputs, words.ACCURACY) if inputs.levels is not None else pl.DataFrame()
    if levels.is_empty():
        return None
    known = set(levels.filter(pl.col("model_id") == "base")["decode_id"])
    decodes = [name for name in inputs.study.get("evaluation", {}).get("decodes", {}).get("base", []) if name in known]
    rows = [
        Row([decode, decode_in_words(inputs, decode).rsplit(", at most", 1)[0], *_rate_cells(inputs, "base", decode)])
        for decode in decodes
    ]
    return Table(
        "The base at every decode", ["decode", "which is", *RATES.values(), "mean tokens", "n"], [Group(rows)],
        "analysis/levels.parquet", f"{_RATES_NOTE} {n_counts(levels)}", frozenset({0, 1}),
    )  # fmt: skip


def rates_of_models(inputs: ReportInputs) -> Table | None:
    """How answers end, for every finished model at every decode it was asked at."""
    if inputs.levels is None or inputs.levels.is_empty():
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        at_decode = final_levels(inputs, words.ACCURACY).filter(pl.col("decode_id") == decode)
        rows = [
            Row([arm, *_rate_cells(inputs, lead["model_id"], decode)])
            for arm in arm_names(inputs.study)
            for lead in one_per_arm(at_decode.filter(pl.col("arm") == arm))
        ]
        groups.append(Group(rows, f"at {decode}"))
    columns = ["model", *RATES.values(), "mean tokens", "n"]
    note = f"{_RATES_NOTE} {n_counts(final_levels(inputs, words.ACCURACY))}"
    return Table("How answers end", columns, groups, "analysis/levels.parquet", note)


_RATES_NOTE = (
    "Shares of all answers; cut includes looped. Brackets are 95 % intervals: Wilson, at the effective n where problems "
    "have several draws or share families."
)


def _rate_cells(inputs: ReportInputs, model_id: str, decode: str) -> list[str]:
    levels = [_level(inputs, estimand, model_id, decode) for estimand in RATES]
    tokens = _level(inputs, words.MEAN_TOKENS, model_id, decode)
    return [
        _percent_with_interval(levels[0]),
        *(fmt.percent(level.get("estimate")) for level in levels[1:]),
        fmt.count(tokens.get("estimate")),
        fmt.count(levels[0].get("n")),
    ]
