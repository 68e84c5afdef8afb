"""What converting a dataset of NuminaMath-CoT's size and shape costs: python benchmarks/dataset_conversion.py --limit 20000

The texts are made up: prose as long as theirs, answers of which about half are plain numbers. Every row is of a source
that is kept, which is more work than the real file makes.
"""

import argparse
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

import pyarrow as pa
import pyarrow.parquet as pq

from selfdistill.grading.verify import unreadable
from selfdistill.problems.datasets.convert import convert
from selfdistill.rehearsal.recorded_shapes import NUMINA, numina_row

WORDS = ("let", "sum", "of", "all", "such", "numbers", "a", "product", "for", "which", "triangle", "circle", "points")
PIECE = 5000
FORMS = (
    lambda rng: str(rng.randint(0, 9999)),
    lambda rng: rf"\frac{{{rng.randint(1, 99)}}}{{{rng.randint(2, 99)}}}",
    lambda rng: rf"\frac{{{rng.randint(2, 99)}\sqrt{{{rng.randint(2, 50)}}}}}{{{rng.randint(2, 99)}}}",
    lambda rng: f"({rng.randint(-99, 99)}, {rng.randint(-99, 99)})",
    lambda rng: rf"x^2 - {rng.randint(2, 999)}x + {rng.randint(1, 99)}",
    lambda rng: rf"{rng.randint(1, 9999)}\text{{ cm}}",
    lambda rng: rf"{rng.randint(1, 99)}, {rng.randint(1, 99)}",
    lambda rng: rng.choice("ABCD"),
)


def prose(rng: random.Random, length: int) -> str:
    return " ".join(f"{rng.choice(WORDS)} {rng.randint(1, 999)}" for _ in range(length))


def write(folder: Path, rows: int) -> None:
    rng = random.Random(0)
    folder.joinpath("data").mkdir()
    for shard in range(5):
        with pq.ParquetWriter(folder / f"data/train-0000{shard}-of-00005.parquet", NUMINA) as writer:
            for _ in range(rows // 5 // PIECE):
                piece = [
                    numina_row(f"Find it: {prose(rng, 30)}?", "", solution=rf"{prose(rng, 150)} \boxed{{{answer}}}.")
                    for answer in (rng.choice(FORMS)(rng) for _ in range(PIECE))
                ]
                writer.write_table(pa.Table.from_pylist(piece, NUMINA), row_group_size=1000)


def golds(count: int) -> None:
    rng = random.Random(1)
    answers = [rng.choice(FORMS[2:6])(rng) for _ in range(count)]
    for workers in (1, 2):
        started = time.monotonic()
        unreadable(answers, workers=workers)
        took = time.monotonic() - started
        print(f"{count} answers ({len(set(answers))} different) read by {workers} workers: {took:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=860_000)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    golds(5000)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), asked.rows)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.monotonic()
        rows, dropped = convert("numina-math-cot", Path(folder), {"limit": asked.limit}, asked.workers)
    took, peak = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{asked.rows} rows, limit {asked.limit}: {len(rows)} kept in {took:.0f} s, {peak:.0f} MB at most", end=" ")
    print(f"({before:.0f} MB before); dropped: {dropped}")


if __name__ == "__main__":
    main()
