"""The JSON files of a model's folder, read or refused with a sentence."""

import json
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError

CONFIG, GENERATION, TOKENIZER = "config.json", "generation_config.json", "tokenizer_config.json"


def read_json(path: Path) -> dict[str, Any]:
    refuse_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); mend it or download it again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no JSON object; download it again.")
    return content


def refuse_pointer(path: Path, start: bytes | None = None) -> None:
    """A git clone without LFS has small text files in place of the large ones."""
    if start is None:
        with open(path, "rb") as handle:
            start = handle.read(8)
    if start == b"version ":
        raise UserError(f"{path}: is a Git LFS pointer and not the file itself; run git lfs pull in its folder.")
