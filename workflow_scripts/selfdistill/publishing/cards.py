"""The cards of what goes to a hub: of a trained model, and of the samples as a dataset. Made of the tables, no word by hand.

What is said of a model is what the report says: levels and differences from the base with their intervals, on the test
problems, at the largest budget. Text of models and datasets never stands in a card; the study's own prompt does, as code.
"""

import json
from collections.abc import Iterator
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
from selfdistill.study.models import source_of
from selfdistill.study.names import parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, ESTIMATES, VERDICTS
from selfdistill.tables.whole import read_table


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
    training = about.made_by["trainings"][model.rpartition("/")[0]]
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

A checkpoint of the study *{about.study}*, at the end of its training: {_in_one_sentence(study, arm)} It was made to learn
what self-distillation does, and not to be used for anything else. Forklock trained it, {code_in_words(training["code"])};
the numbers below are of Forklock {about.version}, {code_in_words(about.made_by)}.

## Data

{"".join(f"- {line}{chr(10)}" for line in _data(study, arm))}
The samples are the dataset `{samples}`. The prompt of every problem:

{_fenced(study.problems.prompt)}

## Recipe

| | |
|---|---|
{"".join(f"| `{key}` | {value} |{chr(10)}" for key, value in _recipe(study, arm))}
## Results

{_results(inputs, model, arm)}
{"".join(f"- {sentence}{chr(10)}" for sentence in _verdicts(inputs, arm))}
## Limits

- The numbers are of the test problems of this study, asked with its prompt and its token cap; an answer that was not finished
  or not in the asked format counts as wrong. They say nothing of other tasks or languages.
- {_one_training(study, arm)}
- Nothing was done to make it safe or truthful; what was wrong with the base is likely still there.
- The base and the problems have licences of their own, which hold for this model too as far as they reach.
"""


def dataset_card(study: Study, about: About, name: str, rooms: dict[str, int]) -> str:
    configs = [{"config_name": room, "data_files": f"{room}/*.parquet"} for room in rooms]
    header: dict[str, Any] = {"tags": ["self-distillation", "forklock"], "configs": configs}
    header |= {"license": about.licence.lower()} if about.licence else {}
    decodes = "".join(
        f"- `{decode}`: {decode_in_words(values.model_dump())}\n" for decode, values in study.decodes.items()
    )
    counts = "".join(f"- `{room}`: {plural(rows, 'row')}\n" for room, rows in rooms.items()).replace("\u2009", ",")
    return f"""{_front(header)}
# {about.study}: every completion of the study

All completions that the study *{about.study}* drew, graded: what the arms were trained on, and the answers by which they were
judged. {made_with(about)}.

{counts}
One row is one completion. `model_id` says who wrote it, `decode_id` how it was drawn, `text` what it is, `finish_class` how it
ended, `verdict` whether it is right by the grader; `gold` is the answer of the problem `problem_id`, which stands in `problems`.

## How they were drawn

{decodes}
The prompt of every problem:

{_fenced(study.problems.prompt)}

## Limits

- The texts are a language model's: wrong in part, and unchecked but for their last answer.
- A program graded them, and it errs; the report of the study says how it was looked at.
- The problems are those of the study's sources ({", ".join(study.problems.sources)}), with licences of their own.
- They are draws of one model under one prompt, and no sample of anything else.
"""


def _front(header: dict[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n"


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _in_one_sentence(study: Study, name: str) -> str:
    arm = study.arms[name]
    if arm.on_references:
        return "it learnt the reference solutions of the training problems."
    if arm.practises:
        return f"it learnt while it answered the training problems itself (method {arm.method})."
    how = decode_in_words(study.decodes[str(arm.decode)].model_dump())
    kept = {"finished": ", those that it finished", "correct": ", those that are right"}.get(str(arm.keep), "")
    told = f", told {arm.context}" if arm.context else ""
    return f"it learnt what its base itself had answered ({how}{told}{kept})."


def _data(study: Study, name: str) -> Iterator[str]:
    arm = study.arms[name]
    sources = [source for source, values in study.problems.sources.items() if values.use == "train"]
    yield f"Problems of {', '.join(sources)}; those too like an evaluation problem were dropped before."
    if not arm.on_references and not arm.practises:
        yield f"Samples of the base: `{source_of(study, name)}`."
    try:
        audit = json.loads((Path(study.results) / f"arms/{name}/audit.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(
            f"{study.results}/arms/{name}/audit.json: cannot be read ({error}); run the study again."
        ) from error
    told = {key: audit.get(key) for key in ("sampled", "finished", "cut", "kept", "used")}
    yield ", ".join(f"{key} {value:,}" for key, value in told.items() if isinstance(value, int)) + "."
    rate = (audit.get("used_profile") or {}).get("correctness") or {}
    if rate.get("rate") is not None:
        yield f"Of the examples used {fmt.percent(rate['rate'])} are right by the grader."


def _recipe(study: Study, name: str) -> Iterator[tuple[str, Any]]:
    for key, value in study.recipe(name).model_dump().items():
        if value not in (None, [], {}) and key not in ("trackers", "measure_every", "save_every", "checkpoints"):
            yield (
                key,
                ", ".join(f"{inner} {each}" for inner, each in value.items()) if isinstance(value, dict) else value,
            )


def _results(inputs: ReportInputs, model: str, arm: str) -> str:
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
    return "Brackets are 95 % intervals, on the test problems.\n\n" + "\n".join(rows) + "\n"


def _verdicts(inputs: ReportInputs, arm: str) -> list[str]:
    rows = inputs.verdicts
    return (
        []
        if rows is None
        else rows.filter((pl.col("arm") == arm) & (pl.col("role") == words.HYPOTHESIS))["sentence"].to_list()
    )


def _one_training(study: Study, name: str) -> str:
    seeds = len(study.arms[name].seeds)
    if seeds == 1:
        return "This arm was trained once: what is said holds for this checkpoint, not for the method."
    return f"This is one of {seeds} trainings of the arm; another seed gives another model, and the report says how far apart they are."
