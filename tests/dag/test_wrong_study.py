"""The wrong study is not run without a word: neither another file's, nor a mixture, nor over the results of another."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ENVIRONMENT, Clone
from selfdistill.study.load import load_study

pytestmark = pytest.mark.xdist_group("dag")


def asked(clone: Clone, *command: str, folder: Path | None = None) -> tuple[int, str]:
    said = subprocess.run(
        command, cwd=folder or clone.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in said.stdout + said.stderr
    return said.returncode, said.stdout + said.stderr


def test_two_study_files_are_no_mixture_of_both(fresh: Clone) -> None:
    code, said = asked(fresh, "snakemake", "-n", "--configfile", "config/smoke.yaml", "config/lab-full.yaml")
    assert code == 1 and "--configfile: config/smoke.yaml, config/lab-full.yaml would become a mixture" in said
    assert "If one of them is a target, name it before --configfile" in said


def test_a_file_that_names_no_study_does_not_run_the_lab_with_its_keys(fresh: Clone) -> None:
    (fresh.folder / "part.yaml").write_text("seed: 3\n")
    code, said = asked(fresh, "snakemake", "-n", "--configfile", "part.yaml")
    assert code == 1 and "part.yaml: study: is missing; every study file is complete by itself." in said


def test_a_study_is_run_in_the_projects_folder_and_so_it_is_said(
    fresh: Clone, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for code, said in (
        asked(fresh, "snakemake", "-n", "-s", f"{fresh.folder}/Snakefile", folder=elsewhere),
        asked(fresh, "snakemake", "-n", "-d", str(elsewhere), "--configfile", "config/smoke.yaml"),
    ):
        assert code == 1 and f"{elsewhere}: a study is run in the folder of this project" in said
        assert "model.path" not in said


def test_snakemake_says_all_that_is_wrong_with_file_and_line(fresh: Clone) -> None:
    text = (fresh.folder / "config/smoke.yaml").read_text()
    line = text[: text.index("  batch: 16")].count("\n") + 1
    (fresh.folder / "mine.yaml").write_text(
        text.replace("  batch: 16", "  batch: many").replace("seed: 20261121", "seed: -2")
    )
    code, said = asked(fresh, "snakemake", "-n", "--configfile", "mine.yaml")
    assert code == 1
    assert (
        f"\nmine.yaml:{line}: training.batch: 'many' is text" in said
        and "\nmine.yaml:5: seed: needs a whole number" in said
    )


def test_a_key_that_stands_twice_is_refused(fresh: Clone) -> None:
    text = (fresh.folder / "config/smoke.yaml").read_text()
    (fresh.folder / "mine.yaml").write_text(text + "seed: 3\n")
    code, said = asked(fresh, "snakemake", "-n", "--configfile", "mine.yaml")
    assert code == 1 and "mine.yaml:84: seed: stands in line 5 already" in said.replace(
        f":{text.count(chr(10)) + 1}:", ":84:"
    )


def finished(clone: Clone, **other: Any) -> None:
    """As if the smoke study had run there, of which some keys were others."""
    study = load_study(yaml.safe_load((clone.folder / "config/smoke.yaml").read_text()) | other, clone.folder)
    record = clone.folder / "results/smoke/study.yaml"
    record.parent.mkdir(parents=True)
    record.write_text(yaml.safe_dump(study.model_dump()))


def test_the_results_of_another_study_are_replaced_only_by_name(fresh: Clone) -> None:
    finished(fresh, seed=1)
    command = ("snakemake", "-n", "--configfile", "config/smoke.yaml")
    code, said = asked(fresh, *command)
    assert (
        code == 1
        and "\nconfig/smoke.yaml:5: seed: the results in results/smoke/ were made with another (results/smoke/study.yaml)"
        in said
    )
    code, said = asked(fresh, *command, "--config", "replace=lab")
    assert code == 1 and "replace those by --config replace=smoke" in said
    code, said = asked(fresh, *command, "--config", "replace=smoke")
    assert code == 0 and "Job stats" in said


def test_the_same_study_is_taken_up(fresh: Clone) -> None:
    finished(fresh)
    code, said = asked(fresh, "snakemake", "-n", "--configfile", "config/smoke.yaml")
    assert code == 0 and "Job stats" in said


# What make does with a study file


@pytest.mark.parametrize("target", ["report", "plan", "rehearse"])
def test_every_target_takes_its_study_from_config_and_refuses_the_other_name(fresh: Clone, target: str) -> None:
    code, said = asked(fresh, "make", "-n", target, "CONFIG=config/smoke.yaml")
    assert code == 0 and "config/smoke.yaml" in said
    code, said = asked(fresh, "make", "-n", target, "STUDY=config/smoke.yaml")
    assert code == 2 and f"the study file is named by CONFIG; run make {target} CONFIG=config/smoke.yaml" in said
    assert "snakemake" not in said and "forklock plan" not in said


def test_a_study_file_is_looked_at_before_snakemake_starts(fresh: Clone) -> None:
    code, said = asked(fresh, "make", "-n", "report", "CONFIG=mine.yaml")
    checked = said.index("forklock check --file-alone mine.yaml")
    assert code == 0 and said.index("--configfile mine.yaml") > checked
    for text, expected in (
        (None, "mine.yaml: there is no such study file"),
        ("study:\n\tx\n", "mine.yaml:2: begins with a tab"),
    ):
        if text:
            (fresh.folder / "mine.yaml").write_text(text)
        code, said = asked(fresh, "python", "workflow_scripts/forklock.py", "check", "mine.yaml")
        assert code == 1 and said.startswith(f"error: {expected}")
