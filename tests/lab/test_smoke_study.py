"""The smoke study from raw problems to the report: that it is whole, that it resumes, and that damage is noticed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

from conftest import ENVIRONMENT, PATIENCE, Clone, begun
from selfdistill.tables.analysis import EFFECTS, ESTIMATES, VERDICTS
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.training import DATASET, RUN_LOG, WEIGHTS
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("smoke")


def results(clone: Clone) -> Path:
    return clone.folder / "results/smoke"


def graded(clone: Clone, model: str) -> pl.DataFrame:
    return read_table(results(clone) / f"models/{model}/graded.parquet", GRADED)


def test_a_finished_study_has_nothing_left_to_do(smoke: Clone) -> None:
    said = smoke.snakemake()
    assert said.returncode == 0 and "Nothing to be done" in said.stdout + said.stderr


def test_every_room_of_the_results_is_there(smoke: Clone) -> None:
    for name in (
        "problems/train.parquet", "problems/eval.parquet", "problems/contamination.parquet", "models/base/plan.parquet",
        "models/aa/graded.parquet", "models/ssd/seed-0/at-050/shard-0.parquet", "arms/ssd/audit.json",
        "runs/ssd/seed-0/manifest.json", "runs/ssd/seed-0/at-100/model.safetensors", "analysis/verdicts.parquet",
        "checks.json", "study.yaml", "report.html", "figures", "provenance.json",
    ):  # fmt: skip
        assert (results(smoke) / name).exists(), name


def test_the_effective_study_is_written_down_with_its_defaults(smoke: Clone) -> None:
    effective = yaml.safe_load((results(smoke) / "study.yaml").read_text())
    assert effective["decodes"]["plain"]["top_k"] == 0  # not in the file: a default


def test_an_unfinished_answer_is_never_correct(smoke: Clone) -> None:
    for model in ("base", "samples-t11", "ssd/seed-0/at-100"):
        rows = graded(smoke, model)
        cut = rows.filter(pl.col("finish_reason") == "length")
        assert set(cut["finish_class"]) <= {"cut", "loop"} and set(cut["verdict"]) <= {"unanswered"}
        assert rows.filter((pl.col("verdict") == "correct") & ~pl.col("boxed")).is_empty()


def test_arms_train_on_what_they_say(smoke: Clone) -> None:
    sampled = graded(smoke, "samples-t11")
    for arm, classes in (("ssd", {"answered", "no_answer"}), ("keep-cut", {"answered", "no_answer", "cut", "loop"})):
        dataset = read_table(results(smoke) / f"arms/{arm}/dataset.parquet", DATASET)
        assert set(dataset["finish_class"]) <= classes
        assert set(dataset["request_id"]) <= set(sampled["request_id"])
        audit = json.loads((results(smoke) / f"arms/{arm}/audit.json").read_text())
        assert audit["sampled"] == sampled.height
        assert audit["kept"] == sampled.filter(pl.col("finish_class").is_in(classes)).height


def test_no_arm_saw_an_evaluation_problem(smoke: Clone) -> None:
    evaluation = set(read_table(results(smoke) / "problems/eval.parquet", PROBLEMS)["problem_id"])
    for path in results(smoke).glob("arms/*/dataset.parquet"):
        assert not evaluation & set(read_table(path, DATASET)["problem_id"])
    planted = json.loads((smoke.folder / "resources/lab/problems/planted.json").read_text())
    assert read_table(results(smoke) / "problems/contamination.parquet", CONTAMINATION).height >= len(planted)


def test_training_moved_the_weights_and_the_exports_differ(smoke: Clone) -> None:
    manifest = json.loads((results(smoke) / "runs/ssd/seed-0/manifest.json").read_text())
    digests = {checkpoint["digest"] for checkpoint in manifest["checkpoints"].values()}
    assert len(digests) == 2 and manifest["base_digest"] not in digests
    assert manifest["weights_dtype"] == ["torch.float32"]
    weights = read_table(results(smoke) / "runs/ssd/seed-0/weights.parquet", WEIGHTS)
    assert weights["changed"].sum() > 0


def test_tables_of_the_analysis_are_finite_and_ordered(smoke: Clone) -> None:
    levels = read_table(results(smoke) / "analysis/levels.parquet", ESTIMATES)
    known = levels.filter(pl.col("low").is_not_null())
    assert (known["low"] <= known["estimate"] + 1e-12).all() and (known["estimate"] <= known["high"] + 1e-12).all()
    factorial = read_table(results(smoke) / "analysis/factorial.parquet", EFFECTS)
    assert {"main effect of the decode", "main effect of the filter", "interaction"} <= set(factorial["estimand"])
    verdicts = read_table(results(smoke) / "analysis/verdicts.parquet", VERDICTS)
    words = {"improved", "worse", "equivalent within the margin", "not resolved", "not measurable"}
    assert set(verdicts["verdict"]) <= words


def test_the_report_opens_in_a_browser_without_a_complaint(smoke: Clone, chromium: str, tmp_path: Path) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
               "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]  # fmt: skip
    said = subprocess.run(
        [chromium, *options, f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--v=0", "--dump-dom",
         (results(smoke) / "report.html").as_uri()],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert "CONSOLE" not in said.stderr, said.stderr
    assert "</html>" in said.stdout and said.stdout.count("<svg") >= 11
    for arm in ("ssd", "keep-cut", "filter-only", "fixed-point", "aa"):
        assert arm in said.stdout


def test_every_check_of_the_results_passed(smoke: Clone) -> None:
    checks = json.loads((results(smoke) / "checks.json").read_text())
    assert len(checks) >= 6 and all(check["passed"] for check in checks)


def test_a_result_that_breaks_an_invariant_fails_the_run(own: Clone) -> None:
    path = results(own) / "models/aa/graded.parquet"
    rows = read_table(path, GRADED)
    pl.concat([rows, rows.head(1)]).write_parquet(path)
    said = own.snakemake("--forcerun", "checks", "--allowed-rules", "checks")
    assert said.returncode != 0
    assert "request ids are unique: request " in said.stdout + said.stderr


def test_a_damaged_table_is_a_sentence_and_its_rule_makes_it_anew(own: Clone) -> None:
    path = results(own) / "models/aa/graded.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    said = own.snakemake("--forcerun", "levels", "--allowed-rules", "levels")
    assert said.returncode != 0
    assert "graded.parquet: this Parquet file cannot be read" in said.stdout + said.stderr
    assert "Traceback" not in (results(own) / "logs/levels.log").read_text()
    path.unlink()
    assert own.snakemake(str(path.relative_to(own.folder))).returncode == 0
    assert read_table(path, GRADED).height > 0


def test_a_training_whose_dataset_is_made_anew_is_not_done_twice(own: Clone) -> None:
    manifest = results(own) / "runs/ssd/seed-0/manifest.json"
    before = json.loads(manifest.read_text())
    said = own.snakemake("--forcerun", "dataset", "--", str(manifest.relative_to(own.folder)))
    assert said.returncode == 0
    assert "finished before" in (results(own) / "logs/train/ssd/seed-0.log").read_text()
    assert json.loads(manifest.read_text()) == before


def test_an_arm_with_soft_targets_takes_the_steps_of_its_twin(own: Clone) -> None:
    """The same examples in the same order, and a loss that has its floor where the law has its entropy."""

    def teach(study: dict) -> None:
        study["arms"]["soft"] = {"decode": "t11", "keep": "finished", "targets": "soft"}

    run = "results/smoke/runs/soft/seed-0"
    said = own.snakemake(f"{run}/manifest.json", study=own.changed_study(teach))
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    datasets = [read_table(results(own) / f"arms/{arm}/dataset.parquet", DATASET) for arm in ("ssd", "soft")]
    assert datasets[0].equals(datasets[1])
    logs = [read_table(results(own) / f"runs/{arm}/seed-0/log.parquet", RUN_LOG) for arm in ("ssd", "soft")]
    same = ("step", "tokens", "sequences", "learning_rate")
    assert logs[0].select(same).equals(logs[1].select(same))
    told = json.loads((results(own) / "arms/soft/targets.json").read_text())
    assert told["tokens"] == logs[1]["tokens"].sum() and told["outside"] == 0
    loss = (logs[1]["loss"] * logs[1]["tokens"]).sum() / told["tokens"]
    assert told["loss_floor"] < loss < told["loss_floor"] + 0.1


def test_an_interrupted_study_resumes_to_the_same_tables(smoke: Clone, tmp_path: Path) -> None:
    """Ctrl-C while sampling, in the middle of training, and while checkpoints are graded."""
    fresh = begun(smoke, tmp_path, "models/base", "models/ssd", "runs/ssd", "analysis", "logs")
    (results(fresh) / "report.html").unlink()
    marks = {"logs/sample/base": "to sample", "logs/train": "step ", "logs/grade/ssd": ""}
    for folder, mark in marks.items():
        process = subprocess.Popen(
            fresh.command(), cwd=fresh.folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        while process.poll() is None and not said_in(results(fresh) / folder, mark):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=PATIENCE) != 0
        assert not list(results(fresh).rglob("*.part"))
    compared = {"levels": ESTIMATES, "factorial": EFFECTS}
    finished = fresh.snakemake(*(f"results/smoke/analysis/{table}.parquet" for table in compared))
    assert finished.returncode == 0, finished.stdout[-3000:]
    assert said_in(results(fresh) / "logs/train", "going on after step"), "no training went on from a checkpoint"
    same = ["request_id", "token_ids", "finish_class", "verdict", "extracted"]
    for model in ("base", "ssd/seed-0/at-050", "ssd/seed-0/at-100"):
        assert graded(fresh, model).select(same).equals(graded(smoke, model).select(same)), model
    for table, schema in compared.items():
        one, other = (read_table(results(clone) / f"analysis/{table}.parquet", schema) for clone in (fresh, smoke))
        assert one.equals(other), table


def said_in(folder: Path, mark: str) -> bool:
    return any(mark in log.read_text() for log in folder.rglob("*.log"))


def test_a_filter_that_keeps_nothing_is_a_sentence(own: Clone) -> None:
    """One token of budget: every completion is cut, so `finished` keeps none."""

    def starve(study: dict) -> None:
        study["decodes"]["tiny"] = {"temperature": 1.0, "max_tokens": 1}
        study["arms"]["starved"] = {"decode": "tiny", "keep": "finished"}

    said = own.snakemake("results/smoke/arms/starved/dataset.parquet", study=own.changed_study(starve))
    assert said.returncode != 0
    assert "keep: finished leaves 0 of 260 samples (260 cut)" in (results(own) / "logs/dataset/starved.log").read_text()
    assert not (results(own) / "arms/starved/dataset.parquet").exists()


@pytest.mark.skipif(
    subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
    reason="mounting needs more rights",
)
def test_a_read_only_results_folder_is_a_sentence(fresh: Clone) -> None:
    (fresh.folder / "results").mkdir()
    command = " ".join(["mount -t tmpfs -o ro none results &&", *fresh.command()])
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], cwd=fresh.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE
    )  # fmt: skip
    assert said.returncode != 0
    assert "cannot be written to" in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr
