"""The report's tables of the study itself: its problems, its budgets, what was contaminated, what every rule cost."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.tables.table import Group, Row, Table, word
from selfdistill.study.evaluation import ALL
from selfdistill.tables import words
from selfdistill.tables.endings import CUT, FINISHED, LOOP

SHARES = (words.ACCURACY, words.BOXED_RATE, words.CUT_RATE)  # that other people's tables state, too


def problem_counts(inputs: ReportInputs) -> Table | None:
    table = inputs.problem_counts
    if table is None or table.is_empty():
        return None
    words = [name for name in table.columns if not table.schema[name].is_numeric() or name == "level"]
    numbers = [name for name in table.columns if name not in words]
    rows = [
        Row([*(word(row[name]) for name in words), *(fmt.count(row[name]) for name in numbers)])
        for row in table.to_dicts()
    ]
    return Table("Problems by source, level and split", [*words, *numbers], [Group(rows)],
                 "problems/eval.parquet", text_columns=frozenset(range(len(words))))  # fmt: skip


def provided(inputs: ReportInputs) -> Table | None:
    """What came from the hub: which commit, under which licence, and what of it could be used."""
    if not inputs.hub:
        return None
    rows = [
        Row([
            word(name), word(facts["hub"]), word(facts["revision"] or "not known"), word(facts["digest"][:16]),
            word(facts["licence"] or fmt.MISSING), *_converted(inputs.conversions.get(name, {})),
        ])
        for name, facts in inputs.hub.items()
    ]  # fmt: skip
    columns = [
        "what",
        "repository",
        "commit",
        "digest",
        "licence, as stated",
        "problems kept",
        "of them mended",
        "with a solution",
        "rows left out, and why",
    ]
    note = "A local copy has no known commit; its digest tells copies apart. The file revisions.lock keeps all of this."
    return Table("Model and datasets from the hub", columns, [Group(rows)], "hub/", note, frozenset({0, 1, 2, 3, 4, 8}))


def _converted(audit: dict[str, Any]) -> list[Any]:
    """What was kept of a dataset, how many of its texts had LaTeX to mend, how many have a reference solution, and what
    was left out. Older conversions did not mend, and took no solutions along."""
    if not audit:
        return [fmt.MISSING, fmt.MISSING, fmt.MISSING, word(fmt.MISSING)]
    left_out = sorted(audit["dropped"].items(), key=lambda item: (-item[1], item[0]))
    said = "; ".join(f"{fmt.count(count)} {reason}" for reason, count in left_out) or fmt.MISSING
    alarm = f"ALARM: {audit['alarm']} " if audit.get("alarm") else ""
    solutions = fmt.count(audit["solutions"]) if "solutions" in audit else fmt.MISSING
    return [fmt.count(audit["kept"]), fmt.count(audit.get("mended", 0)), solutions, word(alarm + said)]


def mixtures(inputs: ReportInputs) -> Table | None:
    """Levels on parts of the full budget that have another composition, for comparison with other people's numbers."""
    names = inputs.study.get("evaluation", {}).get("mixtures") or {}
    draws = inputs.study.get("evaluation", {}).get("mixture_draws") or {}
    if not names or inputs.levels is None:
        return None
    table = inputs.levels.filter(
        pl.col("budget").is_in(list(names))
        & (pl.col("split") == "all")
        & pl.col("estimand").is_in(SHARES)
        & (pl.col("training_seed").is_null() | (pl.col("percent") == 100))
    )
    rows = []
    keys = ["budget", "model_id", "decode_id"]
    for (budget, model, decode), cell in table.group_by(keys, maintain_order=True):
        by = {row["estimand"]: row for row in cell.to_dicts()}
        shares = (by[name] for name in SHARES)
        rows.append(
            Row([word(str(budget)), word(str(model)), word(str(decode)), fmt.count(by[words.ACCURACY]["n"]),
                 *(f"{fmt.percent(row['estimate'])} {fmt.percent_interval(row['low'], row['high'])}" for row in shares)])
        )  # fmt: skip
    parts = "; ".join(
        f"{name}: {', '.join(f'{ALL if n == ALL else fmt.count(n)} of {s}' for s, n in parts.items())}"
        + (f", {draws[name]} answers to each" if name in draws else "")
        for name, parts in names.items()
    )
    note = f"Dev and test together. {parts}."
    columns = ["mixture", "model", "decode", "n", "accuracy", "in the asked format", "cut"]
    return Table("Other mixtures", columns, [Group(rows)], "analysis/levels.parquet", note, frozenset({0, 1, 2}))


