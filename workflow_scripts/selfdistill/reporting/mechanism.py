"""Which rows of the probes' tables the page shows: everywhere, of which arms, under which decode."""

from typing import Any

import polars as pl

from selfdistill.mechanism.verdict import depth_sentence, lock_and_fork_sentences, ssd_sentences
from selfdistill.reporting.inputs import ReportInputs, arm_names, has_rows
from selfdistill.reporting.select import lead_decode, there
from selfdistill.tables import words
from selfdistill.tables.mechanism import CURVES, DEPTH, MECHANISM, SSD_FIT

CLASSES = (words.EVERY_CLASS, *words.TOKEN_CLASSES)
FINER_CLASSES = (words.STRICT_LOCK, words.SWAPPED_LOCK, words.SELF_CORRECTION)


def everywhere(table: pl.DataFrame) -> pl.DataFrame:
    """Over all texts and all kinds of position."""
    return table.filter(pl.col("carriers") == words.BY_ALL, pl.col("position_kind") == words.EVERY_KIND)


def moved(inputs: ReportInputs) -> pl.DataFrame:
    return everywhere(there(inputs.mechanism, MECHANISM))


def fits(inputs: ReportInputs, arm: str) -> pl.DataFrame:
    """Of one arm against the target that it is shown beside."""
    rows = there(inputs.ssd_fit, SSD_FIT).filter(pl.col("arm") == arm)
    return rows.filter(pl.col("decode_id").eq_missing(pl.lit(target_of(inputs, arm))))


def curve(inputs: ReportInputs, name: str, model: str, token_class: str) -> pl.DataFrame:
    rows = everywhere(there(inputs.curves, CURVES)).filter(
        pl.col("curve") == name, pl.col("model") == model, pl.col("token_class") == token_class
    )
    return rows.unique("x", keep="first").drop_nulls("estimate").sort("x")


def moved_arms(inputs: ReportInputs) -> list[str]:
    """Whose laws were compared with the base's, in the order of the study."""
    return _arms_in(inputs, moved(inputs))


def fitted_arms(inputs: ReportInputs) -> list[str]:
    """For which there is a target, their own or another's."""
    rows = there(inputs.ssd_fit, SSD_FIT).filter(pl.col("method") != words.TARGET_IS_BASE)
    return _arms_in(inputs, rows)


def _arms_in(inputs: ReportInputs, table: pl.DataFrame) -> list[str]:
    found = set(table["arm"])
    return [arm for arm in arm_names(inputs.study) if arm in found]


def targets(inputs: ReportInputs) -> list[str]:
    """Decodes that ask for another law than the base's own, in the order of the arms that sampled with them."""
    rows = there(inputs.ssd_fit, SSD_FIT).filter(pl.col("method") != words.TARGET_IS_BASE)
    found = set(rows["decode_id"])
    own = [own_decode(inputs, arm) for arm in inputs.study.get("arms", {})]
    return [decode for decode in dict.fromkeys([*own, *sorted(found)]) if decode in found]


def target_of(inputs: ReportInputs, arm: str) -> str | None:
    """Its own decode's; of an arm whose decode asks for nothing, the study's first."""
    there_are = targets(inputs)
    own = own_decode(inputs, arm)
    return own if own in there_are else next(iter(there_are), None)


def own_decode(inputs: ReportInputs, arm: str) -> str | None:
    """Which its training samples were drawn with. An arm that practises has none: its decode is that of its rollouts."""
    settings = inputs.study.get("arms", {}).get(arm, {})
    return None if settings.get("method") else settings.get("decode")


def shown_decode(inputs: ReportInputs) -> str | None:
    """Under which kept sets and nuclei are told: the first target's decode, which is the one that training is about."""
    known = there(inputs.mechanism, MECHANISM)["decode_id"].drop_nulls().unique().to_list()
    first = next((decode for decode in targets(inputs) if decode in known), None)
    return first or (lead_decode(inputs.study, known) if known else None)


def row_of(rows: pl.DataFrame, **wanted: Any) -> dict[str, Any]:
    """The first row with these values, or nothing."""
    found = rows.filter(pl.col(name).eq_missing(pl.lit(value)) for name, value in wanted.items()).head(1).to_dicts()
    return found[0] if found else {}


def sentences(inputs: ReportInputs) -> dict[str, list[str]]:
    """What stands on top of each section."""
    return {
        "locks": [row["sentence"] for row in in_order(inputs, lock_and_fork_sentences(inputs.mechanism))]
        if inputs.mechanism is not None
        else [],
        "fit": [row["sentence"] for row in in_order(inputs, ssd_sentences(inputs.ssd_fit))]
        if inputs.ssd_fit is not None
        else [],
        "depth": [depth_sentence(there(inputs.depth, DEPTH), "base")] if has_rows(inputs.depth) else [],
    }


def in_order(inputs: ReportInputs, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    arms = arm_names(inputs.study)
    return sorted(rows, key=lambda row: arms.index(row["arm"]) if row["arm"] in arms else len(arms))


def has_interval(row: dict[str, Any]) -> bool:
    return bool(row) and row["low"] is not None and row["high"] is not None
