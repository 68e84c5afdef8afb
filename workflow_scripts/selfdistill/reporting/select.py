"""Which rows of the analysis a figure or a table shows: the one place where "finished", "reported", "lead" are chosen.

Finished models are the untrained ones and those at 100 % of training. Numbers are of the test split, at the largest budget; of an arm with several training seeds the row over all of them leads, and the seeds follow.
"""

import sys
from typing import Any, Literal

import polars as pl

from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import LOOK
from selfdistill.study.factorial import Factorial, factorial_cells
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, EFFECTS, ESTIMATES
from selfdistill.tables.schema import Schema

FINISHED = pl.col("percent").is_in([0, 100])


def there(table: pl.DataFrame | None, schema: Schema) -> pl.DataFrame:
    """The table, or one without rows."""
    return pl.DataFrame(schema=schema) if table is None else table


def split_to_report(frame: pl.DataFrame) -> str:
    """Choices are made on dev and reported on test; a study without such a split reports on all."""
    splits = set(frame["split"].unique())
    return next((split for split in ("test", "all", "dev") if split in splits), "test")


def largest_budget(levels: pl.DataFrame) -> str:
    budgets = set(levels["budget"].drop_nulls().unique())
    return "full" if "full" in budgets else min(budgets, default="full")


def at_the_largest_budget(table: pl.DataFrame, *of: str) -> pl.DataFrame:
    """The rows of the largest budget; where looks left some of these (`of`) to stand, those of the last look they came to."""
    largest = largest_budget(table)
    if largest != "full" or not table["budget"].str.starts_with(LOOK).any():
        return table.filter(pl.col("budget") == largest)
    reached = (
        pl.when(pl.col("budget") == "full").then(pl.lit(sys.maxsize))
        .when(pl.col("budget").str.starts_with(LOOK)).then(pl.col("budget").str.strip_prefix(LOOK).cast(pl.Int64, strict=False))
        .otherwise(pl.lit(0))
    )  # fmt: skip
    return table.filter((reached > 0) & (reached == reached.max().over(of)))


def final_levels(inputs: ReportInputs, estimand: str) -> pl.DataFrame:
    """Levels of untrained and fully trained models on the reported split and the largest budget."""
    levels = there(inputs.levels, ESTIMATES)
    split = split_to_report(levels)
    levels = at_the_largest_budget(levels, "model_id", "decode_id", "split", "estimand")
    return levels.filter(FINISHED & (pl.col("estimand") == estimand) & (pl.col("split") == split))


def level_of(inputs: ReportInputs, estimand: str, model_id: str, decode: str) -> dict[str, Any]:
    rows = final_levels(inputs, estimand).filter((pl.col("model_id") == model_id) & (pl.col("decode_id") == decode))
    return rows.row(0, named=True) if rows.height else {}


def final_differences(inputs: ReportInputs, estimand: str, kind: str) -> pl.DataFrame:
    """Differences from the base at the end of training on the reported split and the largest budget, of every claim."""
    table = there(inputs.comparisons, COMPARISONS)
    split = split_to_report(table)
    table = table.filter(
        FINISHED & (pl.col("estimand") == estimand) & (pl.col("comparison") == kind) & (pl.col("against") == "base")
    )
    compared = ("arm", "decode_id") if kind == words.MATCHED else ("arm",)
    return at_the_largest_budget(table, *compared, "split").filter(pl.col("split") == split)


def checkpoint_levels(inputs: ReportInputs) -> pl.DataFrame:
    """Accuracy of every checkpoint and the base on the same problems: the budget of the earlier checkpoints."""
    levels = there(inputs.levels, ESTIMATES)
    levels = levels.filter((pl.col("estimand") == words.ACCURACY) & (pl.col("split") == split_to_report(levels)))
    earlier = levels.filter(pl.col("percent").is_between(1, 99) & pl.col("training_seed").is_not_null())
    if earlier.is_empty():
        return earlier
    same = pl.col("decode_id").is_in(earlier["decode_id"].unique().to_list())
    return levels.filter(same & (pl.col("budget") == earlier["budget"][0]))


def differences_along_training(inputs: ReportInputs, decode: str, budget: str) -> pl.DataFrame:
    """Paired differences in accuracy from the base at every checkpoint."""
    table = there(inputs.comparisons, COMPARISONS)
    return table.filter(
        (pl.col("estimand") == words.ACCURACY)
        & (pl.col("comparison") == words.MATCHED)
        & (pl.col("against") == "base")
        & (pl.col("decode_id") == decode)
        & (pl.col("budget") == budget)
        & (pl.col("split") == split_to_report(table))
        & (pl.col("percent") > 0)
    )


def sweep_levels(inputs: ReportInputs, estimand: str) -> pl.DataFrame:
    """Final levels at the decodes that differ in temperature only."""
    levels = final_levels(inputs, estimand)
    decodes = decodes_of_one_kind(inputs.study, levels["decode_id"].unique().to_list())
    return levels.filter(pl.col("decode_id").is_in(decodes))


