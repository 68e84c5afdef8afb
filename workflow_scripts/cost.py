"""What a study costs and what it can find, before anything is sampled or trained.

python workflow_scripts/cost.py config.yaml
python workflow_scripts/cost.py config/qwen3.5-4b.yaml --price 2.5 --throughputs config/throughputs.yaml --json
python workflow_scripts/cost.py config/smoke.yaml --actual     (after it has run: planned and found side by side)
"""

import argparse
import json
from pathlib import Path

from selfdistill.foundation.programs import as_program
from selfdistill.planning.actual import compare
from selfdistill.planning.cost import stages
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.planning.power import reaches
from selfdistill.planning.printed import actual_table, as_data, as_text
from selfdistill.study.load import study_of


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study file")
    parser.add_argument("--throughputs", type=Path, default=Path("config/throughputs.yaml"), help="the figures")
    parser.add_argument("--price", type=float, help="of a GPU-hour")
    parser.add_argument("--json", action="store_true", help="print data instead of text")
    parser.add_argument("--actual", action="store_true", help="compare with what the finished study took")
    asked = parser.parse_args(arguments)

    study = study_of(asked.study)
    figures = Figures(load_throughputs(asked.throughputs), study, asked.throughputs)
    study = counted(study, figures)
    parts, found = stages(study, figures), reaches(study, figures)
    if asked.actual:
        print(actual_table(compare(study, figures, parts, found, Path(study.results))))
    elif asked.json:
        print(json.dumps(as_data(study, figures, parts, found, asked.price), indent=1))
    else:
        print(as_text(study, figures, parts, found, asked.price))


if __name__ == "__main__":
    as_program(main)
