"""The cards of what goes to a hub: of a trained model, and of the samples as a dataset. Made of the tables, no word by hand.

What is said of a model is what the report says: levels and differences from the base with their intervals, on the test
problems, at the largest budget. Text of models and datasets never stands in a card; the study's own prompt does, as code.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.wording import decode_in_words, plural
from selfdistill.publishing.texts import About, code_in_words, made_with
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.select import final_differences, final_levels
from selfdistill.study.legend import legend_of
from selfdistill.study.models import source_of, teacher_of
from selfdistill.study.names import parse_model_id
from selfdistill.study.practice import UNREAD, WITHOUT_EFFECT
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, ESTIMATES, VERDICTS
from selfdistill.tables.whole import read_table

# The counts of an arm's audit: the classes add up to what was sampled.
CLASSES = {
    "sampled": "sampled", "answered": "finished with an answer", "no_answer": "finished without one in the asked format",
    "cut": "cut by the token cap", "looped": "cut in a loop", "empty": "empty", "kept": "kept", "used": "used",
}  # fmt: skip
METHODS = {
    "grpo": "group relative policy optimisation (GRPO): reward 1 for a right answer by the grader, else 0",
    "distil": "distillation from itself, told what stands below, as a teacher; no reward",
}


def tables_of(study: Study) -> ReportInputs:
    """Of the report's tables those that a card tells of."""
    room = Path(study.results) / "analysis"
    return ReportInputs(
        study=study.model_dump(),
        levels=read_table(room / "levels.parquet", ESTIMATES),
        comparisons=read_table(room / "comparisons.parquet", COMPARISONS),
        verdicts=read_table(room / "verdicts.parquet", VERDICTS),
    )


def model_card(study: Study, model: str, about: About, samples: str, inputs: ReportInputs) -> str:
    arm, seed, _ = parse_model_id(model)
    run = model.rpartition("/")[0]
    training = about.made_by["trainings"][run]
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["self-distillation", "forklock"],
    }
    header |= {"license": about.licence.lower()} if about.licence else {}
    header |= {"base_model": study.model.hub} if study.model.hub else {}
    header |= {"datasets": [samples]}
    return f"""{_front(header)}
# {about.study}: {arm}, training seed {seed}

A checkpoint of the study *{about.study}*, at the end of its training. Its arm: {_plain(legend_of(study.model_dump()).arms[arm])}.
It was made to learn what self-distillation does, and not to be used for anything else. Forklock trained it,
{code_in_words(training["code"])}; the numbers below are of Forklock {about.version}, {code_in_words(about.made_by)}.

## Base

{_base(study, _manifest(study, run))}

## Data

{"".join(f"- {line}{chr(10)}" for line in _data(study, arm, samples))}
The prompt of every problem:

{_fenced(study.problems.prompt)}

## Recipe

| | |
|---|---|
{"".join(f"| `{key}` | {value} |{chr(10)}" for key, value in _recipe(study, arm, _manifest(study, run)))}
## Results

{_results(inputs, model)}
{_verdicts(study, inputs, arm)}
## Limits

- The numbers are of the test problems of this study, asked with its prompt and its token cap; an answer that was not finished
  or not in the asked format counts as wrong. They say nothing of other tasks or languages.
- {_one_training(study, arm)}
- Nothing was done to make it safe or truthful; what was wrong with the base is likely still there.
- The base and the problems have licences of their own, which hold for this model too as far as they reach.
"""


@dataclass(frozen=True)
class Room:
    """A configuration of the dataset: tables of one kind."""

    what: str  # one row of it
    rows: int
    tables: int


def dataset_card(study: Study, about: About, name: str, rooms: dict[str, Room]) -> str:
    configs = [{"config_name": room, "data_files": f"{room}/*.parquet"} for room in rooms]
    header: dict[str, Any] = {"tags": ["self-distillation", "forklock"], "configs": configs}
    header |= {"license": about.licence.lower()} if about.licence else {}
    decodes = "".join(
        f"- `{decode}`: {decode_in_words(values.model_dump())}\n" for decode, values in study.decodes.items()
    )
    counts = "".join(
        f"- `{room}`: {plural(found.rows, 'row')} in {plural(found.tables, 'table')}. {found.what}\n"
        for room, found in rooms.items()
    )
    return f"""{_front(header)}
# {about.study}: completions and problems of the study

What the study *{about.study}* learnt from and was judged by. {made_with(about)}.

{_plain(counts)}
**Keep the test problems out of training.** `problems` holds those that the study is judged by (`eval`), and all tables the right
answers (`gold`): a model that learns from them cannot be judged by them any more.

In tables of completions `decode_id` says how one was drawn, `text` what it is, `finish_class` how it ended, `verdict` whether it is
right by the grader; `gold` is the answer of the problem `problem_id`, which stands in `problems`.

## How they were drawn

By the base and the models that were trained from it, a table each, whose name says which.

{decodes}
The prompt of every problem{", before what a context adds to it" if study.contexts else ""}:

{_fenced(study.problems.prompt)}

## Limits

- The texts are a language model's: wrong in part, and unchecked but for their last answer.
- A program graded them, and it errs; the report of the study says how it was looked at.
- The problems are those of the study's sources ({", ".join(study.problems.sources)}), with licences of their own.
- They are draws of these models under this prompt, and no sample of anything else.
"""


