"""One page that carries the study's answer: `results/report.html`, complete in itself, without script or network.

    build_report(inputs, Path("results/report.html"))

The page is `report/report.html.j2`; numbers come as tables from `tables/` and as drawings from `figures/`, and `select.py`
says which rows they show. What models and datasets wrote is text and never markup: the template escapes everything but our own drawings and styles.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from selfdistill.analysis.sentences import amount
from selfdistill.foundation.files import write_text
from selfdistill.reporting import formatting
from selfdistill.reporting.answers.shortened import shortened
from selfdistill.reporting.doubt import doubt_decode, doubt_sentences
from selfdistill.reporting.figures.catalogue import draw_figures
from selfdistill.reporting.gradients import branch_sentence, noise_sentences
from selfdistill.reporting.inputs import ReportInputs, draws_by_side, has_rows, is_resampled_base
from selfdistill.reporting.ladder import sentences as ladder_sentences
from selfdistill.reporting.ladder import side_by_side
from selfdistill.reporting.mechanism import sentences as mechanism_sentences
from selfdistill.reporting.practice import sentences as practice_sentences
from selfdistill.reporting.select import final_levels
from selfdistill.reporting.strips import LEGEND, LOOKS, strips
from selfdistill.reporting.tables import (
    annotation,
    difficulty,
    disagreement,
    doubt,
    factorial,
    formats,
    gradients,
    grading,
    ladder,
    lineage,
    looks,
    main,
    mechanism,
    pass_at_k,
    plugged,
    practice,
    rates,
    study,
    training,
    truncation,
    variance,
)
from selfdistill.reporting.tables.table import Table
from selfdistill.reporting.truncation import truncation_decode, truncation_sentences
from selfdistill.reporting.weights import learning_or_rounding
from selfdistill.statistics.multiplicity import ALPHA
from selfdistill.study.legend import legend_of
from selfdistill.tables import words

TEMPLATES = Path(__file__).resolve().parents[3] / "report"

VERDICT_LOOKS = {
    words.IMPROVED: "better",
    words.WORSE: "worse",
    words.EQUIVALENT: "equivalent",
    words.NOT_WORSE: "equivalent",
    words.HIGHER: "changed",
    words.LOWER: "changed",
    words.NOT_RESOLVED: "open",
    words.NOT_MEASURABLE: "unmeasurable",
}

NOT_EVIDENCE = "This is not evidence of no effect"


def build_report(inputs: ReportInputs, output: Path | str, templates: Path = TEMPLATES) -> None:
    """Writes the page, whole or not at all."""
    write_text(output, render_report(inputs, templates))


def templates_in(folder: Path) -> Environment:
    """What is put into a page of ours is text and never markup."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["format"] = formatting
    return environment


def render_report(inputs: ReportInputs, templates: Path = TEMPLATES) -> str:
    page = templates_in(templates).get_template("report.html.j2")
    shown, drawn = tables(inputs), draw_figures(inputs)
    return page.render(
        study=inputs.study,
        legend=legend_of(inputs.study),
        study_sha256=inputs.study_sha256,
        study_yaml=yaml.safe_dump(inputs.study, sort_keys=False, allow_unicode=True),
        style=Markup((templates / "report.css").read_text(encoding="utf-8")),
        provenance=plugged.with_plugins_in_words(inputs.provenance),
        graders=grading.grader_versions(inputs),
        sheet_to_fill=grading.sheet_to_fill(inputs),
        results=inputs.results,
        answers=[answer for answer in answers(inputs) if answer["role"] != words.CONTROL],
        controls=[answer for answer in answers(inputs) if answer["role"] == words.CONTROL],
        controls_counted=controls_counted(inputs),
        unmeasurable=unmeasurable_answers(answers(inputs)),
        population=population(inputs),
        the_model=lineage.the_model(inputs),
        origin=inputs.origin,
        shown_first=shown_first(inputs.study),
        single_seed_arms=single_seed_arms(inputs.study),
        unequal_budgets=[name for name, arm in inputs.study.get("arms", {}).items() if arm.get("unequal_budget")],
        truncation_decode=truncation_decode(inputs),
        truncation_sentences=truncation_sentences(inputs),
        figures=drawn,
        safe_svg=Markup,
        tables=shown,
        plugged=plugged.tables(inputs),
        examples=examples(inputs),
        checks=inputs.checks,
        asked_format=formats.asked_format(inputs),
        format_alarms=formats.alarms(inputs),
        practice_sentences=practice_sentences(inputs),
        noise_sentences=noise_sentences(inputs),
        branch_sentence=branch_sentence(inputs),
        weight_sentences=learning_or_rounding(inputs),
        shows={
            "locks": has_rows(inputs.mechanism) or has_rows(inputs.strips),
            "fit": has_rows(inputs.ssd_fit),
            "depth": has_rows(inputs.depth),
            "told": has_rows(inputs.ladder),
            "filter": bool(shown["audit"] or shown["right_answers"] or shown["references"]),
            "training": bool("training" in drawn or shown["targets"] or shown["exports"]),
            "noise": bool(
                "gradient-noise" in drawn or shown["noise"] or noise_sentences(inputs) or branch_sentence(inputs)
            ),
            "weights": bool("weights-changed" in drawn or shown["weights"] or learning_or_rounding(inputs)),
            "doubt": bool(shown["doubt"] or doubt_sentences(inputs)),
        },
        doubt_decode=doubt_decode(inputs),
        doubt_sentences=doubt_sentences(inputs),
        mechanism_sentences=mechanism_sentences(inputs),
        strips=strips(inputs),
        ladder_sentences=ladder_sentences(inputs),
        side_by_side=side_by_side(inputs),
        strip_legend=LEGEND,
        strip_classes=LOOKS,
        alarms=[audit["alarm"] for audit in inputs.conversions.values() if audit.get("alarm")],
    )


