"""Train one arm with one seed on answers that it gives while it trains. After a crash or a stop, the same command goes on.

python workflow_scripts/practice.py --model DIR --questions questions.parquet --out RUN --work RUN/work --settings JSON

The settings are those of `selfdistill/training/practice/settings.py`. With `--replay rollouts.parquet` of another such run
nothing is sampled: its rollouts are learnt from. More than one process or node: as `train.py` does it.
"""

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_program
from train import INTERRUPTED, OFFLINE, Between, StopSignal, add_options, started_on

if TYPE_CHECKING:
    from selfdistill.training.practice.settings import PracticeSettings

PATIENCE = timedelta(days=1)  # ranks wait for each other's shares of a generation, which may be of unlike length


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, "questions")
    parser.add_argument("--replay", type=Path, nargs="?", help="rollouts of another run, to learn from instead")
    asked = parser.parse_args(arguments)

    os.environ.update(OFFLINE)  # before the libraries that read it are imported
    from selfdistill.training.practice.settings import practice_settings

    settings = practice_settings(asked.settings, trackers=asked.trackers)
    started_on(
        settings,
        asked.node,
        asked.meeting,
        lambda stop_requested: practise(asked, settings, stop_requested),
        in_turns(asked, settings) if settings.practice.turns == "apart" and not asked.replay else None,
        PATIENCE,
    )


def practise(asked: argparse.Namespace, settings: "PracticeSettings", stop_requested: StopSignal) -> None:
    from selfdistill.training.practice.apart import WANTED, AnswersWanted
    from selfdistill.training.practice.run import practise_run
    from selfdistill.training.run import Stopped

    try:
        practise_run(
            asked.model,
            asked.questions,
            settings,
            asked.out,
            asked.work,
            stop_requested,
            asked.replay,
            asked.slow_kernels,
            asked.study,
        )
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(INTERRUPTED)
    except AnswersWanted:
        sys.exit(WANTED)


def in_turns(asked: argparse.Namespace, settings: "PracticeSettings") -> Between:
    """Trainers that want answers have ended, and samplers take their place."""
    from selfdistill.training.practice.apart import WANTED, answer_apart
    from selfdistill.training.practice.generations import journals_of
    from selfdistill.training.practice.settings import with_engine
    from selfdistill.training.run import Stopped

    settings = with_engine(settings, asked.model)  # as the trainers do

    def answer(node: int, stop_requested: StopSignal) -> None:
        try:
            answer_apart(journals_of(asked.work), settings, node, stop_requested)
        except Stopped as stopped:
            print(stopped, file=sys.stderr)

    return Between(WANTED, answer)


if __name__ == "__main__":
    as_program(main)
