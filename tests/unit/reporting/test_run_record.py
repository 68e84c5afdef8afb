"""What made the results is written down with the report: when, by which code, on what."""

from pathlib import Path
from typing import Any

import polars as pl

from report_fixture import report_inputs
from selfdistill.reporting.record import run_record

CODE = {"commit": "c0ffee", "uncommitted changes": "none"}
MANIFEST: dict[str, Any] = {
    "code": CODE, "device": "cuda", "python": "3.12.1", "versions": {"torch": "2.13.0+cu130"},
    "finished": "2026-03-01T10:00:00Z", "seconds": 3600.0, "base_path": "/home/ada/model",
}  # fmt: skip


def test_it_begins_with_the_first_time_that_a_job_wrote_down(tmp_path: Path) -> None:
    def started(manifests: dict[str, dict[str, Any]]) -> str | None:
        found: str | None = run_record(report_inputs(), manifests, tmp_path / "logs")["started"]
        return found

    assert started({}) is None
    assert started({"ssd/seed-0": MANIFEST}) == "2026-03-01T09:00:00+00:00"
    (tmp_path / "logs/sample").mkdir(parents=True)
    (tmp_path / "logs/sample/base.log").write_text(
        '{"model": "x", "time": "2001-01-01T00:00:00+00:00"}\n{"event": "progress", "label": "x", "time": "2026-03-01T08:30:00+00:00"}\n'
    )
    assert started({"ssd/seed-0": MANIFEST}) == "2026-03-01T08:30:00+00:00"


def test_trainings_and_engines_are_those_of_the_run_and_no_path_is_in_it(tmp_path: Path) -> None:
    sampled = pl.DataFrame({"engine": ["vllm", "vllm"], "engine_version": ["0.11", "0.11"]})
    record = run_record(report_inputs(sampled=sampled), {"ssd/seed-0": MANIFEST}, tmp_path)
    assert record["trainings"] == {
        "ssd/seed-0": {
            "code": CODE,
            "device": "cuda",
            "python": "3.12.1",
            "versions": {"torch": "2.13.0+cu130"},
        }
    }
    assert record["sampling"] == [{"engine": "vllm", "engine_version": "0.11", "samples": 2}]
    assert "polars" in record["packages"]


def test_what_an_older_manifest_does_not_say_is_not_known(tmp_path: Path) -> None:
    older = {key: value for key, value in MANIFEST.items() if key != "code"}
    [training] = run_record(report_inputs(), {"ssd/seed-0": older}, tmp_path)["trainings"].values()
    assert training["code"] == {"commit": "not known", "uncommitted changes": "not known"}
    assert training["versions"] == MANIFEST["versions"]
