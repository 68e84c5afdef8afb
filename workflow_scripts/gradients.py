"""Take the gradient of each of an arm's examples at a frozen checkpoint, by class of token. A killed probe goes on.

python workflow_scripts/gradients.py --model DIR --base DIR --dataset dataset.parquet --settings JSON --sequences 256 --out
products.parquet --work DIR [--graded graded.parquet --keep finished]

With the graded samples that the dataset was chosen from, those that it left over come first: no training was shown them.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.programs import as_program, loading
from selfdistill.machine.leases import lease_gpus

if TYPE_CHECKING:
    import polars as pl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "base", "dataset", "out", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--graded", type=Path, nargs="?", help="the samples that the dataset was chosen from")
    parser.add_argument("--keep", help="what the arm keeps of them")
    parser.add_argument("--settings", required=True, help="JSON: decode, classes, sketch, seed, context, device")
    parser.add_argument("--sequences", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})  # before it is imported
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    with loading():
        from selfdistill.mechanism.gradients import ProbeSettings, probe_examples, write_products
        from selfdistill.tables.training import DATASET
        from selfdistill.tables.whole import read_table

    try:
        settings = ProbeSettings.model_validate_json(asked.settings)
    except ValidationError as error:
        raise UserError(f"--settings: {error.errors()[0]['msg']}.") from None
    dataset = read_table(asked.dataset, DATASET)
    unused = left_over(asked.graded, asked.keep) if asked.graded else dataset.clear()
    examples = probe_examples(dataset, unused, asked.sequences, settings.context)
    with lease_gpus(1 if settings.device == "cuda" else 0):
        write_products(asked.model, asked.base, examples, settings, asked.out, asked.work)


def left_over(graded: Path, keep: str | None) -> "pl.DataFrame":
    import polars as pl

    from selfdistill.foundation.plugins import reference_in
    from selfdistill.tables.sampling import GRADED
    from selfdistill.tables.whole import read_table
    from selfdistill.training.examples.kept import kept_samples

    columns = ("request_id", "problem_id", "purpose", "finish_class", "verdict", "prompt_ids", "token_ids")
    # A filter of a plugin's may look at any column.
    sampled = read_table(graded, GRADED, () if reference_in(keep or "") else columns).filter(
        pl.col("purpose") == "train"
    )
    return kept_samples(sampled, keep).rename({"token_ids": "completion_ids"})


if __name__ == "__main__":
    as_program(main)
