"""Whether a plugin of yours keeps its contract: of engines and loaders, the checks that the project's own tests make.

forklock examine engine my_engine.py
forklock examine loader my_loader.py
forklock examine judge my_judge.py --rubric my_rubric.yaml
forklock examine filter my_filter.py
forklock examine analysis my_analysis.py

An engine is asked with the lab's small model, on the CPU unless --device says otherwise; one that asks a server needs the
server to be started with resources/lab/model. A loader reads what its own write(folder, problems) makes. The others are
asked about a few answers by hand. What is being asked is told beforehand, on stderr; with --seconds, a claim that takes longer
is broken and ends the examination. The exit status is 1 where something is broken.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import Reference, digest_of
from selfdistill.foundation.wording import plural
from selfdistill.planning.plugged import check_offer
from selfdistill.study.plugins import OFFERED_AS, Offer, offers_of

if TYPE_CHECKING:
    from selfdistill.examination.checks import Found

SUMMARY = "Whether an engine, a loader, a judge, a filter or an analysis of yours keeps its contract."
DAY = 24 * 60 * 60  # [s]
RUBRIC = Path("resources/rubrics/uncertainty.yaml")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=tuple(OFFERED_AS))
    parser.add_argument("file", type=Path, help="the Python file that a study names in plugins")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where an engine computes")
    parser.add_argument(
        "--within", type=float, default=1e-3, help="how far an engine's log-probabilities may lie from the trainer's"
    )
    parser.add_argument(
        "--seconds", type=int, default=DAY, help="give up where a claim takes longer; after a day unless given"
    )
    parser.add_argument("--rubric", type=Path, default=RUBRIC, help="what a judge is asked to count")


def run(asked: argparse.Namespace) -> int:
    if not 1 <= asked.seconds <= DAY:
        raise UserError(
            f"--seconds: {asked.seconds} is not from 1 to {DAY} (a day); give a number of seconds for one claim."
        )
    offers = [offer for offer in offers_of([str(asked.file)]) if offer.kind == asked.kind]
    if not offers:
        raise UserError(f"{asked.file}: offers no {asked.kind}; docs/extend.md says what it needs.")
    broken = 0
    for offer in offers:
        check_offer(offer)
        for found in examination_of(offer, asked):
            broken += found.broken is not None
            of = f"{offer.name}: " if len(offers) > 1 else ""
            print(of + told(found), flush=True)
    print(f"{asked.file}: {concluded(broken)}", file=sys.stderr)
    return int(bool(broken))


@contextmanager
def watched(claim: str, seconds: int) -> Iterator[None]:
    print(f"asking: {claim}", file=sys.stderr, flush=True)
    timer = Timer(seconds, give_up, (claim, seconds))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def give_up(claim: str, seconds: int) -> None:
    """Ends the process itself: nothing else ends code that hangs, and leaving as usual waits for its threads."""
    print(f"broken: {claim}: it is not done after {plural(seconds, 'second')}; the rest is not asked", flush=True)
    os._exit(1)


def told(found: "Found") -> str:
    if found.not_asked:
        return f"not asked: {found.claim}: {found.not_asked}"
    return f"broken: {found.claim}: {found.broken}" if found.broken else f"kept: {found.claim}"


def concluded(broken: int) -> str:
    return f"{plural(broken, 'claim is', 'claims are')} broken." if broken else "keeps its contract."


def examination_of(offer: Offer, asked: argparse.Namespace) -> "Iterator[Found]":
    """Rooms are opened for what is asked alone."""
    watch = partial(watched, seconds=asked.seconds)
    reference = Reference(offer.name, offer.file, digest_of(offer.file))
    if offer.kind == "loader":
        from selfdistill.examination.loaders import examine_loader

        return examine_loader(str(reference), watch)
    if offer.kind == "engine":
        from selfdistill.examination.engines import examine_engine
        from selfdistill.sampling.engines.choice import open_engine

        return examine_engine(
            lambda settings: open_engine(str(reference), replace(settings, device=asked.device)), asked.within, watch
        )
    if offer.kind == "judge":
        from selfdistill.annotation.rubric import read_rubric
        from selfdistill.examination.judges import examine_judge

        return examine_judge(reference, read_rubric(asked.rubric), watch)
    from selfdistill.examination.graded import examine_analysis, examine_filter

    return examine_filter(reference, watch) if offer.kind == "filter" else examine_analysis(reference, watch)
