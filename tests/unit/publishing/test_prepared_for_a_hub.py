"""A folder that was prepared for a hub is sent as it was prepared: its card may be edited, and nothing else comes with it."""

from pathlib import Path

import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.hub import CARD, Repository, as_prepared, prepare
from selfdistill.publishing.members import Kind, Member

FOUND = [
    Repository("model", "ada/x", [Member(CARD, Kind.OURS, text="card"), Member("config.json", Kind.OURS, text="{}")])
]


def test_an_edited_card_is_sent(tmp_path: Path) -> None:
    [place] = prepare(FOUND, tmp_path / "x-hub")
    (place / CARD).write_text("another card")
    assert as_prepared(FOUND, tmp_path / "x-hub", ()) == [place]


@pytest.mark.parametrize("name", ["README.md~", "model-00009.safetensors", "notes/mine.txt", ".env"])
def test_a_file_that_was_added_is_not_sent(tmp_path: Path, name: str) -> None:
    [place] = prepare(FOUND, tmp_path / "x-hub")
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("mine")
    with pytest.raises(
        UserError, match=rf"{name}: was not prepared, and would be sent, too; take it out of the folder"
    ):
        as_prepared(FOUND, tmp_path / "x-hub", ())