def decodes_of_one_kind(study: dict[str, Any], names: list[str]) -> list[str]:
    """The decodes that differ in temperature only: a line through others would join unlike things."""

    def kind(name: str) -> tuple[Any, ...]:
        decode = study["decodes"][name]
        return (*(decode.get(key) or 0 for key in ("top_k", "min_p", "presence_penalty")), decode.get("top_p", 1.0))

    known = sorted(name for name in names if name in study.get("decodes", {}))
    kinds = [kind(name) for name in known]
    common = max(dict.fromkeys(kinds), key=kinds.count, default=None)
    return [name for name in known if kind(name) == common]


def factorial_effects(inputs: ReportInputs) -> pl.DataFrame:
    """Main effects and interaction on accuracy at every decode."""
    return there(inputs.factorial, EFFECTS).filter(pl.col("estimand").is_in(words.EFFECTS))


def trained_cells(study: dict[str, Any]) -> Factorial | None:
    """The arms that are the study's four cells, the same that its effects are computed from."""
    arms = {name: Arm.model_validate(fields) for name, fields in study.get("arms", {}).items()}
    decodes = {name: Decode.model_validate(fields) for name, fields in study.get("decodes", {}).items()}
    return factorial_cells(arms, decodes)


def truncation_rows(inputs: ReportInputs) -> pl.DataFrame:
    """The graded answers of untrained and fully trained models at the lead decode, with their arm."""
    if inputs.completions is None or inputs.completions.is_empty():
        return pl.DataFrame(schema={"arm": pl.String, "decode_id": pl.String})
    graded = inputs.completions.with_columns(arm=arm_of_model())
    if "purpose" in graded.columns:
        graded = graded.filter(pl.col("purpose") == "eval")
    finished = ~pl.col("model_id").str.contains("/at-") | pl.col("model_id").str.ends_with("/at-100")
    final = decodes_asked(inputs.study, "final")
    decodes = [name for name in graded["decode_id"].unique().to_list() if name in final or not final]
    if not decodes:
        return graded.clear()
    return graded.filter(finished & (pl.col("decode_id") == lead_decode(inputs.study, decodes)))


def pooled_first(levels: pl.DataFrame) -> list[pl.DataFrame]:
    """The rows of each model of an arm; the one over all its training seeds leads where there is one."""
    ordered = levels.sort(pl.col("training_seed").is_not_null(), "training_seed", maintain_order=True)
    return ordered.partition_by("model_id", maintain_order=True)


def one_per_arm(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The row over all training seeds where there is one, else the single seed's."""
    return rows.sort(pl.col("training_seed").is_not_null(), maintain_order=True).to_dicts()[:1]


def decodes_asked(study: dict[str, Any], models: Literal["base", "final"]) -> list[str]:
    """The decodes at which the study evaluates the base, or finished models."""
    return study.get("evaluation", {}).get("decodes", {}).get(models) or []


def lead_decode(study: dict[str, Any], available: list[str]) -> str:
    """The decode shown where there is room for one: the first hypothesis's, else the first of the final evaluation."""
    planned = [h.get("decode") for h in study.get("hypotheses", {}).values()]
    wanted = [*planned, *decodes_asked(study, "final"), *sorted(available)]
    return next(decode for decode in wanted if decode in available)


def decodes_at_the_end(inputs: ReportInputs) -> list[str]:
    """The decodes of the final evaluation, in the study's order; the base's own when there are no arms."""
    evaluated = final_levels(inputs, words.ACCURACY)["decode_id"].unique(maintain_order=True).to_list()
    return [decode for decode in decodes_asked(inputs.study, "final") if decode in evaluated] or evaluated


def arm_of_model() -> pl.Expr:
    return pl.col("model_id").str.split("/").list.first()


def runs_in_order(inputs: ReportInputs, table: pl.DataFrame) -> list[str]:
    order = {arm: place for place, arm in enumerate(arm_names(inputs.study))}
    return sorted(table["run"].unique().to_list(), key=lambda run: (order.get(arm_of_run(run), len(order)), run))


def arm_of_run(run: str) -> str:
    return run.split("/")[0]


def total(table: pl.DataFrame | None, geometry: str = words.EUCLIDEAN) -> pl.DataFrame | None:
    """The rows of the whole model, not of one layer group, in one geometry; None when there are none."""
    if table is None or table.is_empty():
        return None
    for column, value in (("group", words.TOTAL), ("geometry", geometry)):
        table = table.filter(pl.col(column) == value) if column in table.columns else table
    return table


def on_references(audit: dict[str, Any]) -> bool:
    """Whether an arm learned the dataset's own solutions, which no filter chose."""
    return bool(audit.get("samples") == words.REFERENCE)


def share_correct(audit: dict[str, Any], stage: Literal["before", "after"]) -> float | None:
    """Share of correct samples before or after the filter of an arm."""
    return (audit.get(stage) or {}).get("correctness", {}).get("rate")
