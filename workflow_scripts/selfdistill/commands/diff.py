"""What a study as its file now stands would really sample and train anew, beside what is there already.

forklock diff config/my.yaml
forklock diff config/my.yaml --jobs      (and Snakemake's own list of the jobs it would run)

Snakemake says which files it would make again; here the requests and the trainings are counted that no journal and no work
folder holds. So a decode that is renamed samples nothing, and a learning rate that is changed back trains nothing.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from selfdistill.commands.given import add_study
from selfdistill.foundation.wording import plural
from selfdistill.planning.changes import Changes, changes
from selfdistill.planning.counts import counted
from selfdistill.planning.examined import THROUGHPUTS
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.study.identity import refuse_other_results
from selfdistill.study.lines import at_its_line, read_with_lines
from selfdistill.study.load import load_study, without_paths

SUMMARY = "What a change to the study file would really sample and train anew."


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--jobs", action="store_true", help="also the jobs that Snakemake would run, and why")
    parser.add_argument("--json", action="store_true", help="print data instead of text")


def run(asked: argparse.Namespace) -> int:
    lines = read_with_lines(asked.study)
    study = load_study(without_paths(lines.content), lines=lines)
    with at_its_line(lines):
        refuse_other_results(study, Path(study.results))
    found = changes(study, counted(study, Figures(load_throughputs(THROUGHPUTS), study, THROUGHPUTS)))
    print(json.dumps(asdict(found), indent=1) if asked.json else "\n".join(told(study.study, found)))
    return jobs(asked.study) if asked.jobs else 0


def told(name: str, found: Changes) -> Iterator[str]:
    """What is kept is counted; what is new is named."""
    asked, new = (sum(getattr(each, key) for each in found.sampled) for key in ("asked", "new"))
    anew = [each for each in found.trained if not each.kept]
    yield f"{name}: {new:,} of {plural(asked, 'completion')} would be sampled, {len(anew)} of {plural(len(found.trained), 'training')} would run anew."
    for sampled in found.sampled:
        if sampled.new:
            yield f"  sample  {sampled.model:<36} {sampled.new:,} of {sampled.asked:,}{f'  ({sampled.why})' if sampled.why else ''}"
    for trained in found.trained:
        if trained.why:
            yield f"  train   {trained.run:<36} {trained.why}"


def jobs(study: Path) -> int:
    command = ["snakemake", "--dry-run", "--configfile", str(study), "--cores", "1"]
    listed = subprocess.run(command, capture_output=True, text=True)
    table = listed.stdout.partition("Job stats:")[2].partition("\n\n")[0]
    print(
        f"Snakemake's jobs:{table}"
        if table
        else listed.stdout.strip().splitlines()[-1]
        if listed.stdout.strip()
        else listed.stderr
    )
    return listed.returncode
