"""Train an arm for a short while at several batch sizes, and look at the loss of held-out examples along the way.

python workflow_scripts/branch_runs.py --model DIR --dataset dataset.parquet --branches JSON --settings JSON --out losses.parquet
--work DIR [--targets targets.parquet]

The settings are those of `train.py`, the branches those of the study file. Finished branches are not trained again.
"""

import argparse
import os
from pathlib import Path

from pydantic import ValidationError

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.programs import as_program, loading
from selfdistill.machine.leases import lease_gpus
from selfdistill.study.mechanism import Branches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "dataset", "out", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--targets", type=Path, nargs="?", help="soft targets; without a file the sampled tokens are")
    parser.add_argument("--settings", required=True, help="JSON, as of train.py")
    parser.add_argument("--branches", required=True, help="JSON, as in the study file")
    asked = parser.parse_args()

    os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"})
    from selfdistill.training.settings import training_settings

    settings = training_settings(asked.settings)
    os.environ["OMP_NUM_THREADS"] = str(settings.threads)
    try:
        branches = Branches.model_validate_json(asked.branches)
    except ValidationError as error:
        raise UserError(f"--branches: {error.errors()[0]['msg']}.") from None
    with loading():
        from selfdistill.mechanism.branches import write_branches

    with lease_gpus(1 if settings.device == "cuda" else 0):
        write_branches(asked.model, asked.dataset, asked.targets, branches, settings, asked.out, asked.work)


if __name__ == "__main__":
    as_program(main)
