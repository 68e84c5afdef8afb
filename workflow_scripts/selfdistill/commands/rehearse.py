"""Write the dress rehearsal of a study: everything but its size, for a machine without GPU, hub or patience.

forklock rehearse config/qwen3.5-4b.yaml      then snakemake --configfile with the file that it names
"""

import argparse
from pathlib import Path

from selfdistill.commands.given import add_study
from selfdistill.foundation.errors import UserError
from selfdistill.rehearsal.rehearsal import SUFFIX, rehearse
from selfdistill.study.load import read_study, study_of
from selfdistill.study.results import usual_folder

SUMMARY = "A study made small, with the lab's model and problems: writes the file that is then run."


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser, usual=None)
    parser.add_argument("--engine", choices=("auto", "vllm", "torch"), default="auto", help="auto: torch without a GPU")
    parser.add_argument("--whole", action="store_true", help="every seed and checkpoint: many short jobs")
    parser.add_argument(
        "--arms",
        nargs="+",
        help="these arms alone, those whose length they match, and the hypotheses that speak of no other",
    )


def run(asked: argparse.Namespace) -> int:
    study_of(asked.study)  # a mistake in the study is told as one of the study
    raw = read_study(asked.study)
    if asked.arms and (unknown := sorted(set(asked.arms) - set(raw["arms"]))):
        raise UserError(f"--arms: the study has no arm {unknown[0]!r}; there are: {', '.join(raw['arms'])}.")
    folder = Path(usual_folder({"study": raw["study"] + SUFFIX})) / "given"
    file = rehearse(raw, folder, asked.engine, asked.whole, asked.arms)
    study_of(file)
    print(file)
    return 0
