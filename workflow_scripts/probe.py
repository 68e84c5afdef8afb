"""Asks one model for its next-token laws at every probe of the plan, or how deep its thoughts are there. A program, so that a launcher can start it.

python workflow_scripts/probe.py --carriers carriers.parquet --plan plan.parquet --model DIR --model-id base --work DIR \
    --output base.parquet --settings JSON
"""

import argparse
import json
import os
from pathlib import Path

from selfdistill.foundation.programs import as_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("carriers", "plan", "model", "work", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model-id", required=True, help="base, or arm/seed-0/at-100")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: engine, dtype, context, trust_remote_code, top"
    )
    parser.add_argument(
        "--depth",
        type=float,
        help="write depths instead: the distance from the last layer's law that counts as settled",
    )
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to lease from this machine; 0 reads on the CPU")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    import torch

    from selfdistill.mechanism.depth import depths_of_model
    from selfdistill.mechanism.prober import Job, ProberSettings, probe_model

    torch.set_num_threads(asked.threads)
    settings = ProberSettings(**asked.settings, gpus=asked.gpus)
    job = Job(asked.model_id, asked.model, asked.carriers, asked.plan, asked.work, asked.output)
    if asked.depth is None:
        probe_model(job, settings)
    else:
        depths_of_model(job, settings, asked.depth)


if __name__ == "__main__":
    as_program(main)
