"""Studies through a real Slurm: the same results as without, whatever is killed, and nothing done twice."""

import csv
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cluster import PACKAGES, Cluster, cluster, missing_programs
from polars.testing import assert_frame_equal
from studies import RESULTS, Run, journaled, tiny

from conftest import ENVIRONMENT, PATIENCE, ROOT, Clone, begun

pytestmark = pytest.mark.xdist_group("slurm")
ANALYSED = ("levels", "comparisons", "flips", "verdicts", "noise_summary")
TABLES = [str(RESULTS / f"analysis/{name}.parquet") for name in ANALYSED]
BASE = str(RESULTS / "models/base/graded.parquet")
SHARD = str(RESULTS / "models/base/shard-0.parquet")
SAMPLED = ["request_id", "text", "n_tokens", "finish_reason", "finish_class", "extracted", "verdict"]


@pytest.fixture(scope="session", autouse=True)
def slurm_is_installed() -> None:
    """Continuous integration must have Slurm; elsewhere its tests are skipped."""
    missing = missing_programs()
    if os.geteuid() != 0:
        missing.append("root")
    if not missing:
        return
    reason = f"no cluster can be started, for want of {', '.join(missing)}: apt-get install {PACKAGES}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def slurm(slurm_is_installed: None) -> Iterator[Cluster]:
    with cluster() as it:
        yield it


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The tiny study, run without Slurm to the tables that are compared."""
    clone = Clone(tmp_path_factory.mktemp("local"))
    finished = clone.snakemake(*TABLES, study=clone.changed_study(tiny))
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    return clone


def test_a_study_whose_jobs_are_killed_gives_the_tables_of_a_local_run(
    slurm: Cluster, local: Clone, fresh: Clone
) -> None:
    study = fresh.changed_study(tiny)
    with Run(
        slurm, fresh, study, *TABLES, "--slurm-efficiency-report", "--slurm-efficiency-report-path", "report"
    ) as run:
        sampling = run.job_of("sample", "samples-t11_0")
        run.wait_until(lambda: journaled(fresh, "samples-t11").height >= 3, "sample")
        slurm.run("scancel", sampling)
        kept = journaled(fresh, "samples-t11")

        training = run.job_of("train", "ssd_0")
        work = fresh.folder / RESULTS / "runs/ssd/seed-0/work"
        run.wait_until(lambda: len(list(work.rglob("checkpoint-*"))) > 0, "checkpoint")
        slurm.run("scancel", training)
        said = run.finish()

    assert said.count("SLURM status is: 'CANCELLED'") == 2
    for model in ("base", "samples-t11", "ssd/seed-0/at-100"):
        ours, theirs = (
            pl.read_parquet(clone.folder / RESULTS / f"models/{model}/graded.parquet", columns=SAMPLED)
            for clone in (fresh, local)
        )
        assert_frame_equal(ours, theirs)
        journal = journaled(fresh, model)
        assert journal["request_id"].n_unique() == journal.height == ours.height
    assert kept.join(journaled(fresh, "samples-t11"), on=["request_id", "text"], how="semi").height == kept.height
    assert "going on after step" in (fresh.folder / RESULTS / "logs/train/ssd/seed-0.log").read_text()
    for name in ANALYSED:
        ours, theirs = (
            pl.read_parquet(clone.folder / RESULTS / f"analysis/{name}.parquet") for clone in (fresh, local)
        )
        assert_frame_equal(ours, theirs)

    (report,) = (fresh.folder / "report").glob("efficiency_report_*.csv")
    with open(report) as handle:
        rules = {row["RuleName"].split("_wildcards")[0] for row in csv.DictReader(handle)}
    assert rules >= {"rule_problems", "rule_sample", "rule_grade", "rule_train", "rule_comparisons"}
    assert "rule_plan" not in rules and "rule_verdicts" not in rules  # they take seconds, and run beside the driver


def test_sampling_outlives_its_time_limit_its_memory_and_its_node(slurm: Cluster, local: Clone, tmp_path: Path) -> None:
    fresh = begun(local, tmp_path, "models/base")

    def spread(study: dict) -> None:
        tiny(study)
        study["sampling"].update(shards_base=3, batch=2)
        study["evaluation"]["draws"] = 6

    needs = "sample:mem_mb=150 if wildcards.shard == '1' and attempt == 1 else 1500"
    with Run(slurm, fresh, fresh.changed_study(spread), BASE, "--set-resources", needs) as run:
        lost = run.job_of("sample", "base_2")
        run.wait_until(lambda: journaled(fresh, "base", 2).height >= 2, "sample of shard 2")
        node = slurm.run("squeue", "--noheader", f"--jobs={lost}", "--format=%N").strip()
        slurm.lose_node(node)
        kept = journaled(fresh, "base", 2)
        run.wait_until(lambda: run.state(lost) != "RUNNING", "notice of the lost node")
        slurm.start_node(node)
        slurm.wait_for_node(node)

        late = run.job_of("sample", "base_0")
        before = journaled(fresh, "base", 0).height
        run.wait_until(lambda: journaled(fresh, "base", 0).height > before, "more samples of shard 0")
        for process in run.processes("sample.py", "--shard 0"):
            os.kill(process, signal.SIGSTOP)  # hangs, as on a file system that does not answer
        slurm.run("scontrol", "update", f"JobId={late}", "EndTime=now")
        said = run.finish()

    assert said.count("Trying to restart job") == 2 and said.count("'TIMEOUT'") == 1  # Slurm itself sees to a lost node
    slurms = (fresh.folder / ".snakemake/slurm_logs/rule_sample").rglob("*.log")
    assert any("exceeded memory limit" in path.read_text() for path in slurms)
    samples = pl.concat(journaled(fresh, "base", shard) for shard in range(3))
    assert samples["request_id"].n_unique() == samples.height == pl.read_parquet(fresh.folder / BASE).height == 120
    assert kept.join(samples, on=["request_id", "text"], how="semi").height == kept.height > 0


def test_a_job_that_more_urgent_ones_push_out_goes_on_by_itself(slurm: Cluster, local: Clone, tmp_path: Path) -> None:
    fresh = begun(local, tmp_path, "models/base")

    def slow(study: dict) -> None:
        tiny(study)
        study["sampling"]["batch"] = 1

    with Run(slurm, fresh, fresh.changed_study(slow), SHARD) as run:
        sampling = run.job_of("sample", "base_0")
        run.wait_until(lambda: journaled(fresh, "base").height >= 2, "sample")
        kept = journaled(fresh, "base")
        slurm.run("sbatch", "-p", "urgent", "-N2", "--exclusive", "--wrap", "sleep 2", "--output=/dev/null")
        run.wait_until(lambda: run.state(sampling) == "PENDING", "pre-emption")
        said = run.finish()
    assert "Trying to restart" not in said and said.count("has been submitted") == 1
    samples = journaled(fresh, "base")
    assert samples["request_id"].n_unique() == samples.height == pl.read_parquet(fresh.folder / SHARD).height
    assert kept.join(samples, on=["request_id", "text"], how="semi").height == kept.height > 0


def test_two_studies_at_once_one_on_two_nodes_one_in_two_processes(
    slurm: Cluster, local: Clone, tmp_path: Path
) -> None:
    runs: list[Run] = []
    for spread in ({"nodes": 2, "processes": 1}, {"processes": 2}):
        clone = begun(local, tmp_path / str(len(runs)), "runs")

        def several(study: dict, spread: dict[str, int] = spread) -> None:
            tiny(study)
            study["training"].update(spread)

        manifest = str(RESULTS / "runs/ssd/seed-0/manifest.json")
        small = ("--set-resources", "train:mem_mb=2000")  # so that both fit the nodes at once
        runs.append(Run(slurm, clone, clone.changed_study(several), manifest, *small))
    with runs[0], runs[1]:
        jobs = [run.job_of("train", "ssd_0") for run in runs]
        nodes = [
            slurm.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%D").strip() for job in jobs
        ]
        for run in runs:
            run.finish()
    assert nodes == ["2", "1"]
    losses = [
        pl.read_parquet(run.clone.folder / RESULTS / "runs/ssd/seed-0/log.parquet").sort("step")["loss"] for run in runs
    ]
    # The same step on either, up to the order of float32 sums.
    assert losses[0].len() == losses[1].len() > 0 and ((losses[0] - losses[1]).abs() < 1e-3).all(ignore_nulls=False)


def test_jobs_with_gpus_go_to_the_partition_that_has_them_and_a_failed_one_says_why(
    slurm: Cluster, local: Clone, tmp_path: Path
) -> None:
    def on_gpus(study: dict[str, Any]) -> None:
        tiny(study)
        study["sampling"].update(gpus=1)

    fresh = begun(local, tmp_path, "problems", "models/base")
    study = fresh.changed_study(on_gpus)
    model = "sample:gpu_model=lab"
    with Run(slurm, fresh, study, BASE, "--retries", "0", "--set-resources", model, "sample:mem_mb=2000") as run:
        assert run.process.wait(timeout=PATIENCE) == 1
        said = run.said()
    jobs = slurm.run("sacct", "-X", "-n", "-P", "--format=Comment,Partition,ReqTRES", f"-S{'now-3minutes'}")
    sampling = [line for line in jobs.splitlines() if line.startswith("rule_sample_wildcards_base_0|gpu")]
    assert len(sampling) == 1 and "gres/gpu:lab=1" in sampling[0]
    assert "rule_problems|cpu" in jobs and "rule_problems|gpu" not in jobs
    assert "GPU 0 is this job's own" in said  # the log of the failed rule, in the driver's output


def test_without_accounting_jobs_are_followed_by_squeue(slurm: Cluster, local: Clone, tmp_path: Path) -> None:
    fresh = begun(local, tmp_path, "models/base")
    with cluster(accounting=False) as bare:  # beside the other
        with Run(bare, fresh, fresh.changed_study(tiny), SHARD) as run:
            bare.run("scancel", run.job_of("sample", "base_0"))
            said = run.finish()
        assert said.count("SLURM status is: 'CANCELLED'") == 1
        folder, processes = bare.folder, bare.processes()
        ports = [int(line.split("Port=")[1].split()[0]) for line in _conf(bare) if "Port=" in line]
        assert len(processes) >= 4 and len(ports) == 3 and all(_listening(port) for port in ports)
    assert not folder.exists() and not bare.processes()
    assert not any(Path(f"/proc/{pid}/environ").exists() and folder.name in _environ(pid) for pid in processes)
    assert not any(_listening(port) for port in ports)
    assert len(slurm.run("sinfo", "-h", "-N").split("\n")) > 2  # the other is as it was


def test_starting_and_stopping_a_cluster_leaves_the_machine_as_it_was() -> None:
    def standing() -> list[str]:
        places = ("/etc/slurm", "/var/lib/mysql", "/var/lib/slurm", "/run/munge", "/run/mysqld", "/var/log/slurm")
        return sorted(str(path) for place in places for path in [Path(place), *Path(place).rglob("*")] if path.exists())

    before = standing()
    with cluster() as it:
        it.run("sbatch", "--wrap", "trap '' TERM; sleep 600 & wait", "--output=/dev/null")
        it.wait_until(lambda: it.run("squeue", "-h", "-o", "%T").strip() == "RUNNING", "slurmctld")
        it.wait_until(lambda: len(it.processes()) > 7, "slurmctld")  # five daemons, two nodes, and the job
    assert standing() == before and it.processes() == [] and not it.folder.exists()


def test_a_cluster_on_which_no_end_of_a_job_could_be_seen_is_refused_in_one_sentence(fresh: Clone) -> None:
    def refused(it: Cluster, command: str) -> str:
        with Run(it, fresh, fresh.changed_study(tiny), BASE, "--slurm-status-command", command) as run:
            assert run.process.wait(timeout=PATIENCE) == 1
            assert "has been submitted" not in run.said()
            return run.said()

    with cluster(min_job_age=5) as it:
        assert "set `slurm-status-command: sacct`" in refused(it, "squeue")
        it.daemons["slurmdbd"].kill()
        assert "ask the site for MinJobAge" in refused(it, "squeue")
        assert "set `slurm-status-command: squeue`" in refused(it, "sacct")


def test_the_cluster_is_a_program_too() -> None:
    said = subprocess.run(
        ["python", str(ROOT / "tests/slurm/cluster.py"), "--no-accounting", "--", "sinfo", "--noheader", "--format=%P"],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert said.returncode == 0 and said.stdout.split() == ["cpu*", "gpu", "urgent"], said.stderr


def _conf(it: Cluster) -> list[str]:
    return (it.folder / "slurm.conf").read_text().splitlines()


def _environ(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")


def _listening(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
