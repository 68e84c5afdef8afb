"""Tables of arms that practise: their recipes, what changed, what cut answers leave open, updates, gradients, costs."""

from collections.abc import Callable
from typing import Any

import polars as pl

from selfdistill.foundation.wording import MINUS, decode_in_words
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.practice import (
    changed,
    ends_of,
    practising,
    recipe_of,
    repeats_questions,
    splits_groups,
    training_of,
)
from selfdistill.reporting.select import there
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.reporting.tables.training import noise_scale_in_words
from selfdistill.reporting.truncation import (
    bounds_in_words,
    cut_share,
    outer_bounds,
    truncation_decode,
    truncation_row,
)
from selfdistill.study.practice import PracticeRecipe
from selfdistill.study.recipe_words import DIVERGENCES, teacher_in_words, told_in_words
from selfdistill.tables import words
from selfdistill.tables.practice_analysis import PRACTICE_COST, PRACTICE_SIGNAL

REWARDED = "grpo"


def arms(inputs: ReportInputs) -> Table | None:
    """Each arm's recipe in words."""
    rows = [Row([arm, *_recipe(inputs.study, arm)]) for arm in practising(inputs)]
    if not rows:
        return None
    return Table(
        "Arms that practise, and how",
        ["arm", "learns", "from", "a generation", "at"],
        [Group(rows)],
        "study.yaml",
        "In each generation the model as it is answers the questions, and learns from its answers in so many steps. Right and wrong are told by the "
        "same grading as everywhere on this page.",
        frozenset(range(5)),
    )


def _recipe(study: dict[str, Any], arm: str) -> list[str]:
    fields, recipe = study["arms"][arm], recipe_of(study, arm)
    return [
        _lesson(study, fields, recipe),
        _questions(fields, recipe),
        f"{fmt.plural(recipe.questions, 'question')} × {recipe.rollouts} in {fmt.plural(recipe.updates, 'step')}, {fmt.count(recipe.generations)} times",
        _rates(study, arm, fields, recipe),
    ]


def _lesson(study: dict[str, Any], fields: dict[str, Any], recipe: PracticeRecipe) -> str:
    prefix = f"; only the first {fmt.plural(recipe.prefix, 'token')} of an answer" if recipe.prefix else ""
    if fields["method"] == REWARDED:
        scaled = ", divided by the group’s deviation" if recipe.scale_rewards == "group" else ""
        dual = f", at most {recipe.dual_clip:g}" if recipe.dual_clip else ""
        clip = f"ratio within 1 {MINUS} {recipe.clip[0]:g} to 1 + {recipe.clip[1]:g}{dual}"
        return f"the reward less its group’s mean{scaled}; {clip}{prefix}"
    support = f"the student’s {recipe.support} likeliest tokens" if recipe.support else "the whole law"
    tail = " and the rest as one" if recipe.support and recipe.tail else ""
    told = told_in_words(study.get("contexts", {}), fields.get("context"), "another right answer of the group")
    return f"{DIVERGENCES[recipe.divergence]} to {teacher_in_words(recipe)}, {told}, on {support}{tail}{prefix}"


def _questions(fields: dict[str, Any], recipe: PracticeRecipe) -> str:
    if fields.get("replays"):
        return f"the answers of {fields['replays']}"
    return f"the first {fmt.plural(recipe.coverage, 'problem')}" if recipe.coverage else "all training problems"


def _rates(study: dict[str, Any], arm: str, fields: dict[str, Any], recipe: PracticeRecipe) -> str:
    training = training_of(study, arm)
    rate = f"rate {training['lr']:g}, {training.get('schedule', 'cosine')}" if "lr" in training else ""
    lora = training.get("lora")
    adapters = f"LoRA of rank {lora['rank']}" if lora else ""
    name = fields.get("decode") or recipe.decode
    decode = study.get("decodes", {}).get(name) if name else None
    return "; ".join(filter(None, [rate, adapters, decode_in_words(decode) if decode else ""]))


CHANGES = {
    words.REWARD: "right answers",
    words.MEAN_TOKENS: "tokens",
    words.DOUBTS: words.DOUBTS,
    words.DOUBT_RATE: f"doubts per {fmt.count(1000)} tokens",
    words.CUT_RATE: "cut",
}
DIGITS = {words.MEAN_TOKENS: 0, words.DOUBTS: 2, words.DOUBT_RATE: 1}


def changes(inputs: ReportInputs) -> Table | None:
    """From the answers of the base to those of the last generations, and what a claim about the method can say."""
    answering = [arm for arm in practising(inputs) if changed(inputs, arm, words.REWARD)]
    if not answering:
        return None
    groups = [
        Group([_changes_of(inputs, arm, measure) for arm in answering], title=title)
        for measure, title in CHANGES.items()
    ]
    first = changed(inputs, answering[0], words.REWARD)
    return Table(
        "Answers to the questions of training: the base’s, those at the end, and the difference",
        ["arm", "base", "end", f"difference, {words.CHECKPOINTS}", f"difference, {words.METHOD}"],
        groups,
        "analysis/practice_changes.parquet",
        f"The first generation is answered by the base; the end is {_last(first['generations'])}. Differences of shares are in percentage points. "
        "Brackets are 95 % intervals over questions, paired where both ends ask the same: Newcombe’s for shares, else t; of the method they hold the variance "
        "between trainings, too, and one training says nothing of it. The arms ask questions of training, so nothing here is held out.",
    )


