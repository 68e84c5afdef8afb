"""`forklock check` finds nothing wrong with any study that comes with the project, and what it cannot look at is only not there yet."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from conftest import ROOT
from selfdistill.planning.examined import looked_at
from selfdistill.study.lines import read_with_lines

SHIPPED = [
    *(file for file in sorted((ROOT / "config").glob("*.yaml")) if file.name != "throughputs.yaml"),
    *sorted((ROOT / "docs/examples").glob("*.yaml")),
]
# What is not there yet, and what rests on that.
WAITS = ("is not there yet", "is looked at once its file is right")
AFTER_ANOTHER = "it is a checkpoint of the study whose results go to"  # which must have run

ROOMY = SimpleNamespace(free=1 << 60)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_check_finds_nothing_wrong(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("shutil.disk_usage", lambda place: ROOMY)  # a study of a cluster does not fit a laptop's disk
    _, found = looked_at(read_with_lines(file.relative_to(ROOT)), file_alone=False)
    begins_with_a_checkpoint = "/runs/" in yaml.safe_load(file.read_text())["model"]["path"]
    wrong = [finding.sentence for finding in found if finding.kind == "mistake"]
    assert [sentence for sentence in wrong if not (AFTER_ANOTHER in sentence and begins_with_a_checkpoint)] == []
    unknown = [finding.sentence for finding in found if finding.kind == "unknown"]
    assert [sentence for sentence in unknown if not any(word in sentence for word in WAITS)] == []


def test_they_are_all_here() -> None:
    assert len(SHIPPED) > 25 and ROOT / "docs/examples/every-table.yaml" in SHIPPED