def tables(inputs: ReportInputs) -> dict[str, Table | None]:
    """By the names under which the template asks for them; None where there is nothing to show."""
    makers: dict[str, Callable[[ReportInputs], Table | None]] = {
        "main": main.main_results,
        "pass_at_k": pass_at_k.pass_at_k,
        "base": rates.base_at_every_decode,
        "rates": rates.rates_of_models,
        "factorial": factorial.factorial,
        "variance": variance.where_errors_come_from,
        "audit": training.filter_audit,
        "references": training.references,
        "right_answers": training.right_answers,
        "targets": training.soft_targets,
        "exports": training.exports_checked,
        "noise": training.gradient_noise,
        "weights": training.weights_changed,
        "practice_arms": practice.arms,
        "practice_changes": practice.changes,
        "practice_bounds": practice.bounds,
        "practice_updates": practice.updates,
        "practice_signal": practice.signal,
        "practice_cost": practice.cost,
        "noise_probe": gradients.frozen_checkpoints,
        "branches": gradients.branches,
        "weight_overlap": gradients.weight_overlap,
        "gain_parts": truncation.parts_of_differences,
        "cap_rates": truncation.rates_and_lengths,
        "base_answers": truncation.gains_by_base_answer,
        "classes": mechanism.classes,
        "moved_by_class": mechanism.moved_by_class,
        "decoded_by_class": mechanism.decoded_by_class,
        "moved_beyond_null": mechanism.moved_beyond_null,
        "between_texts": mechanism.between_texts,
        "way_to_target": mechanism.way_to_target,
        "parts_of_way": mechanism.parts_of_way,
        "way_by_place": mechanism.way_by_place,
        "loss_terms": mechanism.loss_terms,
        "depth": mechanism.depth,
        "where_by_doubt": disagreement.by_doubt,
        "where_by_word": disagreement.by_word,
        "where_by_token": disagreement.by_token,
        "doubt": doubt.doubt_by_model,
        "doubt_ratios": doubt.doubt_against_base,
        "doubt_between_arms": doubt.doubt_between_arms,
        "doubt_words": doubt.doubt_by_word,
        "word_groups": doubt.markers_against_others,
        "moved_words": doubt.words_that_shift_most,
        "rungs": ladder.rungs,
        "steps": ladder.steps,
        "rung_order": ladder.order,
        "across_models": ladder.across_models,
        "word_by_word": ladder.word_by_word,
        "information": ladder.information,
        "judged": annotation.judged,
        "formats": formats.answers_in_other_formats,
        "undecided": grading.undecided_answers,
        "grader": grading.grader_panel,
        "disputes": grading.disputes_the_other_way,
        "corrected": grading.corrected_effects,
        "grader_errors": grading.errors_found,
        "by_base": difficulty.by_base_solve_rate,
        "by_level": difficulty.by_level,
        "by_source": difficulty.by_source,
        "problems": study.problem_counts,
        "budgets": study.budgets,
        "looks": looks.looks,
        "provided": study.provided,
        "lineage": lineage.lineage,
        "mixtures": study.mixtures,
        "contamination": study.contamination,
        "sampled": study.how_it_was_sampled,
        "rule_times": study.rule_times,
    }
    return {name: make(inputs) for name, make in makers.items()}


def answers(inputs: ReportInputs) -> list[dict[str, Any]]:
    """One per hypothesis: its verdict, a sentence, and the numbers that the sentence leaves out."""
    if inputs.verdicts is None:
        return []
    at_its_look = looks.sentences(inputs)
    return [
        {
            "name": row["hypothesis"],
            "role": row.get("role") or words.HYPOTHESIS,
            "verdict": row["verdict"],
            "look": VERDICT_LOOKS.get(row["verdict"], "open"),
            "sentence": row["sentence"],
            "at_its_look": at_its_look.get(row["hypothesis"], ""),
            "resolve": what_would_resolve(row),
            "facts": facts(row),
            "estimand": row.get("estimand_line") or "",
        }
        for row in inputs.verdicts.to_dicts()
    ]