def _last(generations: int) -> str:
    return "the last generation" if generations == 1 else f"the last {generations} generations"


def _changes_of(inputs: ReportInputs, arm: str, measure: str) -> Row:
    seen, method = (changed(inputs, arm, measure, claim) for claim in (words.CHECKPOINTS, words.METHOD))
    ends = [numbered(_level(measure, seen[end]), "practice_changes", seen, end) for end in ("first", "last")]
    of_method = _difference(measure, method) if method["claim"] == words.METHOD else fmt.MISSING
    return Row([arm, *ends, _difference(measure, seen), of_method])


def _level(measure: str, value: float | None) -> str:
    return fmt.number(value, DIGITS[measure]) if measure in DIGITS else fmt.percent(value)


def _difference(measure: str, row: dict[str, Any]) -> str:
    if measure not in DIGITS:
        return numbered(fmt.points_with_interval(row), "practice_changes", row)
    digits = DIGITS[measure]
    ends = fmt.interval(row["low"], row["high"], digits, signed=True)
    return numbered(f"{fmt.number(row['estimate'], digits, signed=True)} {ends}".strip(), "practice_changes", row)


def bounds(inputs: ReportInputs) -> Table | None:
    """What the cut answers leave open, on the questions of training and on the evaluation."""
    answering = [arm for arm in practising(inputs) if changed(inputs, arm, words.REWARD_CUT_AT_START)]
    if not answering:
        return None
    groups = [Group([_bounds_in_training(inputs, arm) for arm in answering], "on the questions of training")]
    if decode := truncation_decode(inputs):
        held_out = [_bounds_held_out(inputs, arm, decode) for arm in practising(inputs)]
        groups.append(Group([row for row in held_out if row], f"on held-out problems, at {decode}"))
    return Table(
        "What cut answers leave open, in percentage points",
        ["arm", "cut: base → end", "difference", "if nothing is assumed"],
        [group for group in groups if group.rows],
        "analysis/practice_changes.parquet, analysis/truncation.parquet",
        "An answer that the token cap cuts counts as wrong, whatever it would have said. Practice changes how long answers are, so that a gain may be one of "
        "length, and a loss, too. If nothing is assumed: from the difference if every cut answer of the base had been right and none of the arm’s, to the "
        "difference if it had been the other way round; the bracket reaches from the lower end of the first one’s interval to the upper end of the second’s.",
    )


def _bounds_in_training(inputs: ReportInputs, arm: str) -> Row:
    cut, seen, least, most = (
        changed(inputs, arm, measure, words.CHECKPOINTS)
        for measure in (words.CUT_RATE, words.REWARD, words.REWARD_CUT_AT_START, words.REWARD_CUT_AT_END)
    )
    shares = f"{fmt.percent(cut['first'])} → {fmt.percent(cut['last'])}"
    return Row([arm, shares, _difference(words.REWARD, seen), bounds_in_words(least, most)])


def _bounds_held_out(inputs: ReportInputs, arm: str, decode: str) -> Row | None:
    gain, outer = truncation_row(inputs, words.ACCURACY, arm, decode), outer_bounds(inputs, arm, decode)
    if not gain or not outer:
        return None
    shares = (fmt.percent(cut_share(inputs, whose, decode)) for whose in ("base", arm))
    return Row([arm, " → ".join(shares), fmt.points_with_interval(gain), bounds_in_words(*outer)])


UPDATED: dict[str, tuple[str, Callable[[float], str]]] = {
    "all right": (words.ALL_RIGHT_RATE, fmt.percent),
    "all wrong": (words.ALL_WRONG_RATE, fmt.percent),
    "taught": (words.TAUGHT_RATE, fmt.percent),
    "clipped below": (words.CLIPPED_LOW, fmt.percent),
    "clipped above": (words.CLIPPED_HIGH, fmt.percent),
    "engine weight cut": (words.IS_CLIPPED, fmt.percent),
    "|trainer − engine|": (words.ENGINE_DIFFERENCE, fmt.significant),
    "KL to the teacher": (words.TEACHER_KL, fmt.significant),
    "KL to the base": (words.BASE_KL, fmt.significant),
    "entropy": (words.LAW_ENTROPY, fmt.significant),
}


