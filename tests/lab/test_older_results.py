"""Results that an older version made are taken up: nothing is sampled again, nothing trained again, every number stays."""

import re
import shutil
import tarfile
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from conftest import ROOT, Clone

MADE = ROOT / "tests/old_results"
# What tells of the machine's own work, and sentences, whose wording may become better.
NO_NUMBERS = ("seconds", "finished", "noise_scale_text", "sentence", "estimand_line", "detection_limit")
# Judged by other statistics since: intervals, p and verdicts of differences are not what they were.
JUDGED_ANEW = ("analysis/comparisons", "analysis/factorial", "analysis/verdicts")
ENDS = ("low", "high")  # of levels, whose families are weighed otherwise since


@pytest.fixture
def older(fresh: Clone) -> Clone:
    with tarfile.open(MADE / "made.tar.xz") as archive:
        archive.extractall(fresh.folder, filter="data")
    shutil.copy(MADE / "study.yaml", fresh.folder / "old/study.yaml")
    return fresh


def tables(folder: Path) -> dict[str, pl.DataFrame]:
    rooms = ("problems", "models", "arms", "runs", "analysis")
    return {
        str(path.relative_to(folder)): pl.read_parquet(path)
        for room in rooms
        for path in sorted((folder / room).rglob("*.parquet"))
        if "journal-" not in str(path) and "/work/" not in str(path)
    }


def test_results_of_an_older_version_are_taken_up_and_every_number_stays(older: Clone) -> None:
    results = older.folder / "results/old"
    before = tables(results)
    said = older.snakemake("--forcerun", "problems", "train", "sample", study="old/study.yaml")
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    assert (results / "report.html").is_file()

    sampled = [log.read_text() for log in (results / "logs/sample").rglob("*.log")]
    counts = [re.search(r"(\d+) requests, (\d+) in the journal, (\d+) to sample", text) for text in sampled]
    assert len(counts) == 9 and all(count and count[1] == count[2] and count[3] == "0" for count in counts)
    trained = [log.read_text() for log in (results / "logs/train").rglob("*.log")]
    assert len(trained) == 2 and all("finished before" in text for text in trained)

    after = tables(results)
    assert len(before) > 40 and after.keys() >= before.keys()
    for name, table in before.items():
        if name.startswith(JUDGED_ANEW):
            continue
        # Later versions know more rates of one model.
        if name.startswith("analysis/levels"):
            after[name] = after[name].filter(pl.col("estimand").is_in(table["estimand"].unique().to_list()))
        left_out = (*NO_NUMBERS, *(ENDS if name.startswith("analysis/levels") else ()))
        kept = [column for column in table.columns if column not in left_out]
        # Sums of a group are taken in whatever order polars' threads come to them: the last bits of noise tables are chance.
        exact = not name.startswith("analysis/noise")
        assert_frame_equal(after[name].select(kept), table.select(kept), check_exact=exact, rel_tol=1e-9)
