"""A study file is read strictly, and what is wrong with it as YAML is said with its line."""

from pathlib import Path

import pytest

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.lines import read_with_lines
from selfdistill.study.load import read_study

WRONG = {
    "a tab": ("study: x\nmodel:\n\tpath: a\n", ":3: begins with a tab, which YAML does not take; indent with spaces."),
    "a bracket that stays open": ("study: x\nmodel: {path: a\nseed: 3\n", ":3: is not YAML ("),
    "a key twice": ("study: x\nseed: 1\nseed: 2\n", ":3: seed: stands in line 2 already; keep one of the two."),
    "a key twice further in": ("arms:\n  a: {keep: x, keep: y}\n", ":2: arms.a.keep: stands in line 2 already; keep one of the two."),
    "no keys": ("- a\n- b\n", ": holds no keys; config.yaml shows what a study file looks like."),
    "nothing": ("", ": holds no keys; config.yaml shows what a study file looks like."),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_file_is_said_with_its_line(name: str, tmp_path: Path) -> None:
    text, expected = WRONG[name]
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        read_with_lines(tmp_path / "mine.yaml")
    assert str(error.value).startswith(f"{tmp_path / 'mine.yaml'}{expected}")


def test_all_keys_that_stand_twice_are_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("study: 1\nmodel: {path: 1, path: 2}\nstudy: 2\n")
    with pytest.raises(UserError) as error:
        read_study(tmp_path / "mine.yaml")
    assert str(error.value).splitlines() == [
        f"{tmp_path}/mine.yaml:2: model.path: stands in line 2 already; keep one of the two.",
        f"{tmp_path}/mine.yaml:3: study: stands in line 1 already; keep one of the two.",
    ]


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"none\.yaml: there is no such study file; give its path, as config/smoke\.yaml"
    ):
        read_study(tmp_path / "none.yaml")


def test_one_text_at_two_places_is_no_mistake(tmp_path: Path) -> None:
    """YAML's anchors, also one that holds itself."""
    (tmp_path / "mine.yaml").write_text(
        "model: &one {b: 1}\ndecodes: *one\narms: {<<: *one, e: 2}\nstudy: &self {g: *self}\n"
    )
    lines = read_with_lines(tmp_path / "mine.yaml")
    assert lines.content["arms"] == {"b": 1, "e": 2}
    assert lines.placed("arms.e: is wrong.", lines.content) == f"{tmp_path}/mine.yaml:3: arms.e: is wrong."


def test_what_lacks_a_line_is_placed_where_it_would_stand() -> None:
    lines = read_with_lines(ROOT / "config.yaml")
    place, _, said = lines.placed("training.lora.rank: is missing.", lines.content).partition(": ")
    line = int(place.rpartition(":")[2])
    assert (ROOT / "config.yaml").read_text().splitlines()[line - 1] == "training:" and said.startswith("training.lora")
