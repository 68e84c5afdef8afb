"""Write the dress rehearsal of a study: everything but its size, for a machine without GPU, hub or patience.

python workflow_scripts/rehearse.py config/qwen3.5-4b.yaml      then snakemake --configfile with the file that it names
"""

import argparse
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.programs import as_program
from selfdistill.rehearsal.rehearsal import SUFFIX, rehearse
from selfdistill.study.load import read_study, study_of
from selfdistill.study.results import usual_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--engine", choices=("auto", "vllm", "torch"), default="auto", help="auto: torch without a GPU")
    parser.add_argument("--whole", action="store_true", help="every seed and checkpoint: many short jobs")
    parser.add_argument(
        "--arms",
        nargs="+",
        help="these arms alone, those whose length they match, and the hypotheses that speak of no other",
    )
    asked = parser.parse_args()
    study_of(asked.study)  # a mistake in the study is told as one of the study
    raw = read_study(asked.study)
    if asked.arms and (unknown := sorted(set(asked.arms) - set(raw["arms"]))):
        raise UserError(f"--arms: the study has no arm {unknown[0]!r}; there are: {', '.join(raw['arms'])}.")
    folder = Path(usual_folder({"study": raw["study"] + SUFFIX})) / "given"
    file = rehearse(raw, folder, asked.engine, asked.whole, asked.arms)
    study_of(file)
    print(file)


as_program(main)