def _plain(text: str) -> str:
    """With commas between thousands, as a page of text has them."""
    return text.replace("\u2009%", " %").replace("\u2009", ",")


def _manifest(study: Study, run: str) -> dict[str, Any]:
    path = Path(study.results) / "runs" / run / "manifest.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the study again.") from error
    return found


def _base(study: Study, manifest: dict[str, Any]) -> str:
    name = (
        f"`{study.model.hub}`" if study.model.hub else f"The folder `{Path(study.model.path).name}`, which is on no hub"
    )
    said = [f"{name}; its digest is `{manifest['base_digest']}`."]
    if of := manifest.get("base_lineage"):
        said.append(f"It is itself a checkpoint of the study {of['study']} (arm {of['arm']}).")
    if manifest.get("base_origin"):
        said.append(str(manifest["base_origin"]))
    return " ".join(said)


def _front(header: dict[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n"


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _data(study: Study, name: str, samples: str) -> Iterator[str]:
    arm = study.arms[name]
    sources = [source for source, values in study.problems.sources.items() if values.use == "train"]
    yield f"Problems of {', '.join(sources)}; those too like an evaluation problem were dropped before."
    if arm.practises:
        yield f"What it learnt from are answers to them given during training: `practice_rollouts` of the dataset `{samples}`."
        return
    if arm.on_references:
        yield f"What it learnt are their own solutions: `references` of the dataset `{samples}`."
    else:
        yield f"What it learnt are samples of the base: `training_samples`, table `{source_of(study, name)}`, of the dataset `{samples}`."
    path = Path(study.results) / f"arms/{name}/audit.json"
    try:
        audit = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the study again.") from error
    if told := [f"{audit[key]:,} {said}" for key, said in CLASSES.items() if isinstance(audit.get(key), int)]:
        yield ", ".join(told) + "."
    rate = (audit.get("used_profile") or {}).get("correctness") or {}
    if rate.get("rate") is not None:
        yield f"Of the examples used {fmt.percent(rate['rate'])} are right by the grader."


def _recipe(study: Study, name: str, manifest: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What decided the weights; of a practice its own settings too."""
    arm = study.arms[name]
    settings = study.recipe(name).model_dump()
    without = {"trackers", "measure_every", "save_every", "checkpoints"}
    if arm.method is not None:
        settings |= {"method": METHODS[arm.method]} | study.practice_of(name).model_dump()
        without |= WITHOUT_EFFECT["training"] | {"turns", "base_kl"} | UNREAD[arm.method]
        if arm.method == "distil":
            teacher = teacher_of(study, name)
            settings["the teacher is told"] = (teacher and teacher.model_dump(exclude_defaults=True)) or "nothing"
    for key, value in settings.items():
        if key not in without and value not in (None, [], {}):
            yield key, _cell(value)
    yield "optimiser steps", f"{manifest['steps']:,}"
    yield "sequences learnt from", f"{manifest['sequences']:,}"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{inner} {_cell(each)}" for inner, each in value.items()) or "nothing"
    if isinstance(value, list):
        return " and ".join(map(str, value))
    return " ".join(str(value).replace("|", "\\|").split())


def _results(inputs: ReportInputs, model: str) -> str:
    levels = final_levels(inputs, words.ACCURACY)
    differences = final_differences(inputs, words.ACCURACY, words.MATCHED)
    rows = ["| decode | accuracy | base | difference, points | n |", "|---|---|---|---|---|"]
    for level in levels.filter(pl.col("model_id") == model).iter_rows(named=True):
        decode = level["decode_id"]
        base = levels.filter((pl.col("model_id") == "base") & (pl.col("decode_id") == decode)).to_dicts()
        apart = differences.filter((pl.col("model_id") == model) & (pl.col("decode_id") == decode)).to_dicts()
        cells = [
            decode,
            fmt.percent_with_interval(level),
            *(fmt.percent_with_interval(each) for each in base[:1] or [{}]),
        ]
        cells += [fmt.points_with_interval(apart[0]) if apart else fmt.MISSING, f"{level['n']:,} ({level['unit']})"]
        rows.append(f"| {' | '.join(cells)} |")
    return (
        "Of this checkpoint alone, on the test problems. Brackets are 95 % intervals, not adjusted for how many rows there are.\n\n"
        + "\n".join(rows)
        + "\n"
    )


def _verdicts(study: Study, inputs: ReportInputs, arm: str) -> str:
    """The hypotheses about an arm: other numbers than those of one checkpoint where it was trained several times."""
    assert inputs.verdicts is not None
    said = inputs.verdicts.filter((pl.col("arm") == arm) & (pl.col("role") == words.HYPOTHESIS))["sentence"].to_list()
    trainings = len(study.arms[arm].seeds)
    of = f"over its {trainings} trainings together" if trainings > 1 else "over its one training"
    begin = f"The study's hypotheses about the arm, judged {of}, and adjusted for how many there are (Holm):\n\n"
    return (
        begin + "".join(f"- {sentence}\n" for sentence in said)
        if said
        else "The study states no hypothesis about this arm.\n"
    )


def _one_training(study: Study, name: str) -> str:
    seeds = len(study.arms[name].seeds)
    if seeds == 1:
        return "This arm was trained once: what is said holds for this checkpoint, not for the method."
    return f"This is one of {seeds} trainings of the arm; another seed gives another model, and the report says how far apart they are."
