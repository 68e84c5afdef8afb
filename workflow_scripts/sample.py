"""Samples one shard of a plan from one model, through the journal. A program, so that a launcher can start it.

python workflow_scripts/sample.py --plan plan.parquet --model DIR --shard 0 --journal DIR --output shard-0.parquet --settings JSON --batch 96
"""

import argparse
import json
from contextlib import AbstractContextManager
from pathlib import Path

from selfdistill.foundation.programs import as_program, loading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("plan", "model", "journal", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: engine, dtype, context, abort_loops, trust_remote_code",
    )
    parser.add_argument("--batch", type=int, default=64, help="sequences decoded at once")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs to lease from this machine; 0 samples on the CPU")
    asked = parser.parse_args()

    from selfdistill.sampling.sampler import SamplerSettings, Started, leased_engine, sample_shard
    from selfdistill.study.sampling import AbortLoops

    abort_loops = asked.settings.pop("abort_loops", None)
    settings = SamplerSettings(
        **asked.settings,
        abort_loops=AbortLoops.model_validate(abort_loops) if abort_loops else None,
        batch=asked.batch,
        gpus=asked.gpus,
    )

    def opener(name: str) -> AbstractContextManager[Started]:
        with loading():  # only now: what the journal holds is sealed without torch
            import torch

        torch.set_num_threads(asked.threads)
        return leased_engine(asked.model, name, settings)

    sample_shard(asked.plan, asked.model, asked.shard, asked.journal, asked.output, settings, opener)


if __name__ == "__main__":
    as_program(main)
