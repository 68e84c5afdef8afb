"""Asks one model how likely it holds texts that are there already. A program, so that a launcher can start it.

python workflow_scripts/read_texts.py --readings readings.parquet --model DIR --work DIR --output logprobs.parquet --settings JSON
"""

import argparse
import json
import os
from pathlib import Path

from selfdistill.foundation.programs import as_program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("readings", "model", "work", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: engine, dtype, context, trust_remote_code"
    )
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to lease from this machine; 0 reads on the CPU")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    import torch

    from selfdistill.mechanism.prober import ProberSettings
    from selfdistill.mechanism.reading import Job, read_texts

    torch.set_num_threads(asked.threads)
    settings = ProberSettings(**asked.settings, top=1, gpus=asked.gpus)
    read_texts(Job(asked.model, asked.readings, asked.work, asked.output), settings)


if __name__ == "__main__":
    as_program(main)
