"""What is said about the code is what git says; where git says nothing, it is not known."""

import subprocess
from pathlib import Path

import pytest

from selfdistill.machine.provenance import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "code.py").write_text("pass\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    return tmp_path


def test_a_clean_checkout_and_a_changed_one(checkout: Path) -> None:
    said = provenance()
    assert len(said["commit"]) == 40 and said["uncommitted changes"] == "none"
    (checkout / "code.py").write_text("changed\n")
    assert provenance()["uncommitted changes"] == "yes"


def test_where_git_fails_nothing_is_said_of_changes(checkout: Path) -> None:
    (checkout / "code.py").write_text("changed\n")
    (checkout / ".git/index").write_bytes(b"torn")
    said = provenance()
    assert len(said["commit"]) == 40 and said["uncommitted changes"] == "not known"


def test_where_there_is_no_git_nothing_is_said_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = provenance()
    assert said["commit"].startswith("not known") and said["uncommitted changes"] == "not known"