def facts(row: dict[str, Any]) -> dict[str, str]:
    """Beside the sentence, in the order a statistician asks for them."""
    seeds = row["training_seeds"]
    found = {
        "speaks of": row["claim"] if seeds else "",
        "n": formatting.plural(row["n"], row["unit"] or words.PROBLEM),
        "training seeds": "none trained" if seeds == 0 else formatting.count(seeds),
        "p, Holm": f"{formatting.p_value(row['p_adjusted'])} in family {row['family']}",
        "margin": f"±{amount(row['margin'], row['estimand'], signed=False)}",
        "p, equivalence, Holm": formatting.p_value(row["equivalence_p_adjusted"]),
        "80 % power for": amount(row["mde80"], row["estimand"], signed=False) if row["mde80"] is not None else "",
    }
    return {name: value for name, value in found.items() if value}


def what_would_resolve(row: dict[str, Any]) -> str:
    """A null result reads as one, and says what would make it another."""
    return f"{NOT_EVIDENCE}. {row['settling'] or ''}".rstrip() if row["verdict"] == words.NOT_RESOLVED else ""


def controls_counted(inputs: ReportInputs) -> str:
    """How many comparisons of the base with itself speak up, and how many chance alone would let."""
    rows = [] if inputs.verdicts is None else inputs.verdicts.filter(pl.col("role") == words.CONTROL).to_dicts()
    p_values = [row["p_value"] for row in rows if row["p_value"] is not None]
    if not p_values:
        return ""
    silent = sum(p >= ALPHA for p in p_values)
    return (
        f"{silent} of {formatting.plural(len(p_values), words.CONTROL)} {'is' if silent == 1 else 'are'} silent (p ≥ {ALPHA:g}); "
        f"by chance {formatting.number(ALPHA * len(p_values), 2)} would be expected to speak."
    )


def unmeasurable_answers(rows: list[dict[str, Any]]) -> list[str]:
    return [row["sentence"] for row in rows if row["verdict"] == words.NOT_MEASURABLE]


def population(inputs: ReportInputs) -> str:
    """How many problems, answers and tokens the page speaks of."""
    levels = final_levels(inputs, words.ACCURACY)
    if levels.is_empty():
        return ""
    row = levels.row(0, named=True)
    evaluation, decodes = inputs.study.get("evaluation", {}), inputs.study.get("decodes", {})
    caps = sorted({decodes[name]["max_tokens"] for name in levels["decode_id"].unique() if name in decodes})
    units = _counted(inputs, row)
    most = " or ".join(map(formatting.count, caps))
    sizes = looks.sizes_of_looks(inputs)
    asked = f"the look of {formatting.count(sizes[row['budget']])} problems" if sizes else f"the {row['budget']} budget"
    where = f"of the {row['split']} split at {asked}"
    return f"{units} {where}, {_answers_to_each(inputs.study)}, at most {most} tokens.{_shared_noise(evaluation)}"


def shown_first(study: dict[str, Any]) -> str:
    """What every prompt shows before its problem; nothing where it shows none."""
    examples = study.get("problems", {}).get("examples")
    if not examples:
        return ""
    return (
        f"Every prompt, of training and of evaluation, shows the solved problems of {examples} first: the numbers describe "
        "models that are shown how to answer."
    )


def _counted(inputs: ReportInputs, level: dict[str, Any]) -> str:
    """What n counts; where it is families, the problems in them, too."""
    units = formatting.plural(level["n"], level["unit"])
    if level["unit"] != words.FAMILY or inputs.variance is None:
        return units
    alike = pl.all_horizontal(pl.col(name) == level[name] for name in ("estimand", "split", "budget"))
    problems = inputs.variance.filter(alike)["problems"].max()
    return f"{formatting.plural(int(problems), words.PROBLEM)} in {units}" if isinstance(problems, int) else units


def _answers_to_each(study: dict[str, Any]) -> str:
    draws = draws_by_side(study)
    of_base = formatting.plural(draws.base, "answer")
    if draws.base == draws.arms:
        return f"{of_base} to each problem"
    return f"{of_base} of the base and {draws.arms} of each trained model to each problem"


def _shared_noise(evaluation: dict[str, Any]) -> str:
    if evaluation.get("coupling", "own") == "own":
        return ""
    return (
        " The base and the arms drew with the same random numbers, so that their answers are the same until their laws part; "
        "an A/A twin drew with its own."
    )


def single_seed_arms(study: dict[str, Any]) -> list[str]:
    """Arms of which the page can only speak as "this checkpoint"."""
    arms = study.get("arms", {})
    return [arm for arm in arms if not is_resampled_base(study, arm) and len(arms[arm].get("seeds", [0])) == 1]


def examples(inputs: ReportInputs) -> list[dict[str, Any]]:
    if inputs.examples is None:
        return []
    return [row | {"text": shortened(row.get("text") or "")} for row in inputs.examples.to_dicts()]
