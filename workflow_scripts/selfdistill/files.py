"""Text files that are whole or not there: written beside the target, synced and renamed."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path | str, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path | str, text: str) -> None:
    """A reader never sees half a file, and a write that fails leaves nothing behind."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
