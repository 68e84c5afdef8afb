"""Budgets grow for free: only what is missing is sampled, and what is no longer asked for is kept."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import Clone
from selfdistill.tables.sampling import COMPLETIONS, GRADED
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("budgets")

MODELS = ("samples-t11", "base")
TARGETS = [f"results/smoke/models/{model}/graded.parquet" for model in MODELS]


def grow(study: dict[str, Any]) -> None:
    study["training"]["samples"] = 2 * 260
    study["evaluation"]["draws"] = 2
    study["decodes"]["t10"] = {"temperature": 1.0, "top_k": 20, "top_p": 0.95, "max_tokens": 224}
    study["evaluation"]["decodes"]["base"].append("t10")


def ask_a_mixture_more_often(study: dict[str, Any]) -> None:
    study["evaluation"] |= {"mixtures": {"hard": {"olympiad": 10}}, "mixture_draws": {"hard": 2}}


def ask_the_base_more_often(study: dict[str, Any]) -> None:
    study["evaluation"] |= {"draws": {"base": 2, "arms": 1}, "pass_at": [1, 2]}
    study["arms"] = {name: study["arms"][name] for name in ("ssd", "aa")}
    del study["mechanism"]
    study["hypotheses"] = {name: study["hypotheses"][name] for name in ("ssd-at-0-7", "aa-is-null")}


def requests_held_and_sampled(clone: Clone, model: str) -> tuple[int, int, int]:
    """What the logs of the model's shards counted: requests asked for, found in the journal, sampled."""
    counts = [
        re.search(r"(\d+) requests, (\d+) in the journal, (\d+) to sample", log.read_text())
        for log in sorted((clone.folder / "results/smoke/logs/sample" / model).glob("shard-*.log"))
    ]
    assert len(counts) == 2 and all(counts)
    asked, held, sampled = (sum(int(count[place]) for count in counts if count) for place in (1, 2, 3))
    return asked, held, sampled


def completions(clone: Clone, model: str) -> pl.DataFrame:
    folder = clone.folder / "results/smoke/models" / model
    return pl.concat(read_table(path, COMPLETIONS) for path in sorted(folder.glob("shard-*.parquet"))).sort(
        "request_id"
    )


def test_only_what_is_missing_is_sampled_and_lowering_samples_nothing(own: Clone) -> None:
    before = {model: completions(own, model) for model in MODELS}
    larger = own.changed_study(grow)
    seen = own.snakemake_on_a_terminal(*TARGETS, study=larger)
    # The live view: a bar that is drawn over itself, of a job that Snakemake started.
    assert re.search(r"\r[^\n]*models/base/shard-\d[^\n]*tokens/s[^\n]*cut", seen), seen[-3000:]
    # 260 → 520 training samples; 90 problems × 3 decodes × 1 draw → 90 × 4 decodes × 2 draws.
    assert requests_held_and_sampled(own, "samples-t11") == (520, 260, 260)
    assert requests_held_and_sampled(own, "base") == (720, 270, 450)
    assert_progress_is_logged_for_machines(own)
    for model in MODELS:
        grown = completions(own, model)
        # The very samples of before, down to the seconds that each took.
        assert grown.join(before[model], on="request_id", how="semi").equals(before[model])
        assert read_table(own.folder / f"results/smoke/models/{model}/graded.parquet", GRADED).height == grown.height
        for shard in range(2):
            assert_journal_is_small(own.folder / "results/smoke/models" / model, shard)

    assert own.snakemake(*TARGETS).returncode == 0
    assert requests_held_and_sampled(own, "samples-t11") == (260, 260, 0)
    assert requests_held_and_sampled(own, "base") == (270, 270, 0)
    for model in MODELS:
        assert completions(own, model).equals(before[model])

    assert own.snakemake(TARGETS[1], study=larger).returncode == 0
    assert requests_held_and_sampled(own, "base") == (720, 720, 0)

    # More draws of a few problems are the samples that more draws of all had drawn: ten problems × 3 decodes × 1 draw.
    assert own.snakemake(TARGETS[1], study=own.changed_study(ask_a_mixture_more_often)).returncode == 0
    assert requests_held_and_sampled(own, "base") == (300, 300, 0)
    graded = read_table(own.folder / TARGETS[1], GRADED)
    assert dict(graded.group_by("purpose").len().rows()) == {"eval": 270, "mixture": 30}

    # The base and its twin asked twice, the arms as before: these keep their answers, and one page is made of all.
    said = own.snakemake(study=own.changed_study(ask_the_base_more_often))
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    assert requests_held_and_sampled(own, "base") == (540, 540, 0)
    log = own.folder / "results/smoke/logs/sample/ssd/seed-0/at-100/shard-0.log"
    assert re.search(r"(\d+) requests, \1 in the journal, 0 to sample", log.read_text())
    page = (own.folder / "results/smoke/report.html").read_text()
    assert "2 answers of the base and 1 of each trained model to each problem" in page


def assert_progress_is_logged_for_machines(clone: Clone) -> None:
    for log in (clone.folder / "results/smoke/logs/sample/base").glob("shard-*.log"):
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        assert lines[-1]["samples"] == lines[-1]["total"] > 0 and lines[-1]["already"] > 0
        assert lines[-1]["tokens_per_second_mean"] > 0 and 0 < lines[-1]["cut_rate"] < 1


def assert_journal_is_small(folder: Path, shard: int) -> None:
    sealed = (folder / f"shard-{shard}.parquet").stat().st_size
    assert sum(path.stat().st_size for path in (folder / f"journal-{shard}").iterdir()) <= 1.3 * sealed
