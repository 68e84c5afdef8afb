"""Turns apart: a trainer that finds a generation unanswered ends, samplers answer it, and the trainer is started again.

In the trainer's processes `AnsweringApart` stands in for an engine; in the program that starts them `answer_apart` runs one
sampler a process of this node, after all trainers have ended with the status `WANTED`.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from selfdistill.foundation.files import write_json
from selfdistill.machine.devices import VISIBLE
from selfdistill.tables.faults import UnusableTable
from selfdistill.tables.practice import ROLLED
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.streams import read_pieces
from selfdistill.tables.whole import read_table
from selfdistill.training.practice.answering import stopped_while_answering
from selfdistill.training.practice.rollouts import Policy
from selfdistill.training.practice.sampler_process import SamplerProcess
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.wanted import Share
from selfdistill.training.processes import ranks

WANTED = 75  # status of a trainer that waits for answers: as EX_TEMPFAIL, "try again later"
NOTE = "wanted.json"


class AnswersWanted(Exception):
    """A generation's questions are written down; the training goes on when samplers have answered them."""


class AnsweringApart:
    def answer(self, folder: Path, student: Policy, stop_requested: Callable[[], bool]) -> None:
        def answered() -> bool:
            shares = [Share(folder, student.folder, shard) for shard in range(ranks.world())]
            whole = all(map(_is_sealed, shares))
            if not whole:
                write_json(folder.parent / NOTE, {"folder": folder.name, "model": str(student.folder.resolve())})
            return whole

        if not ranks.by_first(answered):
            raise AnswersWanted


def _is_sealed(share: Share) -> bool:
    """Whether all of the plan's requests of this share are answered."""
    plan = read_table(share.plan, PLAN, ["request_id", "shard"])
    wanted = plan.filter(pl.col("shard") == share.shard)["request_id"]
    try:
        there = pl.concat([pl.Series("request_id", [], pl.String), *_ids(share)]) if share.sealed.is_file() else None
    except UnusableTable:
        return False
    return there is not None and there.sort().equals(wanted.sort())


def _ids(share: Share) -> list[pl.Series]:
    return [piece["request_id"] for piece in read_pieces(share.sealed, ROLLED, ["request_id"])]


def answer_apart(
    journals: Path, settings: PracticeSettings, node: int = 0, stop_requested: Callable[[], bool] = lambda: False
) -> None:
    """Answers what the trainers wanted, this node's shares, one sampler on each of its GPUs. `journals` lies beside the work
    folder."""
    note = json.loads((journals / NOTE).read_text())
    shards = range(node * settings.processes, (node + 1) * settings.processes)
    shares = [Share(journals / note["folder"], Path(note["model"]), shard) for shard in shards]
    devices = visible_devices(settings)
    samplers = [
        SamplerProcess(settings, device, heard=place == 0) for place, device in enumerate(devices[: len(shares)])
    ]
    try:
        with ThreadPoolExecutor(len(shares)) as threads:
            answered = [
                threads.submit(sampler.answer, share, stop_requested)
                for sampler, share in zip(samplers, shares, strict=True)
            ]
        if any(each.result() for each in answered):
            raise stopped_while_answering()
    finally:
        for sampler in samplers:
            sampler.close()


def visible_devices(settings: PracticeSettings) -> Sequence[str | None]:
    """Of each process of this node the GPU that is its own, as CUDA_VISIBLE_DEVICES names it."""
    if settings.device == "cpu":
        return [None] * settings.processes
    named = os.environ.get(VISIBLE)
    return named.split(",") if named else [str(index) for index in range(settings.processes)]
