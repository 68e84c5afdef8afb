"""Write down what the base would have drawn at every token that an arm is trained on: the arm's soft targets.

python workflow_scripts/teacher.py --model DIR --dataset dataset.parquet --decode JSON --out targets.parquet --summary targets.json
"""

import argparse
import os
from pathlib import Path

from selfdistill.foundation.programs import as_program, loading
from selfdistill.machine.leases import lease_gpus
from selfdistill.study.sampling import Decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "dataset", "out", "summary"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--decode", type=Decode.model_validate_json, required=True, help="JSON, as in the study file")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--slow-kernels", action="store_true", help="on a GPU, do without kernels that make it fast")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})  # before it is imported
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    with loading():
        from selfdistill.training.examples.teacher import write_targets

    with lease_gpus(1 if asked.device == "cuda" else 0):
        write_targets(
            asked.model, asked.dataset, asked.decode, asked.device, asked.out, asked.summary, asked.slow_kernels
        )


if __name__ == "__main__":
    as_program(main)
