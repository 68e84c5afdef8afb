"""What a study costs and what it can find, before anything is sampled or trained.

forklock plan config.yaml
forklock plan config/qwen3.5-4b.yaml --price 2.5 --throughputs config/throughputs.yaml --json
forklock plan config/my.yaml --pilot results/trial     (by the variances of a finished study)
forklock plan config/smoke.yaml --actual     (after it has run: planned and found side by side)
"""

import argparse
import json
from pathlib import Path

from selfdistill.commands.given import add_study
from selfdistill.planning.actual import compare
from selfdistill.planning.cost import stages
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.planning.pilot import pilot_of
from selfdistill.planning.power import Basis, reaches, stated
from selfdistill.planning.printed import actual_table, as_data, as_text
from selfdistill.planning.proposal import proposed
from selfdistill.study.load import study_of

SUMMARY = "What a study costs and what it can find, before it runs."


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--throughputs", type=Path, default=Path("config/throughputs.yaml"), help="the figures")
    parser.add_argument("--price", type=float, help="of a GPU-hour")
    parser.add_argument("--json", action="store_true", help="print data instead of text")
    parser.add_argument("--actual", action="store_true", help="compare with what the finished study took")
    parser.add_argument(
        "--pilot", type=Path, help="results of a finished study, whose variances replace the stated figures"
    )


def run(asked: argparse.Namespace) -> int:
    study = study_of(asked.study)
    figures = Figures(load_throughputs(asked.throughputs), study, asked.throughputs)
    study = counted(study, figures)
    basis: Basis = pilot_of(asked.pilot, figures) if asked.pilot else stated(study, figures)
    parts, found = stages(study, figures), reaches(study, figures, basis)
    if asked.actual:
        print(actual_table(compare(study, figures, parts, found, Path(study.results))))
        return 0
    proposal = proposed(study, figures, basis)
    if asked.json:
        print(json.dumps(as_data(study, figures, parts, found, asked.price, proposal), indent=1))
    else:
        print(as_text(study, figures, parts, found, asked.price, proposal))
    return 0