def budgets(inputs: ReportInputs) -> Table | None:
    found = inputs.study.get("evaluation", {}).get("budgets") or {}
    if not found:
        return None
    rows = [Row([name, f"all {_asked(inputs)}" if size == ALL else fmt.count(size)]) for name, size in found.items()]
    return Table("Evaluation budgets", ["budget", "problems, dev and test"], [Group(rows)], "study.yaml")


def _asked(inputs: ReportInputs) -> str:
    """How many problems there were to ask."""
    counted = inputs.problem_counts
    if counted is None:
        return ""
    return fmt.count(int(counted.filter(pl.col("split") != "train")["problems"].sum()))


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
        Row([word(row["train_source"]), word(row["eval_source"]), word(row["method"]), fmt.count(row["training"]),
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
    note = "The pipeline dropped each of these training problems before it sampled anything."
    return Table(
        "Contamination found and removed",
        columns,
        [Group(rows)],
        "problems/contamination.parquet",
        note,
        frozenset({0, 1, 2}),
    )


def how_it_was_sampled(inputs: ReportInputs) -> Table | None:
    """Completions by purpose, engine and version: where engines differ, differences between models hold theirs too."""
    table = inputs.sampled
    if table is None or table.is_empty():
        return None
    ended = pl.col("finish_class").is_in(FINISHED)
    counts = pl.col("counter_period").is_not_null() if "counter_period" in table.columns else pl.lit(False)
    grouped = (
        table.group_by("purpose", "engine", "engine_version")
        .agg(
            pl.col("model_id").n_unique().alias("models"),
            pl.len().alias("completions"),
            pl.col("n_tokens").cast(pl.Int64).sum().alias("tokens"),
            (pl.col("finish_class") == CUT).sum().alias("cut"),
            (pl.col("finish_class") == LOOP).sum().alias("loop"),
            (pl.col("loop_period").is_not_null() & ended).sum().alias("looped and ended"),
            (counts & ~ended).sum().alias("counting"),
            (counts & ended).sum().alias("counted and ended"),
        )
        .sort("purpose", "engine", "engine_version")
    )
    numbers = ["models", "completions", "tokens", "cut", "loop", "looped and ended", "counting", "counted and ended"]
    rows = [
        Row([word(row["purpose"]), word(f"{row['engine']} {row['engine_version']}"), *(fmt.count(row[name]) for name in numbers)])
        for row in grouped.to_dicts()
    ]  # fmt: skip
    loops = inputs.study.get("sampling", {}).get("abort_loops")
    as_loops = inputs.study.get("grading", {}).get("loops", {}).get("counters", False)
    note = (
        "A completion that looped and then ended by itself counts by what it answers. A counting loop repeats its text but "
        "for the numbers in it, of which one changes by the same step each time: "
        f"here, unfinished completions that end so are {'loops' if as_loops else 'cut ones, and no loops'}."
    )
    if loops:
        note += (
            f" Sampling stopped a completion when its tail repeated a period of at most {fmt.count(loops['max_period'])} tokens "
            f"{loops['min_repeats']} times, so these are not samples of the model's own law."
        )
    if grouped.select("engine", "engine_version").n_unique() > 1:
        note += (
            " More than one engine or version drew samples, so a difference between models may be one between engines."
        )
    return Table(
        "How it was sampled", ["purpose", "engine", *numbers], [Group(rows)], "models/", note, frozenset({0, 1})
    )


def rule_times(inputs: ReportInputs) -> Table | None:
    table = inputs.rule_times
    if table is None or table.is_empty():
        return None
    memory = next((name for name in ("max_rss", "max_rss_mb") if name in table.columns), None)
    rows = [
        Row([word(row["rule"]), fmt.count(row["jobs"]), fmt.duration(row["seconds"]),
             f"{fmt.count(row[memory])} MB" if memory and row[memory] is not None else fmt.MISSING])
        for row in table.to_dicts()
    ]  # fmt: skip
    in_all = fmt.duration(float(table["seconds"].sum()))
    note = (
        f"{in_all} in total, as if jobs ran one after another. The numbers come from Snakemake's benchmark of each job."
    )
    return Table(
        "Time per rule",
        ["rule", "jobs", "time, all jobs", "most memory"],
        [Group(rows)],
        "",
        note,
    )
