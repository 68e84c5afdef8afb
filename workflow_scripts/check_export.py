"""Checks a run's exported checkpoints in the sampling engine. A program, so that a launcher can start it.

python workflow_scripts/check_export.py --checkpoints at-050 at-100 --manifest manifest.json --output export_check.json \
    --settings JSON --batch 96
"""

import argparse
import json
from pathlib import Path

from selfdistill.foundation.programs import as_program, loading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True)
    parser.add_argument("--manifest", type=Path, required=True, help="of their run: it says which model was the base")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: engine, dtype, context, trust_remote_code, limit"
    )
    parser.add_argument("--batch", type=int, default=64, help="sequences decoded at once")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to lease from this machine; 0 computes on the CPU")
    asked = parser.parse_args()

    with loading():
        import torch

        from selfdistill.sampling.sampler import SamplerSettings
        from selfdistill.training.handover.export_check import check_exports

    torch.set_num_threads(asked.threads)
    limit = asked.settings.pop("limit", None)
    settings = SamplerSettings(**asked.settings, batch=asked.batch, gpus=asked.gpus)
    check_exports(asked.checkpoints, asked.manifest, settings, limit, asked.output)


if __name__ == "__main__":
    as_program(main)
