"""The sampler: executes what a plan asks of a shard and the journal does not yet hold, then seals the shard.

Goes in: a plan, a model folder, a journal. Comes out: one Parquet shard with exactly the plan's requests, sorted by
request. Everything streams: memory does not grow with the number of samples.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from tokenizers import Tokenizer

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import without_place
from selfdistill.machine.leases import lease_gpus
from selfdistill.machine.progress import Progress
from selfdistill.models.folder import inspect_model
from selfdistill.sampling.engines.choice import choose_engine, open_engine
from selfdistill.sampling.engines.contract import Engine, EngineSettings
from selfdistill.sampling.journal.engine_note import engine_of
from selfdistill.sampling.journal.journal import Journal
from selfdistill.sampling.journal.segments import each_once
from selfdistill.sampling.requests import Request, Sample
from selfdistill.study.sampling import AbortLoops
from selfdistill.tables.sampling import COMPLETIONS, PLAN
from selfdistill.tables.schema import Schema
from selfdistill.tables.streams import read_pieces

REQUEST = list(Request.__dataclass_fields__)


@dataclass(frozen=True)
class SamplerSettings:
    engine: str  # auto | vllm | torch
    dtype: str
    context: int
    abort_loops: AbortLoops | None = None
    trust_remote_code: str | None = None
    batch: int = 64
    gpus: int = 0  # to lease from this machine; 0 samples on the CPU
    on_gpu: bool = False  # one that this process holds already
    rests: bool = False  # its engine is asked to rest between generations of a training
    memory: float | None = None  # share of the GPU's memory for the engine; its own choice unless given

    @property
    def device(self) -> str:
        return "cuda" if self.gpus or self.on_gpu else "cpu"


class Started(NamedTuple):
    engine: Engine
    stop_ids: frozenset[int]


class Halted(Exception):
    """It was asked to stop; what is finished is in the journal."""


Opener = Callable[[str], AbstractContextManager[Started]]


def sample_shard(
    plan: Path,
    model: Path,
    shard: int,
    journal_folder: Path,
    output: Path,
    settings: SamplerSettings,
    opener: Opener | None = None,
    schema: Schema = COMPLETIONS,
    stop_requested: Callable[[], bool] = lambda: False,
) -> None:
    """`opener` gives the engine of a name, where it is not to be started here and for this shard alone; `schema` may have
    `logprobs` beside a completion's columns. Raises Halted when it is asked to stop."""
    opener = opener or (lambda name: leased_engine(model, name, settings))
    wanted = wanted_requests(plan, shard, settings.context)
    engine_name = choose_engine(settings.engine, settings.device, model, engine_of(journal_folder))
    with Journal(journal_folder, without_place(engine_name), schema) as journal, ExitStack() as until_sealed:
        missing = without(wanted, journal.held())
        if len(missing):
            journal.adopt(missing)
            missing = without(wanted, journal.held())
        for complaint in journal.damaged:
            print(complaint, file=sys.stderr)
        held = len(wanted) - len(missing)
        print(f"{output}: {len(wanted)} requests, {held} in the journal, {len(missing)} to sample", file=sys.stderr)
        if len(missing):
            # Only now: what the journal holds is sealed without a GPU.
            started = until_sealed.enter_context(opener(engine_name))
            tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
            with Progress(len(missing), held, str(output.with_suffix(""))) as progress:
                for sample in started.engine.sample(requests_of(plan, missing)):
                    journal.append(_record(sample, tokenizer, started, schema))
                    progress.count(len(sample.token_ids), sample.finish_reason)
                    if stop_requested():
                        raise Halted
            lacking = without(wanted, journal.held())
            if len(lacking):
                raise UserError(f"{output}: {len(lacking)} of {len(wanted)} requests have no sample; run again.")
        journal.seal(wanted, output)


@contextmanager
def leased_engine(model: Path, name: str, settings: SamplerSettings) -> Iterator[Started]:
    """The engine on GPUs of this machine that are leased as long as it is used."""
    with lease_gpus(settings.gpus) as lease:
        if lease.devices:
            print(f"GPU {', '.join(lease.devices)} is this job's own", file=sys.stderr)
        yield start_engine(model, name, settings)


def wanted_requests(plan: Path, shard: int, context: int) -> pl.Series:
    """The ids of a shard's requests, each once; a request that cannot fit the context is refused before anything runs."""
    ids = [pl.Series("request_id", [], pl.String)]
    for rows in read_pieces(plan, PLAN, ["request_id", "shard", "prompt_ids", "max_tokens"]):
        ours = rows.filter(pl.col("shard") == shard)
        too_long = ours.filter(pl.col("prompt_ids").list.len() + pl.col("max_tokens") > context)
        if too_long.height:
            row = too_long.row(0, named=True)
            raise UserError(
                f"request {row['request_id']}: {len(row['prompt_ids'])} prompt tokens and {row['max_tokens']} more do not "
                f"fit the context of {context}; raise model.context or lower max_tokens."
            )
        ids.append(ours["request_id"])
    return each_once(pl.concat(ids))


def requests_of(plan: Path, ids: pl.Series) -> Iterator[Request]:
    """In the order of the plan: neighbours share their decode, and draws of one problem their prompt."""
    for rows in read_pieces(plan, PLAN, REQUEST):
        ours = rows.filter(pl.col("request_id").is_in(ids.implode())).unique("request_id", maintain_order=True)
        ids = without(ids, ours["request_id"])
        for row in ours.iter_rows(named=True):
            yield Request(**row)


def without(ids: pl.Series, others: pl.Series) -> pl.Series:
    return ids.filter(~ids.is_in(others.implode()))


def start_engine(model: Path, name: str, settings: SamplerSettings) -> Started:
    """The engine and the end tokens, after a look at the model folder."""
    facts = inspect_model(model, settings.context, settings.trust_remote_code)
    for note in facts.notes:
        print(note, file=sys.stderr)
    engine = open_engine(
        name,
        EngineSettings(
            model=model,
            dtype=settings.dtype,
            context=settings.context,
            stop_ids=facts.stop_ids,
            batch=settings.batch,
            device=settings.device,
            abort_loops=settings.abort_loops,
            trust_remote_code=facts.trust_remote_code,
            rests=settings.rests,
            memory=settings.memory,
        ),
    )
    return Started(engine, frozenset(facts.stop_ids))


def _record(sample: Sample, tokenizer: Tokenizer, started: Started, schema: Schema) -> dict[str, Any]:
    engine, stop_ids = started
    ended = sample.token_ids and sample.token_ids[-1] in stop_ids
    record = {
        "request_id": sample.request_id,
        "token_ids": sample.token_ids,
        "text": tokenizer.decode(sample.token_ids[:-1] if ended else sample.token_ids, skip_special_tokens=False),
        "n_tokens": len(sample.token_ids),
        "finish_reason": sample.finish_reason,
        "logprob": sum(sample.logprobs),
        "engine": engine.name,
        "engine_version": engine.version,
        "seconds": sample.seconds,
    }
    return record | ({"logprobs": sample.logprobs} if "logprobs" in schema else {})
