"""What `forklock status` and `forklock diff` say of a study that has run, that was stopped, and that was changed."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import ENVIRONMENT, Clone
from selfdistill.models.digests import model_digest
from selfdistill.planning.changes import Changes, changes
from selfdistill.planning.standing import standing
from selfdistill.study.load import study_of
from selfdistill.tables.sampling import COMPLETIONS, PLAN
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("smoke")

TOTAL, MODELS = 1810, 12  # completions of the smoke study, and models that are sampled


def asked(clone: Clone, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", *arguments],
        cwd=clone.folder, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip


def forklock(clone: Clone, *arguments: str) -> str:
    done = asked(clone, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(clone: Clone) -> dict[str, Any]:
    return dict(json.loads(forklock(clone, "status", "config/smoke.yaml", "--json")))


def part(said: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in said["parts"] if each["name"] == name)


def changed(clone: Clone, **keys: Any) -> Changes:
    """What is new once these keys of the smoke study, `training__examples` for training.examples, are others."""

    def change(study: dict[str, Any]) -> None:
        for key, value in keys.items():
            *sections, name = key.split("__")
            there = study
            for section in sections:
                there = there[section]
            there[name] = value

    file = clone.folder / clone.changed_study(change)
    try:
        return changes(study_of(file))
    finally:
        file.unlink()


def new_of(found: Changes) -> dict[str, int]:
    """Models of which something is new, but for what follows from a training."""
    return {each.model: each.new for each in found.sampled if each.new and "/seed-" not in each.model}


def anew_of(found: Changes) -> dict[str, str]:
    return {each.run.partition("/")[0]: each.why for each in found.trained if not each.kept}


def test_a_finished_study_leaves_nothing_and_would_do_nothing(smoke: Clone) -> None:
    said = forklock(smoke, "status", "config/smoke.yaml")
    assert (
        f"sample    100%  {TOTAL:,} of {TOTAL:,} completions" in said
        and "left by the plan: 0 seconds of one CPU core" in said
        and re.search(r"are done took \d+ \w+ of one CPU core; the plan says \d+ \w+\n", said)
        and "to the end" not in said
    )
    changed = forklock(smoke, "diff", "config/smoke.yaml")
    assert (
        changed.startswith("smoke: 0 of 1")
        and "0 of 4 trainings would run anew." in changed
        and changed.count("\n") == 1
    )


def test_weights_whose_training_wrote_down_their_digest_are_not_read(
    smoke: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def digest_of(folder: Path) -> str:
        read.append(str(folder))
        return model_digest(folder)

    monkeypatch.setattr("selfdistill.planning.foreseen.model_digest", digest_of)
    monkeypatch.chdir(smoke.folder)
    assert new_of(changed(smoke)) == {} and read == ["resources/lab/model"]


def test_a_second_look_reads_no_table_that_is_as_it_was(own: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def table_of(path: Path, *columns: Any) -> pl.DataFrame:
        read.append(path)
        return read_table(path, *columns)

    monkeypatch.setattr("selfdistill.planning.read_once.read_table", table_of)
    monkeypatch.chdir(own.folder)
    study = study_of(Path("config/smoke.yaml"))
    first = standing(study)
    assert len(read) > MODELS
    read.clear()
    assert standing(study) == first and read == []
    shard = Path("results/smoke/models/aa/shard-0.parquet")
    read_table(shard, COMPLETIONS).head(3).write_parquet(shard)
    assert {part.name for part in standing(study) if part not in first} >= {"aa", "graded tables"}
    assert {path.parent.name for path in read} == {"aa"}


def test_a_stopped_study_is_counted_from_its_journals_and_steps(own: Clone) -> None:
    base, run = own.folder / "results/smoke/models/base", own.folder / "results/smoke/runs/ssd/seed-0"
    asked = pl.read_parquet(base / "plan.parquet").filter(pl.col("shard") == 0).height
    held = pl.read_parquet(base / "shard-1.parquet").height
    for path in (base / "shard-0.parquet", *(base / "journal-0").glob("[0-9]*.parquet"), run / "manifest.json"):
        path.unlink()
    (base / "journal-0/000009.jsonl").write_bytes(b'{"a": 1}\n{"b": 2}\n{"torn')
    steps = run / "work/steps.jsonl"
    steps.write_text("".join(steps.read_text().splitlines(keepends=True)[:5]))
    for log in (own.folder / "results/smoke/logs").rglob("*.log"):
        os.utime(log, (time.time() - 3600,) * 2)
    said = status(own)
    assert part(said, "base")["done"] == held + 2 and part(said, "base")["total"] == held + asked
    assert part(said, "base")["cut"] is None and part(said, "aa")["cut"] is not None  # a journal tells of none
    assert part(said, "base")["state"] == part(said, "ssd/seed-0")["state"] == "begun"
    assert part(said, "ssd/seed-0")["done"] == 5
    # What was sampled of a model whose training is not finished is of an earlier one.
    assert part(said, "ssd/seed-0/at-100")["state"] == part(said, "report.html")["state"] == "to do"
    assert said["left"]["tokens"] > 0 and part(said, "graded tables")["done"] == MODELS - 3
    # Its sampler speaks: it is under way, at the speed that it says.
    log = own.folder / "results/smoke/logs/sample/base/shard-0.log"
    log.write_text(
        '{"event": "progress", "tokens_per_second": 1234.0, "cut_rate": 0.25, "eta_seconds": 60}\nsomething\n'
    )
    assert part(status(own), "base")["state"] == "under way"
    told = forklock(own, "status", "config/smoke.yaml")
    assert re.search(r"base +under way .*\(1,234 tokens/s, [\d,]+ by the plan, cut 25.0%, 60 s left\)", told)
    assert re.search(r"at that speed, and with 1 device at work as now: \d+ \w+ to the end, \w+day, \d\d:\d\d\n", told)


def test_what_is_of_an_earlier_training_or_of_other_requests_is_not_done(own: Clone) -> None:
    run = own.folder / "results/smoke/runs/ssd/seed-0"
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["checkpoints"]["at-100"]["digest"] = "0" * 64
    (run / "manifest.json").write_text(json.dumps(manifest))
    said = status(own)
    assert part(said, "ssd/seed-0")["state"] == part(said, "ssd/seed-0/at-050")["state"] == "done"
    assert part(said, "ssd/seed-0/at-100")["done"] == part(said, "report.html")["done"] == 0
    assert part(said, "graded tables")["done"] == MODELS - 1
    study = own.changed_study(lambda study: study["training"].update(lr=6.0e-5))
    said = json.loads(forklock(own, "status", study, "--json"))
    assert [each["done"] for each in said["parts"] if each["stage"] == "train"] == [0] * 4
    study = own.changed_study(lambda study: study["evaluation"].update(draws=2))
    said = json.loads(forklock(own, "status", study, "--json"))
    assert 2 * part(said, "base")["done"] == part(said, "base")["total"] == 540


def test_a_job_that_failed_is_named_with_its_log_until_it_ends_well(own: Clone) -> None:
    results = own.folder / "results/smoke"
    log, benchmark = results / "logs/grade/base.log", results / "benchmarks/grade/base.tsv"
    log.write_text("something\nerror: results/smoke: the disk is \x1b[31mfull\n\n")
    os.utime(benchmark, (time.time() - 3600,) * 2)
    told = "  failed: results/smoke/logs/grade/base.log: error: results/smoke: the disk is [31mfull\n"
    assert told in forklock(own, "status", "config/smoke.yaml")
    benchmark.touch()
    assert status(own)["failed"] == []


@pytest.mark.parametrize("table", ["shard-0", "plan"])
def test_a_damaged_table_is_a_sentence(smoke: Clone, table: str) -> None:
    file = smoke.folder / f"results/smoke/models/base/{table}.parquet"
    whole, when = file.read_bytes(), file.stat()
    file.write_bytes(whole[: len(whole) // 2])
    try:
        for command in [("status",), ("diff",), ("diff", "--json")][: 1 if table == "plan" else 3]:
            done = asked(smoke, *command, "config/smoke.yaml")
            assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
            assert f"error: results/smoke/models/base/{table}.parquet: this Parquet file cannot be read" in done.stderr
    finally:
        file.write_bytes(whole)
        os.utime(file, ns=(when.st_atime_ns, when.st_mtime_ns))


def test_a_change_counts_what_nothing_holds(smoke: Clone) -> None:
    def ask_twice(study: dict[str, Any]) -> None:
        study["evaluation"]["draws"] = 2

    def learn_faster(study: dict[str, Any]) -> None:
        study["training"]["lr"] *= 2

    study = smoke.changed_study(ask_twice)
    try:
        before = json.loads(forklock(smoke, "diff", "config/smoke.yaml", "--json"))["sampled"]
        evaluated = sum(each["asked"] for each in before if not each["model"].startswith("samples-"))
        said = forklock(smoke, "diff", study)
        assert said.startswith(f"smoke: {evaluated:,} of") and "0 of 4 trainings would run anew." in said
        study = smoke.changed_study(learn_faster)
        said = forklock(smoke, "diff", study)
        assert "4 of 4 trainings would run anew." in said
        assert re.search(r"train +ssd/seed-0 +training\.lr: 3e-05, now 6e-05", said)
        assert re.search(r"sample +ssd/seed-0/at-100 .*\(its training runs anew\)", said) and "sample  base" not in said
    finally:
        Path(smoke.folder / study).unlink()


ARMS = ("ssd", "keep-cut", "filter-only", "fixed-point")
ALL = {"samples-plain": 260, "samples-t11": 260, "base": 270, "aa": 180}
OTHERS = "its examples are others"
RESAMPLED = "its samples are sampled anew"


@pytest.mark.parametrize(
    ("keys", "new", "anew"),
    [
        ({"training__examples": 96}, {}, dict.fromkeys(ARMS, OTHERS)),
        ({"training__examples": 96, "training__batch": 16, "arms__ssd__keep": "correct"}, {}, dict.fromkeys(ARMS, OTHERS)),
        (
            {"arms__filter-only__keep": "everything", "arms__fixed-point__keep": "finished"},
            {},
            {"filter-only": OTHERS, "fixed-point": OTHERS},
        ),
        ({"arms__ssd__keep": "correct"}, {}, {"ssd": "it cannot be trained: keep: correct leaves "}),
        ({"problems__prompt": "{problem} Put it in \\boxed{}."}, ALL, dict.fromkeys(ARMS, RESAMPLED)),
        ({"model__chat": {}, "reported": {}}, {}, {}),
        ({"training__save_every": 2, "grading__seconds_per_answer": 9.0}, {}, {}),
        ({"decodes__t11__temperature": 1.2}, {"samples-t11": 260}, {"ssd": RESAMPLED, "keep-cut": RESAMPLED}),
    ],
)  # fmt: skip
def test_what_is_new_is_what_would_be_asked_and_learnt_now(
    smoke: Clone, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], new: dict[str, int], anew: dict[str, str]
) -> None:
    monkeypatch.chdir(smoke.folder)
    found = changed(smoke, **keys)
    assert new_of(found) == new
    assert anew_of(found).keys() == anew.keys()
    assert all(why.startswith(anew[arm]) for arm, why in anew_of(found).items())


@pytest.mark.parametrize("keys", [{"problems__dev_share": 0.5}, {"problems__contamination__jaccard": 0.5}])
def test_what_comes_before_the_plan_is_made_as_the_rules_make_it(
    own: Clone, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    monkeypatch.chdir(own.folder)
    models = ("base", "samples-t11")
    held = {
        model: pl.concat(map(pl.read_parquet, Path(f"results/smoke/models/{model}").glob("shard-*")))
        for model in models
    }
    told = new_of(changed(own, **keys))

    def change(study: dict[str, Any]) -> None:
        section = study["problems"] if "problems__dev_share" in keys else study["problems"]["contamination"]
        section |= {key.rpartition("__")[2]: value for key, value in keys.items()}

    plans = [f"results/smoke/models/{model}/plan.parquet" for model in models]
    done = own.snakemake(*plans, study=own.changed_study(change))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    new = {
        model: read_table(plan, PLAN).join(held[model], on="request_id", how="anti").height
        for model, plan in zip(models, plans, strict=True)
    }
    assert new["base"] > 0 and new == {model: told.get(model, 0) for model in models}


def test_samples_are_graded_anew_where_the_study_grades_otherwise_now(
    own: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.folder)
    graded = Path("results/smoke/models/samples-t11/graded.parquet")
    pl.read_parquet(graded).with_columns(finish_class=pl.lit("cut")).write_parquet(graded)
    believed = anew_of(changed(own))
    assert believed["ssd"].startswith("it cannot be trained: keep: finished leaves 0 of 260")
    assert "ssd" not in anew_of(changed(own, grading__seconds_per_answer=9.0))


def test_another_study_in_the_same_folder_is_refused_and_not_counted(smoke: Clone) -> None:
    study = smoke.changed_study(lambda study: study.update(seed=5))
    try:
        done = asked(smoke, "diff", study)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(f"error: {study}:2: seed: the results in results/smoke/ were made with another")
        assert done.stderr.count("\n") == 1
    finally:
        (smoke.folder / study).unlink()