def updates(inputs: ReportInputs) -> Table | None:
    """The first and the last generation of everything that an update reports."""
    groups = [Group(_ends(inputs, measure, form), title) for title, (measure, form) in UPDATED.items()]
    groups = [group for group in groups if group.rows]
    if not groups:
        return None
    return Table(
        "Groups and updates",
        ["arm", "first generation", "last"],
        groups,
        "analysis/practice.parquet",
        "All right, all wrong: groups whose answers have one reward, from which a reward teaches nothing. Taught: answers that had a teacher. Clipped: tokens whose ratio of "
        "new to old probability was; nothing is, where a generation has one step. Engine weight cut: tokens whose weight for the difference between trainer and engine "
        "was. The rest is in nats per token. Of several trainings the mean.",
    )


def _ends(inputs: ReportInputs, measure: str, form: Callable[[float], str]) -> list[Row]:
    found = ((arm, ends_of(inputs, arm, measure)) for arm in practising(inputs))
    return [
        Row([arm, *(numbered(form(row["estimate"]), "practice", row) for row in ends)]) for arm, ends in found if ends
    ]


def signal(inputs: ReportInputs) -> Table | None:
    """Signal and noise of each arm, the sequence being the unit."""
    table = there(inputs.practice_signal, PRACTICE_SIGNAL).filter(pl.col("window") == words.WHOLE_RUN)
    rows = [
        _signal_of(inputs, row) for arm in practising(inputs) for row in table.filter(pl.col("arm") == arm).to_dicts()
    ]
    if not rows:
        return None
    return Table(
        "Signal and noise of the gradient, the sequence being the unit",
        ["arm", "trainings", "steps", "|G|²", "tr Σ per sequence", "signal in |g|²", "noise scale, sequences", "batch", "holds"],
        [Group(rows)],
        "analysis/practice_signal.parquet",
        "The loss of a practice is a mean over sequences, so a sequence is what gradients are counted in; the steps of all trainings are pooled, as those of one are in the "
        "section on noise. Answers to one question are not independent: the estimate takes products of different micro-batches alone, and is one of signal where each "
        "holds whole groups. The scale is then that of sequences as they come, in groups. Scales of two methods compare how many answers a step needs; |G|² and tr Σ "
        "themselves depend on the size of the loss.",
        frozenset({0, 8}),
    )  # fmt: skip


def _signal_of(inputs: ReportInputs, row: dict[str, Any]) -> Row:
    share = f"{fmt.percent(row['signal_fraction'])} {fmt.percent_interval(row['signal_fraction_low'], row['signal_fraction_high'])}"
    cells = {
        "signal": fmt.significant(row["signal"]),
        "trace_per_sequence": fmt.significant(row["trace_per_sequence"]),
        "signal_fraction": share,
        "noise_scale": noise_scale_in_words(row),
    }
    shown = (numbered(cell, "practice_signal", row, column) for column, cell in cells.items())
    return Row([
        row["arm"], fmt.count(row["trainings"]), fmt.count(row["steps"]), *shown, fmt.count(row["sequences"]),
        _reservation(inputs, row["arm"]),
    ])  # fmt: skip


def _reservation(inputs: ReportInputs, arm: str) -> str:
    if splits_groups(inputs, arm):
        return "no: micro-batches split groups, and the signal is overstated"
    if repeats_questions(inputs, arm):
        return "no: a step asks a question twice"
    return "yes"


def cost(inputs: ReportInputs) -> Table | None:
    """What each training took."""
    table = there(inputs.practice_cost, PRACTICE_COST)
    rows = [_cost_of(row) for arm in practising(inputs) for row in table.filter(pl.col("arm") == arm).to_dicts()]
    if not rows:
        return None
    return Table(
        "What practice took",
        ["training", "generations", "steps", "questions", "answers sampled", "their tokens", "tokens that a teacher read", "answering", "learning", "tokens answered a second", "most memory"],
        [Group(rows)],
        "analysis/practice_cost.parquet",
        "Questions are different ones. An arm that replays samples nothing: its answers are another’s. Answering is sampling and grading; learning is what the steps took, with the passes "
        "before them. Memory is the device’s, or that of the process on a CPU.",
    )  # fmt: skip


def _cost_of(row: dict[str, Any]) -> Row:
    sampled, seconds = row["sampled"], row["seconds_answering"]
    memory = fmt.MISSING if row["peak_bytes"] is None else f"{fmt.number(row['peak_bytes'] / 2**30, 1)} GiB"
    counts = ("generations", "steps", "questions", "sampled", "tokens")
    cells = {
        **{column: fmt.count(row[column]) for column in counts},
        "teacher_tokens": fmt.count(row["teacher_tokens"]) if row["teacher_tokens"] else fmt.MISSING,
        "seconds_answering": fmt.duration(seconds) if sampled else fmt.MISSING,
        "seconds_learning": fmt.duration(row["seconds_learning"]),
    }
    shown = (
        cell if cell == fmt.MISSING else numbered(cell, "practice_cost", row, column) for column, cell in cells.items()
    )
    pace = fmt.count(row["tokens"] / seconds) if sampled and seconds else fmt.MISSING
    run = f"{row['arm']}/seed-{row['training_seed']}"
    return Row([run, *shown, pace, numbered(memory, "practice_cost", row, "peak_bytes")])
