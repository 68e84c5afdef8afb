"""All that is wrong with a study, at once: its file first, then what it names: model, chat template, problems, engines, disk.

forklock check config/my.yaml

What stands in the file is told with its line. What is not there yet, as a model that is still to be downloaded, cannot be
looked at, and is told so. The exit status is 1 where something is wrong.
"""

import argparse
import sys

from selfdistill.commands.given import add_study
from selfdistill.foundation.wording import plural
from selfdistill.planning.examined import Finding, looked_at
from selfdistill.study.lines import read_with_lines

SUMMARY = "All that is wrong with a study, each with its place and what to do."
SIGNS = {"mistake": "error", "note": "note", "unknown": "not looked at"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--file-alone", action="store_true", help="look at the study file and at nothing that it names")


def run(asked: argparse.Namespace) -> int:
    name, found = looked_at(read_with_lines(asked.study), asked.file_alone)
    for finding in found:
        print(f"{SIGNS[finding.kind]}: {finding.sentence}", file=sys.stderr)
    wrong = sum(finding.kind == "mistake" for finding in found)
    print(f"{name}: {concluded(found, wrong)}", file=sys.stderr)
    return int(bool(wrong))


def concluded(found: list[Finding], wrong: int) -> str:
    unseen = [finding.unseen for finding in found if finding.kind == "unknown"]
    if wrong:
        rest = f", and {len(unseen)} could not be looked at" if unseen else ""
        return f"{plural(wrong, 'thing is', 'things are')} wrong{rest}."
    return "nothing is wrong" + (f" as far as is known. Not looked at: {'; '.join(unseen)}." if unseen else ".")
