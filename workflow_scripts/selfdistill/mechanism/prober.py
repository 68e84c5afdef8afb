"""Asks one model for its laws at every probe of the plan, through an engine, and writes them in one table.

Goes in: carriers, the plan, a model folder. Comes out: a row for every probe. One carrier is in memory at a time; what is
done is kept (`parts.py`), and a job that was killed goes on.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from tokenizers import Tokenizer

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import without_place
from selfdistill.machine.progress import Progress
from selfdistill.mechanism.parts import Parts
from selfdistill.models.digests import model_digest
from selfdistill.models.folder import ModelFacts, inspect_model
from selfdistill.models.pieces import tokenizer_of
from selfdistill.sampling.engines.choice import choose_reader, open_engine
from selfdistill.sampling.engines.contract import Engine, EngineSettings
from selfdistill.sampling.requests import NextTokens, Probed
from selfdistill.tables.mechanism import CARRIERS, DISTRIBUTIONS, PROBE_PLAN
from selfdistill.tables.schema import Schema
from selfdistill.tables.whole import read_table


@dataclass(frozen=True)
class ProberSettings:
    engine: str  # auto | vllm | torch
    dtype: str
    context: int
    trust_remote_code: str | None = None
    top: int = 256
    gpus: int = 0

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    def of_engine(self, engine: str) -> "ProberSettings":
        return replace(self, engine=engine)


@dataclass(frozen=True)
class Job:
    """Which model is asked, what it reads, and where the answers go."""

    model_id: str
    model: Path
    carriers: Path
    plan: Path
    work: Path
    output: Path


@dataclass(frozen=True)
class Asked:
    """What one model is asked."""

    model_id: str
    given: list[Probed]
    probes: dict[str, list[str]]  # carrier → its probes, in the order of their positions


Answers = Callable[[Engine, Asked, list[Probed]], Iterator[tuple[str, pl.DataFrame]]]


def probe_model(job: Job, settings: ProberSettings) -> None:
    settings = settings.of_engine(choose_reader(settings.engine, job.model))
    ask(job, settings, DISTRIBUTIONS, partial(laws, top=settings.top), {"top": settings.top})


def laws(engine: Engine, asked: Asked, given: list[Probed], top: int) -> Iterator[tuple[str, pl.DataFrame]]:
    for number, told in enumerate(engine.distributions(given, top)):
        kept = told.ids.shape[1]
        if number == 0 and kept < top:
            print(
                f"{engine.name} {engine.version} has {kept} tokens of a law where {top} were asked for", file=sys.stderr
            )
        yield told.carrier_id, law_rows(told, asked, engine)


def ask(job: Job, settings: ProberSettings, schema: Schema, answers: Answers, about: Mapping[str, Any]) -> None:
    """`answers` gives the rows of one carrier after the other; `about` is what they depend on beside model and precision."""
    facts = inspect_model(job.model, settings.context, settings.trust_remote_code)
    asked = asked_of(job, tokenizer_of(job.model), facts.stop_ids, settings.context)
    known = {
        "model": model_digest(job.model),
        "engine": without_place(settings.engine),
        "dtype": settings.dtype,
        **about,
    }
    parts = Parts(job.work, schema, known)
    with parts.opened():
        missing = parts.missing(asked.probes, asked.given)
        held = len(asked.given) - len(missing)
        print(f"{job.output}: {len(asked.given)} carriers, {held} done before, {len(missing)} to read", file=sys.stderr)
        if missing:
            lengths = {each.carrier_id: len(each.completion_ids) for each in missing}
            engine = open_reader(job.model, facts, settings)
            with Progress(len(missing), held, str(job.output.with_suffix(""))) as progress:
                for carrier, rows in answers(engine, asked, missing):
                    parts.write(carrier, rows)
                    progress.count(lengths[carrier], "stop")
        parts.seal(asked.probes, job.output)


def open_reader(model: Path, facts: ModelFacts, settings: ProberSettings) -> Engine:
    """An engine that reads and writes nothing: its cache is of one text."""
    return open_engine(
        settings.engine,
        EngineSettings(
            model=model,
            dtype=settings.dtype,
            context=settings.context,
            stop_ids=facts.stop_ids,
            batch=1,
            device=settings.device,
            trust_remote_code=facts.trust_remote_code,
            top=settings.top,
        ),
    )


def law_rows(told: NextTokens, asked: Asked, engine: Engine) -> pl.DataFrame:
    columns = {
        "probe_id": asked.probes[told.carrier_id],
        "model_id": [asked.model_id] * len(told.ranks),
        "ids": pl.Series(told.ids).arr.to_list(),
        "logprobs": pl.Series(told.logprobs).arr.to_list(),
        "log_sum_exp": told.log_sum_exp,
        "entropy": told.entropy,
        "rank": told.ranks,
        "logprob": told.given,
    }
    about = {"engine": engine.name, "engine_version": engine.version}
    return pl.DataFrame(columns, strict=False).with_columns(pl.lit(value).alias(name) for name, value in about.items())


def asked_of(job: Job, tokenizer: Tokenizer, stop_ids: Sequence[int], context: int) -> Asked:
    """The plan, by carrier; one that does not fit its carriers, or carriers of another model's tokens, are refused."""
    carriers, plan = read_table(job.carriers, CARRIERS), read_table(job.plan, PROBE_PLAN)
    given, probes = [], {}
    texts = {row["carrier_id"]: row for row in carriers.iter_rows(named=True)}
    for (carrier,), rows in plan.sort("position").partition_by("carrier_id", as_dict=True, maintain_order=True).items():
        if carrier not in texts:
            raise UserError(f"probe {rows['probe_id'][0]}: its carrier {carrier} is not among the carriers; plan anew.")
        row = texts[carrier]
        refuse_misplaced(row["token_ids"], rows)
        refuse_too_long(row, context)
        refuse_other_tokenizer(row, job.model_id, tokenizer, stop_ids)
        given.append(Probed(str(carrier), row["prompt_ids"], row["token_ids"], rows["position"].to_list()))
        probes[str(carrier)] = rows["probe_id"].to_list()
    return Asked(job.model_id, given, probes)


def refuse_misplaced(completion: list[int], rows: pl.DataFrame) -> None:
    for probe, carrier, position, token in rows.select("probe_id", "carrier_id", "position", "token_id").iter_rows():
        if not 0 <= position < len(completion):
            raise UserError(
                f"probe {probe}: position {position} lies beyond the end of carrier {carrier}, which has {len(completion)} tokens; "
                "plan anew."
            )
        if completion[position] != token:
            raise UserError(
                f"probe {probe}: at position {position} of carrier {carrier} stands token {completion[position]} and not {token}; "
                "plan anew."
            )


def refuse_too_long(row: Mapping[str, Any], context: int) -> None:
    length = len(row["prompt_ids"]) + len(row["token_ids"])
    if length >= context:
        raise UserError(
            f"carrier {row['carrier_id']}: {length} tokens of prompt and completion do not fit the context of {context} with one to "
            "spare; choose carriers anew, or raise model.context."
        )


def refuse_other_tokenizer(
    row: Mapping[str, Any], model_id: str, tokenizer: Tokenizer, stop_ids: Sequence[int]
) -> None:
    ids = row["token_ids"]
    read = tokenizer.decode(ids[:-1] if ids[-1] in stop_ids else ids, skip_special_tokens=False)
    if read != row["text"]:
        raise UserError(
            f"carrier {row['carrier_id']}: its tokens are another text in the tokenizer of {model_id}; probes compare models of one "
            "tokenizer."
        )
