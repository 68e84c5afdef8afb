"""Where a folder's weights come from, if not from the model's makers: the record that whoever made the folder left in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.models.reading import read_json

ORIGIN = "origin.json"  # a sentence for the report, the facts behind it, and the SHA-256 of every file


def read_origin(folder: Path) -> dict[str, Any]:
    """Nothing for a folder that has no such record."""
    return read_json(folder / ORIGIN) if (folder / ORIGIN).is_file() else {}


def origin_of(folder: Path, sums: Mapping[str, str]) -> str:
    """The sentence, as long as it is true of the files: `sums` are the SHA-256 of those that are there."""
    origin = read_origin(folder)
    changed = [name for name, digest in origin.get("files", {}).items() if sums.get(name) != digest]
    if changed:
        raise UserError(
            f"{folder / changed[0]}: is gone or is not the file that {ORIGIN} tells of; make the folder anew, or remove "
            f"{ORIGIN} if the model is now another one."
        )
    return str(origin.get("sentence", ""))
