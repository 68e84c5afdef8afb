"""Answer the questions of a training on its own answers: a sampler that `practice.py` starts, and speaks to in lines of JSON.

python workflow_scripts/answer.py --settings JSON < shares

The settings are those of `practice.py`; a share is {"folder": DIR, "model": DIR, "shard": 0} and is answered with a line.
"""

import argparse
import os

from selfdistill.foundation.programs import as_program
from train import OFFLINE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", required=True, help="JSON, see above")
    parser.add_argument("--memory", type=float, help="share of the GPU's memory for the engine")
    asked = parser.parse_args()

    os.environ.update(OFFLINE)
    import torch

    from selfdistill.training.practice.serving import sampler_settings, serve
    from selfdistill.training.practice.settings import practice_settings

    settings = practice_settings(asked.settings)
    torch.set_num_threads(settings.threads)
    serve(sampler_settings(settings, rests=True, memory=asked.memory))


if __name__ == "__main__":
    as_program(main)
