"""What comparing the laws of one text of 32,768 tokens takes, 256 tokens of each law, and the means of a reader's 48 such texts:
python benchmarks/long_disagreement.py

Random laws stand in for a model's: the time and the memory of the comparison do not depend on what they say.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from selfdistill.doubt.counting import Markers
from selfdistill.mechanism.disagreement import disagreements, planned
from selfdistill.mechanism.where import where_of_each
from selfdistill.models.pieces import tokenizer_of
from selfdistill.tables.mechanism import CARRIERS, DISTRIBUTIONS
from selfdistill.tables.schema import empty_table
from selfdistill.tables.whole import write_table

LENGTH, TOP, VOCABULARY = 32_768, 256, 151_936
TEXTS = 48  # of a reader


def law_table(plan: pl.DataFrame, seed: int) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    log_p = -np.sort(generator.exponential(4.0, (LENGTH, TOP)).astype(np.float32), axis=1)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True) * 1.02)
    ids = (generator.integers(0, VOCABULARY, (LENGTH, 1)) + np.arange(TOP) * 593) % VOCABULARY
    columns = {
        "probe_id": plan["probe_id"],
        "ids": pl.Series(ids.astype(np.int32)).arr.to_list(),
        "logprobs": pl.Series(log_p).arr.to_list(),
    }
    return pl.concat([empty_table(DISTRIBUTIONS), pl.DataFrame(columns)], how="diagonal_relaxed").cast(
        pl.Schema(DISTRIBUTIONS)
    )


def main() -> None:
    tokenizer = tokenizer_of(Path(__file__).parents[1] / "resources/lab/model")
    carrier = {
        "carrier_id": "long",
        "family": "f",
        "prompt_ids": [1, 2],
        "token_ids": [34 + n % 400 for n in range(LENGTH)],
    }
    carriers = pl.concat([empty_table(CARRIERS), pl.DataFrame([carrier])], how="diagonal_relaxed").cast(
        pl.Schema(CARRIERS)
    )
    plan = planned(carriers)
    with tempfile.TemporaryDirectory() as folder:
        laws = (Path(folder) / "p.parquet", Path(folder) / "q.parquet")
        for seed, path in enumerate(laws):
            write_table(law_table(plan, seed).sort("probe_id"), path, DISTRIBUTIONS)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        (rows,) = disagreements("other", carriers, (plan, plan), laws, tokenizer, Markers())
        spent = time.process_time() - began
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{rows.height:,} tokens: {spent:.1f} s of one core, peak {after / 1024:,.0f} MB ({before / 1024:,.0f} MB before it)"
    )
    began = time.process_time()
    texts = (
        rows.with_columns(family=pl.lit(f"family-{text}"), carrier_id=pl.lit(f"text-{text}")) for text in range(TEXTS)
    )
    where_of_each([texts], Markers().names, 20)
    spent, whole = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"means of {TEXTS} such texts, one reader: {spent:.1f} s, peak {whole / 1024:,.0f} MB ({after / 1024:,.0f} MB before it); "
        f"the plan of either law {TEXTS * plan.estimated_size('mb'):,.0f} MB"
    )


if __name__ == "__main__":
    main()
