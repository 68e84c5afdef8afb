"""All that is wrong with a study, at once: its file first, then what it names: model, chat template, problems, engines, disk.

forklock check config/my.yaml

What stands in the file is told with its line. What is not there yet, as a model that is still to be downloaded, cannot be
looked at, and is told so. The exit status is 1 where something is wrong.
"""

import argparse
import sys
from pathlib import Path

from selfdistill.commands.given import add_study
from selfdistill.foundation.wording import plural
from selfdistill.planning.examined import Finding, examined
from selfdistill.study.cross_checks import cross_checks
from selfdistill.study.lines import read_with_lines
from selfdistill.study.load import typed_study, without_paths

SUMMARY = "All that is wrong with a study, each with its place and what to do."
SIGNS = {"wrong": "error", "note": "note", "unknown": "not looked at"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--file-alone", action="store_true", help="look at the study file and at nothing that it names")


def run(asked: argparse.Namespace) -> int:
    lines = read_with_lines(asked.study)
    study = typed_study(without_paths(lines.content), lines)
    told = list(dict.fromkeys(cross_checks(study, Path("."))))
    found = [Finding("wrong", complaint) for complaint in told]
    found += [] if asked.file_alone else examined(study, told)
    for finding in found:
        print(f"{SIGNS[finding.kind]}: {lines.placed(finding.sentence, lines.content)}", file=sys.stderr)
    wrong = sum(finding.kind == "wrong" for finding in found)
    print(f"{study.study}: {concluded(found, wrong)}", file=sys.stderr)
    return int(bool(wrong))


def concluded(found: list[Finding], wrong: int) -> str:
    if wrong:
        return f"{plural(wrong, 'thing is', 'things are')} wrong."
    unknown = sum(finding.kind == "unknown" for finding in found)
    return "nothing is wrong" + (
        f" as far as is known: {plural(unknown, 'thing', 'things')} not there yet." if unknown else "."
    )
