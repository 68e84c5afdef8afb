"""The gradient noise of finished runs, a line each: python benchmarks/gradient_noise.py results/lab-full/runs/soft/seed-0 …"""

import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from selfdistill.analysis.noise import noise_steps, noise_summary
from selfdistill.tables.training import NOISE
from selfdistill.tables.whole import read_table

SHOWN = (
    "steps",
    "trace_per_sequence",
    "signal_fraction",
    "signal_fraction_low",
    "signal_fraction_high",
    "noise_scale_text",
)

for run in sys.argv[1:]:
    summary = noise_summary(noise_steps(read_table(Path(run) / "noise.parquet", NOISE)))
    whole = summary.filter((pl.col("window") == "run") & (pl.col("group") == "total"))
    for row in whole.select("geometry", *SHOWN).to_dicts():
        print(run, row)
