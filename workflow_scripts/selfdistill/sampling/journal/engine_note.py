"""Which engine's samples a journal holds: a note beside them, or what they say themselves.

Another engine would draw other samples for the same requests, and one model's samples should come from one engine.
"""

import json
from contextlib import suppress
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.sampling.journal.segments import Lines, Table, segment_paths
from selfdistill.tables.faults import UnusableTable

ABOUT = "journal.json"


def keep_to_engine(folder: Path, engine: str) -> None:
    """Refuses another engine than the one that began the journal; the first one is noted down."""
    begun_by = engine_of(folder)
    if begun_by not in (None, engine):
        raise UserError(
            f"{folder}: its samples were drawn by the {begun_by} engine and now {engine} is asked for, "
            f"which would draw others for the same requests: {_way_back(begun_by)}, or move this folder away to sample anew."
        )
    if not (folder / ABOUT).exists():
        write_json(folder / ABOUT, {"engine": engine})


def _way_back(begun_by: str) -> str:
    name, plugged, _ = begun_by.partition("#")
    return f"put the plugin of {name} back as it was" if plugged else f"set sampling.engine to {begun_by}"


def engine_of(folder: Path) -> str | None:
    """None of an empty journal."""
    path = folder / ABOUT
    if not path.exists() and folder.is_dir():
        for segment in segment_paths(folder):
            with suppress(UnusableTable):  # a damaged one is spoken of elsewhere
                first = next((Lines(segment) if segment.suffix == ".jsonl" else Table(segment)).samples(), None)
                if first is not None:
                    return str(first["engine"][0])
    try:
        return str(json.loads(path.read_text())["engine"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{path}: damaged; write which engine drew the samples, as {{"engine": "torch"}}.') from error
