"""What a visitor's tools read agrees with what the project does: version, linters, continuous integration, catalog."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.machine.provenance import provenance

TEMPLATES = sorted(file.name for file in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if file.name != "config.yml")


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def test_the_version_is_one() -> None:
    assert read_yaml("CITATION.cff")["version"] == version()
    assert provenance()["forklock"] == version()  # what the report says


def test_the_newest_release_of_the_changelog_is_the_version_and_has_its_date() -> None:
    headings = re.findall(r"^## \[(.+?)\](.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    name, date = headings[1]
    assert name == version()
    assert re.fullmatch(r" - \d{4}-\d{2}-\d{2}", date)


def test_the_changelog_has_only_kinds_that_its_form_knows() -> None:
    kinds = set(re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_pre_commit_runs_what_make_lint_runs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lint = re.search(r"^lint:.*\n\t(.+)$", makefile, re.MULTILINE)
    assert lint is not None
    hooks = [
        hook["entry"] for repository in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]
    ]
    assert hooks == lint.group(1).split(" && ")


def test_continuous_integration_runs_what_a_local_run_does_and_nothing_else() -> None:
    for file in (ROOT / ".github/workflows").glob("*.yml"):
        for name, job in yaml.safe_load(file.read_text())["jobs"].items():
            assert job["timeout-minutes"] <= 90, name
            for step in job["steps"]:
                if "run" in step:
                    assert step["run"] == ".ci/run"
                else:
                    assert re.fullmatch(r"actions/checkout@v\d+(\.\d+)*", step["uses"]), "an action without its version"


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_forms_of_issues_have_what_github_asks_for(template: str) -> None:
    form = read_yaml(f".github/ISSUE_TEMPLATE/{template}")
    assert form["name"] and form["description"]
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids)
    assert all(part["attributes"]["label"] for part in form["body"] if part["type"] != "markdown")


def test_what_the_catalog_promises_is_so() -> None:
    usage = read_yaml(".snakemake-workflow-catalog.yml")["usage"]
    rules = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    deployment = usage["software-stack-deployment"]
    assert deployment["conda"] == ("conda:" in rules)
    assert deployment["apptainer"] == ("container:" in rules)
    assert usage["report"] == bool(re.search(r"[^.\w]report\(", rules))
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme  # how the catalog finds a repository
