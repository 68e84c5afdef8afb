"""Asks one model how likely it holds texts that are there already: the sum of the log-probabilities of their tokens.

Goes in: readings (a prompt, a text, where it begins to count), a model folder. Comes out: a row for every reading. Readings
are asked in pieces; what is done is kept (`parts.py`), and a job that was killed goes on.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from selfdistill.foundation.plugins import without_place
from selfdistill.machine.leases import lease_gpus
from selfdistill.machine.progress import Progress
from selfdistill.mechanism.parts import Parts
from selfdistill.mechanism.prober import ProberSettings, open_reader
from selfdistill.models.digests import model_digest
from selfdistill.models.folder import inspect_model
from selfdistill.sampling.engines.choice import choose_reader
from selfdistill.sampling.engines.contract import Engine
from selfdistill.sampling.requests import Probed
from selfdistill.tables.ladder import LOGPROBS, READINGS
from selfdistill.tables.streams import PIECE_TOKENS
from selfdistill.tables.whole import read_table


class Job(NamedTuple):
    model: Path
    readings: Path
    work: Path
    output: Path


def read_texts(job: Job, settings: ProberSettings) -> None:
    settings = settings.of_engine(choose_reader(settings.engine, job.model))
    given = given_texts(read_table(job.readings, READINGS))
    pieces = in_pieces(given, PIECE_TOKENS)
    asked = {name: [each.carrier_id for each in piece] for name, piece in pieces.items()}
    facts = inspect_model(job.model, settings.context, settings.trust_remote_code)
    known = {
        "model": model_digest(job.model),
        "engine": without_place(settings.engine),
        "dtype": settings.dtype,
        "what": "readings",
    }
    parts = Parts(job.work, LOGPROBS, known)
    with parts.opened():
        missing = [name for name, ids in asked.items() if parts.of(name, ids) is None]
        left = sum(len(pieces[name]) for name in missing)
        print(f"{job.output}: {len(given)} texts, {left} to read", file=sys.stderr)
        if missing:
            with (
                lease_gpus(settings.gpus),
                Progress(left, len(given) - left, str(job.output.with_suffix(""))) as progress,
            ):
                engine = open_reader(job.model, facts, settings)
                for name in missing:
                    parts.write(name, rows_of(engine, pieces[name], progress))
        parts.seal(asked, job.output)


def given_texts(readings: pl.DataFrame) -> list[Probed]:
    return [
        Probed(
            row["reading_id"],
            row["prompt_ids"],
            row["completion_ids"],
            list(range(row["first"], len(row["completion_ids"]))),
        )
        for row in readings.sort("reading_id").iter_rows(named=True)
    ]


def in_pieces(given: list[Probed], tokens: int) -> dict[str, list[Probed]]:
    """As many texts together as make a file's worth of tokens."""
    pieces: list[list[Probed]] = []
    room = 0
    for each in given:
        length = len(each.prompt_ids) + len(each.completion_ids)
        if not pieces or length > room:
            pieces.append([])
            room = tokens
        pieces[-1].append(each)
        room -= length
    return {f"piece-{number:05d}": piece for number, piece in enumerate(pieces)}


def rows_of(engine: Engine, piece: list[Probed], progress: Progress) -> pl.DataFrame:
    def told() -> Iterator[dict[str, object]]:
        for law in engine.distributions(piece, 1):
            progress.count(len(law.given), "stop")
            yield {
                "probe_id": law.carrier_id,
                "logprob": float(law.given.sum()),
                "engine": engine.name,
                "engine_version": engine.version,
            }

    return pl.DataFrame(list(told()), schema=LOGPROBS)
