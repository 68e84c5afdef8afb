"""Every figure of the report by name, with its caption, its words for who cannot see it, and the table behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from selfdistill.foundation.files import write_text
from selfdistill.reporting.figures.audit import audit
from selfdistill.reporting.figures.checkpoints import checkpoints
from selfdistill.reporting.figures.factorial import factorial
from selfdistill.reporting.figures.hypotheses import hypotheses
from selfdistill.reporting.figures.lengths import lengths
from selfdistill.reporting.figures.sweep import sweep
from selfdistill.reporting.figures.training import gradient_noise, training, weights_changed
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.notes import between, fair_menus, n_of
from selfdistill.reporting.select import (
    checkpoint_levels,
    factorial_effects,
    split_to_report,
    sweep_levels,
    there,
    truncation_rows,
)
from selfdistill.reporting.style import Drawing, figure_style, svg_text
from selfdistill.tables import words
from selfdistill.tables.analysis import VERDICTS


def _nothing(_: ReportInputs) -> str:
    return ""


@dataclass(frozen=True)
class Plan:
    """How a figure is drawn and what is said of it. `source` is a file under the results folder."""

    draw: Callable[[ReportInputs], Figure | None]
    title: str
    caption: str
    source: str
    counted: Callable[[ReportInputs], str] = _nothing  # closes the caption: the n of the very rows that are drawn


def _of_hypotheses(inputs: ReportInputs) -> str:
    return f"{fair_menus(inputs)} {n_of(there(inputs.verdicts, VERDICTS))}.".strip()


def _of_factorial(inputs: ReportInputs) -> str:
    return _n_and_split(factorial_effects(inputs))


def _of_sweep(inputs: ReportInputs) -> str:
    return _n_and_split(sweep_levels(inputs, words.ACCURACY))


def _of_checkpoints(inputs: ReportInputs) -> str:
    return _n_and_split(checkpoint_levels(inputs))


def _of_lengths(inputs: ReportInputs) -> str:
    return f"n = {between(truncation_rows(inputs).group_by('arm').len()['len'].to_list())} answers per arm."


def _n_and_split(rows: pl.DataFrame) -> str:
    return f"{n_of(rows)}, {split_to_report(rows)} split."


PLANS: dict[str, Plan] = {
    "hypotheses": Plan(
        hypotheses,
        "Planned differences in accuracy with their intervals",
        "One row per hypothesis and per control. The bar is the 95 % interval of the paired difference (paired t "
        "over problems or their families), before any adjustment for several hypotheses; the grey band is the margin "
        "inside which a difference counts as none. A bar clear of zero points to a change, a bar inside the band to equivalence, "
        "and any other bar leaves the question open; the verdicts above rest on the adjusted p.",
        "analysis/verdicts.parquet",
        _of_hypotheses,
    ),
    "factorial": Plan(
        factorial,
        "The two by two factorial of decode and filter",
        "Left: accuracy of the four trained cells, a panel per decode of evaluation; the lines join the arms, paler "
        "marks are single training seeds. Lines that slope show the filter's effect, lines that lie apart the "
        "decode's, lines that are not parallel their interaction. Right: those effects. Bars are 95 % intervals and hold "
        "the noise of problems only, not of training: a cell with several training seeds is their average, a cell with "
        "one seed speaks of that one training. Holm covers the three effects within one decode and one outcome.",
        "analysis/factorial.parquet",
        _of_factorial,
    ),
    "sweep": Plan(
        sweep,
        "Accuracy and cut rate against the temperature of evaluation",
        "Look for arms whose accuracy falls later than the base's as the temperature rises, and whether the right "
        "panel, answers cut by the token cap, explains it. Decodes that differ in temperature only; bars are 95 % "
        "Wilson intervals of single levels (models that answer the same problems are compared in the table, not by "
        "overlap of bars); points are shifted sideways to be told apart; the strong line of an arm with several "
        "training seeds is their mean, the pale ones are the seeds.",
        "analysis/levels.parquet",
        _of_sweep,
    ),
    "checkpoints": Plan(
        checkpoints,
        "Accuracy against the share of training done",
        "Left: each line starts at the base, whose own 95 % Wilson interval is the grey band; pale lines are single "
        "training seeds. Right: the paired difference from the base with its 95 % interval (paired t over "
        "problems or their families), over all training seeds. A gain that comes early and stays is a different thing "
        "from one that comes and goes; the intervals hold one at a time, not for whole curves. All on the same problems of the smaller budget.",
        "analysis/levels.parquet",
        _of_checkpoints,
    ),
    "audit": Plan(
        audit,
        "What the filter kept",
        "Left: how the samples drawn for training ended, and how many were kept (black stroke). Right: the share "
        "of correct ones before (open) and after the filter (filled): dropping cut samples favours the correct without "
        "looking at any answer. Counts of samples, no intervals; the table has the numbers.",
        "arms/*/audit.json",
    ),
    "training": Plan(
        training,
        "Training loss and learning rate",
        "Loss on the arm's own examples, per step, not smoothed. Losses of arms are not comparable as quality: a "
        "colder or more truncated decode makes text that is easier to predict.",
        "runs/*/log.parquet",
    ),
    "gradient-noise": Plan(
        gradient_noise,
        "Squared gradient norm against the estimated signal in it",
        "Grey dots: squared norm of each step's gradient before clipping. Coloured strokes: the part of it that is "
        "signal, |G|², estimated without bias from the micro-batches, with the 95 % interval of each window. A "
        "stroke far below the dots is a step made mostly of noise; an interval across zero has not resolved any "
        "signal. Squares, from zero, on a linear scale.",
        "analysis/noise_summary.parquet",
    ),
    "weights-changed": Plan(
        weights_changed,
        "Weights changed, seen and predicted from rounding",
        "Share of weights whose bfloat16 value moved. On the diagonal, rounding explains everything: how many "
        "weights move says how large the steps are, not which weights matter. Near zero, updates are lost to "
        "rounding. Counts of all weights: no intervals.",
        "analysis/weight_change.parquet",
    ),
    "truncation": Plan(
        lengths,
        "How answers end and how long they are",
        "Left: how the answers of base and finished arms end. Right: the share of answers no longer than a number "
        "of tokens; a curve further left is a model that writes shorter. A gain with shorter answers under the same "
        "cap may be a gain in finishing only.",
        "models/*/graded.parquet",
        _of_lengths,
    ),
}  # fmt: skip


def draw_figures(inputs: ReportInputs) -> dict[str, Drawing]:
    """The figures whose tables are there. Same inputs, same bytes."""
    drawings = {}
    for name, plan in PLANS.items():
        with figure_style(name):
            figure = plan.draw(inputs)
            if figure is not None:
                caption = f"{plan.caption} {plan.counted(inputs)}".strip()
                drawings[name] = Drawing(name, svg_text(figure, name), plan.title, caption, plan.source)
    return drawings


def save_figures(inputs: ReportInputs, folder: Path | str) -> dict[str, str]:
    """Writes one SVG per figure into the folder and returns their texts by name."""
    folder = Path(folder)
    texts = {name: drawing.svg for name, drawing in draw_figures(inputs).items()}
    for name, text in texts.items():
        write_text(folder / f"{name}.svg", '<?xml version="1.0" encoding="utf-8"?>\n' + text)
    return texts
