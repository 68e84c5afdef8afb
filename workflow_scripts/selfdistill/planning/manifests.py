"""What a finished training wrote down beside its checkpoints; nothing where it is not there or cannot be read."""

import json
from pathlib import Path
from typing import Any

from selfdistill.models.lineage import MANIFEST


def manifest_of(run: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((run / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def stated_digest(results: Path, model: str) -> str | None:
    """Of a checkpoint's weights, without reading them."""
    run, _, checkpoint = model.rpartition("/")
    made = manifest_of(results / "runs" / run).get("checkpoints", {}).get(checkpoint, {})
    return made.get("digest") if made else None
