"""Say what is wrong with a study file, before anything that takes longer is started.

python workflow_scripts/check_study.py config/smoke.yaml
"""

import sys
from pathlib import Path

from selfdistill.annotation.rubric import check_rubric
from selfdistill.foundation.programs import as_program
from selfdistill.problems.wording import check_wording
from selfdistill.study.load import study_of


def main() -> None:
    study = study_of(Path(sys.argv[1]))
    check_wording(study)
    check_rubric(study)
    print(f"{study.study}: nothing is wrong with the study file.", file=sys.stderr)


as_program(main)
