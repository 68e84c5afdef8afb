"""A filled sheet of answers to judge, for the examples of docs/tables.md: right where the answer is the gold one, letter by letter.

python docs/examples/fill_sheet.py results/every-table > filled.csv
"""

import sys
from pathlib import Path

import polars as pl

sheet = pl.read_csv(Path(sys.argv[1]) / "audit/sheet.csv", infer_schema=False)
same = pl.col("gold") == pl.col("answer")
print(sheet.with_columns(right=pl.when(same).then(pl.lit("yes")).otherwise(pl.lit("no"))).write_csv(), end="")
