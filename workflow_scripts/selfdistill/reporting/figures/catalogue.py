"""Every figure of the report by name, with its caption, its words for who cannot see it, and the table behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from selfdistill.foundation.files import write_text
from selfdistill.foundation.wording import THIN_SPACE, plural
from selfdistill.reporting.doubt import compared_with_base, doubt_decode, shifts
from selfdistill.reporting.figures.annotation import judge_and_words
from selfdistill.reporting.figures.audit import audit
from selfdistill.reporting.figures.checkpoints import checkpoints
from selfdistill.reporting.figures.disagreement import who_disagrees_where
from selfdistill.reporting.figures.doubt import doubt_ratios, word_shift
from selfdistill.reporting.figures.endings import endings
from selfdistill.reporting.figures.factorial import factorial
from selfdistill.reporting.figures.gradients import signal_share, time_and_data
from selfdistill.reporting.figures.hypotheses import hypotheses
from selfdistill.reporting.figures.ladder import ladder, ladder_words
from selfdistill.reporting.figures.mechanism import depth_by_class, fit_ratio, mass_by_rank, movement, survivors
from selfdistill.reporting.figures.practice import (
    practice_answers,
    practice_coverage,
    practice_scores,
    practice_signal,
    practice_updates,
)
from selfdistill.reporting.figures.sweep import sweep
from selfdistill.reporting.figures.training import gradient_noise, training, weights_changed
from selfdistill.reporting.figures.truncation import token_budgets, token_differences
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.mechanism import everywhere
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
from selfdistill.reporting.truncation import truncation_decode
from selfdistill.tables import words
from selfdistill.tables.analysis import TOKEN_BUDGETS, VERDICTS
from selfdistill.tables.mechanism import CURVES, DEPTH, SSD_FIT
from selfdistill.tables.practice_analysis import PRACTICE


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


def _of_doubt(inputs: ReportInputs) -> str:
    return _n_and_split(compared_with_base(inputs).filter(pl.col("decode_id") == doubt_decode(inputs)))


def _of_word_shift(inputs: ReportInputs) -> str:
    return _n_and_split(shifts(inputs, doubt_decode(inputs) or ""))


def _of_endings(inputs: ReportInputs) -> str:
    return f"n = {between(truncation_rows(inputs).group_by('arm').len()['len'].to_list())} answers per arm."


def _of_token_budgets(inputs: ReportInputs) -> str:
    return _n_and_split(_at_truncation_decode(inputs).filter(pl.col("against").is_null()))


def _of_token_differences(inputs: ReportInputs) -> str:
    return _n_and_split(_at_truncation_decode(inputs).drop_nulls("against"))


def _at_truncation_decode(inputs: ReportInputs) -> pl.DataFrame:
    return there(inputs.token_budgets, TOKEN_BUDGETS).filter(pl.col("decode_id") == truncation_decode(inputs))


def _of_curves(inputs: ReportInputs) -> str:
    return _positions(there(inputs.curves, CURVES))


def _of_fit(inputs: ReportInputs) -> str:
    return _positions(there(inputs.ssd_fit, SSD_FIT))


def _of_depth(inputs: ReportInputs) -> str:
    rows = everywhere(there(inputs.depth, DEPTH)).filter(pl.col("measure") == words.MEAN_DEPTH)
    of_one = rows.filter(pl.col("model_id") == pl.col("model_id").first())
    return _counted(of_one["positions"].sum(), of_one["n"].max())


def _of_ladder(inputs: ReportInputs) -> str:
    return "" if inputs.ladder is None else f"{n_of(inputs.ladder.filter(pl.col('n') > 0))}."


def _of_practice(inputs: ReportInputs) -> str:
    rows = there(inputs.practice, PRACTICE).filter(
        pl.col("measure") == words.REWARD, pl.col("training_seed").is_not_null()
    )
    return f"{n_of(rows)} a generation of each training." if rows.height else ""


def _positions(table: pl.DataFrame) -> str:
    rows = everywhere(table).filter(pl.col("token_class") == words.EVERY_CLASS).sort("positions", descending=True)
    if rows.is_empty():
        return ""
    most = rows.row(0, named=True)
    return _counted(most["positions"], most["n"])


def _counted(positions: Any, problems: Any) -> str:
    counted = f"{plural(positions, 'position')} in texts of {plural(problems or 0, words.PROBLEM)}."
    return counted.replace(THIN_SPACE, "\u202f")  # the same, and no line ends there


def _n_and_split(rows: pl.DataFrame) -> str:
    return f"{n_of(rows)}, {split_to_report(rows)} split."


PLANS: dict[str, Plan] = {
    "hypotheses": Plan(
        hypotheses,
        "Planned differences with their intervals",
        "One row per hypothesis and per control; accuracy, unless the row says otherwise. The bar is the 95 % interval of the "
        "paired difference, before any adjustment for several hypotheses. The grey band is the "
        "margin inside which a difference counts as none. A bar clear of zero points to a change, a bar inside "
        "the band to equivalence, and any other bar leaves the question open; the verdicts above rest on the "
        "adjusted p.",
        "analysis/verdicts.parquet",
        _of_hypotheses,
    ),
    "factorial": Plan(
        factorial,
        "The 2×2 of decode and filter",
        "Left: accuracy of the four trained cells, one panel per decode of evaluation. Lines join the arms; paler "
        "marks are single training seeds. Where the lines slope, the filter has an effect; where they lie apart, "
        "the decode has one; where they are not parallel, the two interact. Right: these effects. Bars are 95 % "
        "intervals; the table says whether they speak of the method or of these checkpoints.",
        "analysis/factorial.parquet",
        _of_factorial,
    ),
    "sweep": Plan(
        sweep,
        "Accuracy and cut rate against the temperature of evaluation",
        "Does an arm's accuracy fall later than the base's as the temperature rises, and do answers cut by the "
        "token cap (right) explain it? The decodes shown differ in temperature only. Bars are 95 % Wilson "
        "intervals of single levels: compare models in the table, which pairs their answers to the same problems, "
        "and not by the overlap of bars. Points are shifted sideways so that they can be told apart. The strong "
        "line of an arm with several training seeds is their mean, the pale lines are the seeds.",
        "analysis/levels.parquet",
        _of_sweep,
    ),
    "token-budgets": Plan(
        token_budgets,
        "Smaller token caps, and how long answers take to finish",
        "Left: accuracy had the cap been smaller. A model does not see its cap, so the same answers are cut earlier: one "
        "counts if it is right, finished and shorter than that cap. At the right edge stands the accuracy that is reported. "
        "Curves that lie apart in the middle and meet at the right belong to models that reach the same accuracy at another "
        "speed. Right: the share of answers not yet finished; where a curve ends above zero, the cap cut the rest, and "
        "the curve is the cut rate there.",
        "analysis/token_budgets.parquet",
        _of_token_budgets,
    ),
    "token-differences": Plan(
        token_differences,
        "Difference in accuracy from the base, had the cap been smaller",
        "In percentage points, both sides under the same cap. Dark: the 95 % interval of that cap alone. Pale: a band that "
        "holds for all caps at once. A gain that shrinks to nothing towards the right is one of speed: more tokens would "
        "do as well. A gain that stays level is not made by the cap.",
        "analysis/token_budgets.parquet",
        _of_token_differences,
    ),
    "checkpoints": Plan(
        checkpoints,
        "Accuracy against the share of training done",
        "Left: each line starts at the base, whose own 95 % Wilson interval is the grey band; pale lines are "
        "single training seeds. Right: the paired difference of these checkpoints from the base, over all training seeds. "
        "The strong bar is the 95 % interval of its own point; the thin bar with caps is the band within which all points of "
        "the curve lie at once with a chance of 95 %, so that the best of several checkpoints can be looked for. All points "
        "rest on the same problems, those of the smaller budget.",
        "analysis/levels.parquet",
        _of_checkpoints,
    ),
    "audit": Plan(
        audit,
        "What the filter kept",
        "Left: how the samples drawn for training ended, and how many of them the arm kept (black stroke). Right: "
        "the share of correct samples before the filter (open) and after it (filled). Dropping cut samples "
        "favours correct ones without a look at any answer. These are counts of samples, so they have no "
        "intervals; the table gives the numbers.",
        "arms/*/audit.json",
    ),
    "training": Plan(
        training,
        "Training loss and learning rate",
        "Loss on the arm's own examples at each step, not smoothed. The losses do not rank the arms: a colder or "
        "more truncated decode writes text that is easier to predict.",
        "runs/*/log.parquet",
    ),
    "practice-answers": Plan(
        practice_answers,
        "Answers to the questions of training, generation by generation",
        "Each generation is answered by the model as it then was, the first one by the base. Strong lines are an arm’s trainings together, pale lines "
        "single ones. Bands are 95 % intervals over the questions of that generation, for these trainings; there is none where no answer "
        "or every answer is. Every generation asks other questions, and trainings of one seed the same ones, so lines move together. A doubt per answer that falls while doubt per token stays is shorter answers; where both fall, answers are surer of themselves.",
        "analysis/practice.parquet",
        _of_practice,
    ),
    "practice-updates": Plan(
        practice_updates,
        "What the updates were made of",
        "Groups with one reward teach a rewarded arm nothing. Clipped tokens are those whose ratio of new to old probability was cut, below or above. KL to the "
        "teacher is KL(student‖teacher) on the tokens that are compared, KL to the base that of the sampled tokens. Strong lines are means over trainings, pale lines "
        "single ones. These are single numbers of each step and have no intervals.",
        "analysis/practice.parquet",
    ),
    "practice-scores": Plan(
        practice_scores,
        "Accuracy against length and doubt, from the base to the finished arms",
        "On held-out problems. Down and to the left: shorter answers, or answers with less doubt, that are right less often. Bars are 95 % intervals of "
        "single levels: compare arms in the table of results, which pairs them.",
        "analysis/levels.parquet, analysis/doubt.parquet",
    ),
    "practice-coverage": Plan(
        practice_coverage,
        "Few questions or many",
        "Filled: right answers to the questions of the last generation. Grey stroke: the base’s, to the questions of the first one. Open: the finished model on held-out problems "
        "at the lead decode; dotted is the base there. Questions of training may be easier than held-out problems, so compare how far each has moved, the filled mark from the grey "
        "stroke and the open mark from the dotted line: an arm that rises on the one and not on the other has learnt its questions and not how to answer them. Arms that are not "
        "limited to |D| questions may never have met those of the last generation before. Bars are 95 % intervals; those of few questions speak "
        "of other questions like them, and one question has none. Marks of arms with as many questions are shifted sideways.",
        "analysis/practice.parquet, analysis/practice_cost.parquet, analysis/levels.parquet",
    ),
    "practice-signal": Plan(
        practice_signal,
        "Signal in the gradient of a practice",
        "Left: the share of a step’s squared gradient norm that is signal, in windows of steps, with 95 % intervals; 0 is noise alone. Right: the noise scale of whole "
        "trainings, the sequence being its unit, with its interval; an arrow has no upper end, and the dotted line is the batch. All trainings of an arm together. A method "
        "whose scale lies far below its batch could do with fewer answers a step; that is said of filled marks alone. Hollow marks count what answers to one question share as "
        "signal, for their micro-batches split groups, or a step asks a question twice: their signal is overstated and their scale too small, and no batch follows from it.",
        "analysis/practice_signal.parquet",
    ),
    "gradient-noise": Plan(
        gradient_noise,
        "Squared gradient norm against the estimated signal in it",
        "Grey dots: squared norm of each step's gradient before clipping. Coloured strokes: the part of it that "
        "is signal, |G|², estimated without bias from the micro-batches, with the 95 % interval of each window. A "
        "stroke far below the dots means that the steps are mostly noise; an interval across zero has resolved no "
        "signal. Squared norms on a linear scale that starts at zero.",
        "analysis/noise_summary.parquet",
    ),
    "signal-share": Plan(
        signal_share,
        "Share of signal in a step's squared norm against the batch",
        "f(B) = 1/(1 + B_noise/B), from the noise scale of each run's log (left) and of frozen checkpoints (right), with the band "
        "of its 95 % interval. The dotted line is the study's batch. A band that reaches zero at every batch has resolved no "
        "signal. Only the noise scale is measured: that a step of another batch would have this share is the theory.",
        "analysis/noise_summary.parquet, analysis/noise_probe.parquet",
    ),
    "time-and-data": Plan(
        time_and_data,
        "What a larger batch costs in examples",
        "Short trainings from the base, the learning rate by the square root of the batch. Left: loss of examples that no branch "
        "was shown, mean over data orders. Right: examples that each batch takes to the loss that all branches reach, with 95 % "
        "t intervals over data orders, and the line E = E_min + S_min·B of the trade-off (S/S_min - 1)(E/E_min - 1) = 1. Its "
        "critical batch E_min/S_min takes twice the fewest steps and twice the fewest examples.",
        "analysis/branches.parquet",
    ),
    "weights-changed": Plan(
        weights_changed,
        "Weights changed, seen and predicted from rounding",
        "The share of weights whose bfloat16 value moved. On the diagonal, rounding explains everything: how many "
        "weights move then says how large the steps are, not which weights matter. Near zero, rounding swallows "
        "the updates. These are counts of all weights, so they have no intervals.",
        "analysis/weight_change.parquet",
    ),
    "mass-by-rank": Plan(
        mass_by_rank,
        "Probability beyond the likeliest tokens, by class",
        "Mean probability, at temperature 1, of all but so many of the likeliest tokens; both axes are logarithmic. A line below "
        "the base’s is a tail that training cut; at forks the left end says how open the choice is. Classes of too few positions "
        "are left out. Base and arms speak of the same positions, so compare them in the table, which pairs them; the intervals "
        "of single curves stand in the file.",
        "analysis/curves.parquet",
        _of_curves,
    ),
    "survivors": Plan(
        survivors,
        "What truncation leaves, against the temperature of evaluation",
        "The truncation is that of the decode by which the carriers were sampled, at other temperatures. Above: how many tokens survive it, "
        "on average; below: the entropy among them. Self-distillation should keep locks near one token at temperatures at which the base "
        "lets more through. Bars are 95 % intervals of single curves; points are shifted sideways so that they can be told apart.",
        "analysis/curves.parquet",
        _of_curves,
    ),
    "fit-ratio": Plan(
        fit_ratio,
        "Fit ratio by class and arm",
        "The share of the way from the base to the target of self-distillation that training closed: 0 is the base, 100 % (dotted) the target, "
        "and a mark below 0 lies further off than the base did. Right: less what the null closed. An arm whose own decode asks for no change "
        "is shown against the study’s first target. Bars are 95 % intervals over problems; an open mark has none, for too few positions.",
        "analysis/ssd_fit.parquet",
        _of_fit,
    ),
    "movement": Plan(
        movement,
        "How far each arm was moved, and how much of it towards the target",
        "Mean squared distance of the square roots of trained and base probabilities, with its 95 % interval. Blue: the part along the way to the "
        "target, also as a percentage; hatched: the rest, which is noise and training that is not self-distillation. Each "
        "panel has its own scale.",
        "analysis/ssd_fit.parquet",
        _of_fit,
    ),
    "depth": Plan(
        depth_by_class,
        "Depth by class",
        "The layer from which on the law stays near the last one’s, as a share of all layers; classes are by the base. Bars are 95 % intervals over "
        "problems; an open mark has none, for too few positions.",
        "analysis/depth.parquet",
        _of_depth,
    ),
    "who-disagrees-where": Plan(
        who_disagrees_where,
        "Words on which readers disagree with who wrote the text",
        "The share of all KL that falls on the tokens of each word, for the words with most of it; words of doubt are orange. Bars are "
        "95 % intervals over families of problems. A frequent word may have a large share and a small KL a token: the table "
        "has both.",
        "analysis/context_kl.parquet",
    ),
    "doubt-ratios": Plan(
        doubt_ratios,
        "Words of doubt as multiples of the base",
        "Each arm against the base at the decode at which the base doubts most. Left of the dotted line the arm doubts less. Per "
        "answer holds the length of the answers, per token does not; where the measures of one length agree with it, neither "
        "longer answers nor later parts of them make the difference. Bars are 95 % intervals over problems.",
        "analysis/doubt_ratios.parquet",
        _of_doubt,
    ),
    "word-shift": Plan(
        word_shift,
        "How the use of every word shifted",
        "Grey: every word that the base uses often enough. Coloured: the words of doubt. On the dotted line a word is used as often "
        "per token as by the base, one step below half as often. Words of doubt that lie among the others fall because all "
        "do. Single words have 95 % intervals in the file.",
        "analysis/word_shift.parquet",
        _of_word_shift,
    ),
    "ladder": Plan(
        ladder,
        "What is written the more is told",
        "The same problems under one context after the other, from the least told to the most. Bars are 95 % intervals of single levels; compare "
        "rungs in the table of steps, which pairs them by problem. A line that falls in the two lower panels is doubt that being told took away; where "
        "the last panel stays level, answers are only shorter.",
        "analysis/ladder.parquet",
        _of_ladder,
    ),
    "ladder-words": Plan(
        ladder_words,
        "Which words of doubt go",
        "Each marker by itself, per answer, with 95 % t intervals over problems. Words that nobody wrote are left out.",
        "analysis/ladder.parquet",
        _of_ladder,
    ),
    "judge-and-words": Plan(
        judge_and_words,
        "The judge’s count of doubts against counted words",
        "Each point is an answer: the judge’s count in the first pass less the words of doubt in it, over the mean of the two. The "
        "line is the mean difference; dashed are the limits of agreement. A cloud that rises says that the judge sees more "
        "doubt than words do where there is more of it.",
        "annotation/judgements.parquet",
    ),
    "endings": Plan(
        endings,
        "How answers end",
        "The base and the finished arms. Only an answered one can be right: it ended by itself, with room to spare, and "
        "gave an answer in the asked format. A looping answer is a cut one whose tail repeats itself.",
        "models/*/graded.parquet",
        _of_endings,
    ),
}  # fmt: skip


def there_of(source: str, inputs: ReportInputs) -> str:
    """Of the files that a figure is drawn from those that this study has."""
    files = source.split(", ")
    return ", ".join(file for file in files if getattr(inputs, Path(file).stem, file) is not None) or source


def draw_figures(inputs: ReportInputs) -> dict[str, Drawing]:
    """The figures whose tables are there. Same inputs, same bytes."""
    drawings = {}
    for name, plan in PLANS.items():
        with figure_style(name):
            figure = plan.draw(inputs)
            if figure is not None:
                caption = f"{plan.caption} {plan.counted(inputs)}".strip()
                drawings[name] = Drawing(
                    name, svg_text(figure, name), plan.title, caption, there_of(plan.source, inputs)
                )
    return drawings


def save_figures(inputs: ReportInputs, folder: Path | str) -> dict[str, str]:
    """Writes one SVG per figure into the folder and returns their texts by name."""
    folder = Path(folder)
    texts = {name: drawing.svg for name, drawing in draw_figures(inputs).items()}
    for name, text in texts.items():
        write_text(folder / f"{name}.svg", '<?xml version="1.0" encoding="utf-8"?>\n' + text)
    return texts
