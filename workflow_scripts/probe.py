"""Asks one model for its next-token laws at every probe of the plan, and how deep in it they settle. A program, so that a
launcher can start it.

python workflow_scripts/probe.py --carriers carriers.parquet --plan plan.parquet --model DIR --model-id base --work DIR \
    --output base.parquet --settings JSON
"""

import argparse
import json
import os
import sys
from pathlib import Path

from selfdistill.foundation.programs import as_program, loading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("carriers", "plan", "model", "work", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model-id", required=True, help="base, or arm/seed-0/at-100")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: engine, dtype, context, trust_remote_code, top"
    )
    parser.add_argument(
        "--depths", nargs="?", const="", default="", help="where depths go; without it none are measured"
    )
    parser.add_argument("--distance", type=float, default=0.5, help="from the last layer's law, that counts as settled")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to lease from this machine; 0 reads on the CPU")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    with loading():
        import torch

        from selfdistill.machine.leases import lease_gpus
        from selfdistill.mechanism.depth import depths_of_model, refuse_without_layers
        from selfdistill.mechanism.prober import Job, ProberSettings, probe_model

    torch.set_num_threads(asked.threads)
    settings = ProberSettings(**asked.settings, gpus=asked.gpus)
    read = (asked.model_id, asked.model, asked.carriers, asked.plan)
    if asked.depths:
        refuse_without_layers(asked.model, settings.engine)
    # One lease for both: once CUDA runs in a process, its devices are chosen.
    with lease_gpus(asked.gpus) as lease:
        if lease.devices:
            print(f"GPU {', '.join(lease.devices)} is this job's own", file=sys.stderr)
        probe_model(Job(*read, asked.work / "laws", asked.output), settings)
        if asked.depths:
            depths_of_model(Job(*read, asked.work / "depths", Path(asked.depths)), settings, asked.distance)


if __name__ == "__main__":
    as_program(main)
