"""What a study took, and when it ends, of files and a plan whose sums are known."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import ROOT
from selfdistill.commands.status import Reckoned, reckoning
from selfdistill.machine.provenance import seconds_of_job
from selfdistill.planning.cost import Amount, Stage
from selfdistill.planning.pace import End, Hours, end_of, left_of, taken
from selfdistill.planning.standing import Part
from selfdistill.study.load import study_of
from selfdistill.study.study import Study

NOW = datetime(2026, 3, 6, 23, 0, tzinfo=UTC)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(ROOT)
    written = study_of(Path("config/smoke.yaml"))
    training = written.training.model_copy(update={"gpus": 2, "nodes": 2})
    return written.model_copy(update={"results": str(tmp_path), "training": training})


def stage(name: str, hours: float) -> Stage:
    amount = Amount(tokens=1e6, gpu_hours=hours)
    return Stage(name, {}, 0, amount, amount)


PLAN = [stage("sample training data", 6), stage("sample base evaluations", 4), stage("train", 16), stage("report", 0)]


def took(study: Study, job: str, seconds: float) -> None:
    file = Path(study.results) / f"benchmarks/{job}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:00\t-\n")


def sampled(name: str, done: int, total: int, *words: dict[str, float]) -> Part:
    return Part("sample", name, done, total, "completions", list(words))


def trained(name: str, done: int, *words: dict[str, float]) -> Part:
    return Part("train", name, done, 10, "steps", list(words))


def test_hours_are_of_what_is_done_and_of_all_devices_that_a_job_held(study: Study) -> None:
    parts = [sampled("base", 250, 250), sampled("aa", 0, 750), trained("ssd/seed-0", 10), trained("ssd/seed-1", 0)]
    assert taken(study, parts, PLAN) is None, "no job left its seconds"
    took(study, "sample/base/shard-0", 3600)
    took(study, "sample/base/shard-1", 5400)
    assert taken(study, parts, PLAN) == Hours(2.5, 2.5, on_gpu=True), "a quarter of 10 hours"
    took(study, "train/ssd/seed-0", 7200)
    assert taken(study, parts, PLAN) == Hours(2.5 + 4 * 2, 2.5 + 8, on_gpu=True)
    took(study, "sample/aa/shard-0", 3600)
    assert taken(study, parts, PLAN) == Hours(10.5, 10.5, on_gpu=True), "aa is not done"


def test_the_end_is_at_the_speed_so_far_with_the_devices_at_work(study: Study) -> None:
    running = trained("ssd/seed-1", 0, {"seconds_left": 60})
    parts = [sampled("base", 1000, 1000), running, trained("ssd/seed-0", 0)]
    left = left_of(parts, PLAN)
    assert left.gpu_hours == 16
    assert end_of(study, parts, left, None, NOW) == End(4, 4 * 3600, NOW + timedelta(hours=4))
    slow = Hours(taken=15, planned=10, on_gpu=True)
    assert end_of(study, parts, left, slow, NOW) == End(4, 6 * 3600, NOW + timedelta(hours=6))
    idle = [sampled("base", 1000, 1000), trained("ssd/seed-1", 0)]
    assert end_of(study, idle, left, slow, NOW) is None, "nothing runs, so nobody knows"


def test_the_end_is_no_sooner_than_the_last_job_says(study: Study) -> None:
    part = trained("ssd/seed-1", 9, {"seconds_left": 9 * 3600})
    found = end_of(study, [part], left_of([part], PLAN), None, NOW)
    assert found and found.seconds == 9 * 3600
    part = sampled("base", 0, 10, {"eta_seconds": None})  # type: ignore[dict-item]
    found = end_of(study, [part], Amount(gpu_hours=1), None, NOW)
    assert found and found.seconds == 3600


def test_it_is_told_in_three_lines(study: Study) -> None:
    end = End(4, 6 * 3600, NOW + timedelta(hours=6))
    said = list(reckoning(Reckoned(Amount(2e6, gpu_hours=16, cpu_hours=0.5), Hours(15, 10, True), end), 2.5))
    assert said == [
        "left by the plan: 16.0 hours of one GPU, 30 minutes of one CPU core, 2.00 million tokens, 40.00 at 2.5 a GPU-hour",
        "models and trainings that are done took 15.0 hours of one GPU, 37.50 at 2.5 a GPU-hour; the plan says 10.0 hours",
        "at that speed, and with 4 devices at work as now: 6.0 hours to the end, Saturday, 05:00",
    ]
    assert len(list(reckoning(Reckoned(Amount(), None, None), None))) == 1


@pytest.mark.parametrize("content", ["", "s\n", "s\th:m:s\n-\t-\n", "h:m:s\n0:00:01\n", "s\n\x00\n"])
def test_a_benchmark_that_says_nothing_counts_for_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "a.tsv"
    assert seconds_of_job(file) is None
    file.write_text(content)
    assert seconds_of_job(file) is None
