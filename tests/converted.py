"""Public datasets for the tests: rows written in the shape of a dataset's files, and what becomes of them."""

from pathlib import Path

from selfdistill.problems.datasets.convert import convert
from selfdistill.rehearsal.recorded_shapes import NUMINA, parquet

SHARD = "data/train-0000{}-of-00005.parquet"


def numina(folder: Path, *rows: dict) -> Path:
    parquet(folder / SHARD.format(0), NUMINA, list(rows))
    return folder


def outcome(loader: str, folder: Path, **options: object) -> tuple[list[str], dict[str, int]]:
    """The answers that are kept and the reasons for the rest."""
    rows, dropped = convert(loader, folder, options)
    return [row["answer"] for row in rows], dropped
