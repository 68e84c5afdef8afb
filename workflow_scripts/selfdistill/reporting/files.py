"""Text files that are whole or not there."""

import os
from pathlib import Path


def write_whole(text: str, path: Path) -> None:
    """Writes beside the target and renames: a reader never sees half a page."""
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
