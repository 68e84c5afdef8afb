"""Which texts say how much a context tells, and behind which prompts each is read.

    information of told texts   texts y that were sampled under the context: log p(y|x,c) − log p(y|x)
    answer probe                the right answer alone, put behind a closed thought: the same difference
    style cost                  correct texts that were sampled without the context: log p(y|x) − log p(y|x,c)

The first is a divergence of what is written with the context from what would be without. It is the information that the text
takes from the context only as far as the bare model is what it says it is: `docs/contexts.md`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from selfdistill.grading.answers import CLOSE_THINK, OPEN_THINK
from selfdistill.problems.references import continuation
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT
from selfdistill.tables.ladder import INFORMATION_TEXTS, READINGS
from selfdistill.tables.schema import conform

NEEDED = ("problem_id", "family", "request_id", "verdict", "prompt_ids", "token_ids")


@dataclass(frozen=True)
class Mouth:
    """How the right answer is put into a model's mouth."""

    tokenizer: Any
    sentence: str  # with {answer}
    unguided_thinks: bool
    thinks: Mapping[str, bool]  # under each context

    def tokens(self, prompt_ids: list[int], answer: str, thinks: bool) -> tuple[list[int], int]:
        """The tokens of a closed thought and the answer's sentence behind a prompt, and which is the first of the answer's."""
        before, after = self.sentence.split("{answer}")
        opening = closed_thought(self.tokenizer.decode(prompt_ids, skip_special_tokens=False), thinks)
        ids = continuation(self.tokenizer, prompt_ids, opening + before + answer + after)
        length = len(opening + before)
        first = next(
            place
            for place in range(len(ids))
            if len(self.tokenizer.decode(ids[: place + 1], skip_special_tokens=False)) > length
        )
        return ids, first


def closed_thought(prompt: str, thinks: bool) -> str:
    """What brings a completion behind this prompt to where its answer begins."""
    opened, closed = prompt.rfind(OPEN_THINK), prompt.rfind(CLOSE_THINK)
    if not thinks or (closed > opened and prompt.rstrip().endswith(CLOSE_THINK)):
        return ""
    return f"{CLOSE_THINK}\n\n" if opened > closed else f"{OPEN_THINK}\n\n{CLOSE_THINK}\n\n"


class Reading(NamedTuple):
    prompt_ids: list[int]
    completion_ids: list[int]
    first: int = 0

    @property
    def reading_id(self) -> str:
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()[:32]

    def fits(self, context: int) -> bool:
        return len(self.prompt_ids) + len(self.completion_ids) < context


class Texts(NamedTuple):
    texts: pl.DataFrame
    readings: pl.DataFrame


def information_texts(
    climber: str,
    unguided: pl.DataFrame,
    told: Mapping[str, pl.DataFrame],
    golds: Mapping[str, str],
    mouth: Mouth,
    context: int,
) -> Texts:
    """`unguided` and `told`, by context, are one climber's graded answers on its rungs; of problems
    that have answers on all of them. A text that does not fit the model's
    context behind one of the two prompts has no reading there, and is counted where the table is made."""
    shared = set.intersection(*({*answers["problem_id"]} for answers in (unguided, *told.values())))
    on_every_rung = pl.col("problem_id").is_in(shared)
    unguided = unguided.filter(on_every_rung)
    rows: list[dict[str, Any]] = []
    readings: dict[str, Reading] = {}
    bare = dict(unguided.unique("problem_id").select("problem_id", "prompt_ids").iter_rows())
    right = unguided.filter(pl.col("verdict") == CORRECT)
    for name, answers in told.items():
        for row, with_it, without in _asked(name, answers.filter(on_every_rung), right, bare, golds, mouth):
            for reading in (with_it, without):
                if reading.fits(context):
                    readings.setdefault(reading.reading_id, reading)
            ids = [reading.reading_id if reading.fits(context) else None for reading in (with_it, without)]
            counted = len(without.completion_ids) - without.first
            rows.append(
                row | {"model_id": climber, "context": name, "tokens": counted, "told": ids[0], "untold": ids[1]}
            )
    found = [{"reading_id": key, **reading._asdict()} for key, reading in readings.items()]
    return Texts(
        conform(_frame(rows, INFORMATION_TEXTS), INFORMATION_TEXTS, "information texts"),
        conform(_frame(found, READINGS), READINGS, "readings"),
    )


def _asked(
    name: str,
    answers: pl.DataFrame,
    right: pl.DataFrame,
    bare: Mapping[str, list[int]],
    golds: Mapping[str, str],
    mouth: Mouth,
) -> Iterator[tuple[dict[str, Any], Reading, Reading]]:
    """Of one context: what is measured, the reading behind its prompt and the one behind the bare prompt."""
    prompts = dict(answers.unique("problem_id").select("problem_id", "prompt_ids").iter_rows())
    for measure, texts in ((words.TOLD_INFORMATION, answers), (words.STYLE_COST, right)):
        for row in texts.iter_rows(named=True):
            problem, ids = row["problem_id"], row["token_ids"]
            yield _named(row, measure), Reading(prompts[problem], ids), Reading(bare[problem], ids)
    for row in answers.unique("problem_id", maintain_order=True).iter_rows(named=True):
        problem = row["problem_id"]
        told = Reading(prompts[problem], *mouth.tokens(prompts[problem], golds[problem], mouth.thinks[name]))
        untold = Reading(bare[problem], *mouth.tokens(bare[problem], golds[problem], mouth.unguided_thinks))
        yield _named(row, words.ANSWER_PROBE) | {"request_id": None}, told, untold


def _named(row: Mapping[str, Any], measure: str) -> dict[str, Any]:
    return {name: row[name] for name in ("problem_id", "family", "request_id")} | {"measure": measure}


def _frame(rows: list[dict[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={**schema}, strict=False) if rows else pl.DataFrame(schema={**schema})
