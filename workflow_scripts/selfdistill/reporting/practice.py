"""What the page says of arms that practise: which they are, by what recipe, and what practice changed, in words."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, has_rows
from selfdistill.reporting.select import there
from selfdistill.study.practice import PracticeRecipe, practice_of
from selfdistill.tables import words
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_CHANGES, PRACTICE_COST


def practising(inputs: ReportInputs) -> list[str]:
    """The arms that practised, in the order of the study file."""
    if not has_rows(inputs.practice):
        return []
    found = set(there(inputs.practice, PRACTICE)["arm"])
    return [arm for arm in arm_names(inputs.study) if arm in found]


def recipe_of(study: dict[str, Any], arm: str) -> PracticeRecipe:
    shared = study.get("practice")
    own = study.get("arms", {}).get(arm, {}).get("practice") or {}
    return practice_of(PracticeRecipe.model_validate(shared) if shared else None, own)


def training_of(study: dict[str, Any], arm: str) -> dict[str, Any]:
    """The keys of training as they hold for the arm."""
    return {**study.get("training", {}), **(study.get("arms", {}).get(arm, {}).get("training") or {})}


def curve(inputs: ReportInputs, arm: str, measure: str) -> list[pl.DataFrame]:
    """The arm's leading curve, over all its trainings where there are several, and behind it those of single ones."""
    rows = there(inputs.practice, PRACTICE).filter(pl.col("arm") == arm, pl.col("measure") == measure)
    pooled = rows.filter(pl.col("training_seed").is_null())
    claim = words.CHECKPOINTS if words.CHECKPOINTS in pooled["claim"] else words.METHOD
    single = rows.filter(pl.col("training_seed").is_not_null()).partition_by("training_seed", maintain_order=True)
    leading = [pooled.filter(pl.col("claim") == claim)] if pooled.height else single[:1]
    return [each.sort("generation") for each in (*leading, *(single if pooled.height else single[1:]))]


def ends_of(inputs: ReportInputs, arm: str, measure: str) -> list[dict[str, Any]]:
    """The first and the last row of the leading curve."""
    found = curve(inputs, arm, measure)
    return [found[0].row(place, named=True) for place in (0, -1)] if found and not found[0].is_empty() else []


def changed(inputs: ReportInputs, arm: str, measure: str, claim: str | None = None) -> dict[str, Any]:
    """The row of a change over all trainings of the arm, of the strongest claim that they allow, or of this one."""
    rows = there(inputs.practice_changes, PRACTICE_CHANGES).filter(pl.col("arm") == arm, pl.col("measure") == measure)
    pooled = rows.filter(pl.col("training_seed").is_null())
    for wanted in [claim] if claim else [words.METHOD, words.CHECKPOINTS]:
        found = pooled.filter(pl.col("claim") == wanted, pl.col("low").is_not_null())
        if found.height:
            return found.row(0, named=True)
    left = rows if pooled.is_empty() else pooled
    return left.row(0, named=True) if left.height else {}


def sentences(inputs: ReportInputs) -> list[dict[str, str]]:
    """One for each arm that answered: what became of its reward, its length and its doubt."""
    found = []
    for arm in practising(inputs):
        reward = changed(inputs, arm, words.REWARD)
        if reward:
            parts = [_reward(reward), _length(changed(inputs, arm, words.MEAN_TOKENS))]
            parts.append(_doubt(changed(inputs, arm, words.DOUBTS), changed(inputs, arm, words.DOUBT_RATE)))
            found.append({"arm": arm, "sentence": f"{', '.join(filter(None, parts))}."})
        else:
            found.append({"arm": arm, "sentence": replayed(inputs, arm)})
    return found


def replayed(inputs: ReportInputs, arm: str) -> str:
    whose = inputs.study.get("arms", {}).get(arm, {}).get("replays")
    return (
        f"learnt from the answers of {whose}; it answered nothing itself, so that it has updates and no curves."
        if whose
        else ""
    )


def _verb(row: dict[str, Any], up: str, down: str, unclear: str) -> str:
    if row["low"] is None or row["low"] <= 0 <= row["high"]:
        return unclear
    return up if row["estimate"] > 0 else down


def _reward(row: dict[str, Any]) -> str:
    verb = _verb(row, "rose", "fell", "is not shown to change,")
    ends = f"from {fmt.percent(row['first'])} to {fmt.percent(row['last'])}"
    return f"the reward {verb} {ends} ({fmt.points_with_interval(row)} percentage points)"


def _length(row: dict[str, Any]) -> str:
    if not row:
        return ""
    verb = _verb(row, "grew", "shrank", "went")
    return f"answers {verb} from {fmt.count(row['first'])} to {fmt.plural(round(row['last']), 'token')}"


def _doubt(answer: dict[str, Any], rate: dict[str, Any]) -> str:
    """Each has a verb of its own: answers that grow may hold more words of doubt at a rate that falls."""
    if not answer or not rate or not answer["first"]:
        return ""
    per_answer = f"{_went(answer, 2)} words an answer"
    per_token = f"{_went(rate, 1)} per {fmt.count(1000)} tokens"
    return f"and doubt {per_answer} and {per_token}"


def _went(row: dict[str, Any], digits: int) -> str:
    verb = _verb(row, "rose", "fell", "went")
    return f"{verb} from {fmt.number(row['first'], digits)} to {fmt.number(row['last'], digits)}"


def splits_groups(inputs: ReportInputs, arm: str) -> bool:
    """Whether a micro-batch of the arm holds a part of the answers to a question, which then share its noise."""
    recipe = recipe_of(inputs.study, arm)
    return bool(training_of(inputs.study, arm).get("micro_batch", recipe.rollouts) % recipe.rollouts)


def repeats_questions(inputs: ReportInputs, arm: str) -> bool:
    """Whether a step asks, or may ask, a question more than once: an epoch that ends within a step begins anew in it."""
    recipe = recipe_of(inputs.study, arm)
    problems = recipe.coverage or asked_questions(inputs).get(arm, 0)
    if not problems or problems >= recipe.generations * recipe.questions:
        return False
    return problems % (recipe.questions // recipe.updates) > 0


def asked_questions(inputs: ReportInputs) -> dict[str, int]:
    """How many different ones the rollouts of an arm answer, of its first training."""
    found = there(inputs.practice_cost, PRACTICE_COST).group_by("arm").agg(pl.col("questions").first())
    return dict(found.iter_rows())


def overstates_signal(inputs: ReportInputs, arm: str) -> bool:
    return splits_groups(inputs, arm) or repeats_questions(inputs, arm)
