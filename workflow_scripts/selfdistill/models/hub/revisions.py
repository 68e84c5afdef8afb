"""Which commit of every repository a study began with: the file `revisions.lock`, written once and never changed.

It is written before the first byte comes: a study that names no commit takes the newest, once.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.foundation.locks import held
from selfdistill.models.hub.repository import Repository
from selfdistill.study.study import Study

Lock = dict[str, dict[str, str]]  # "model Qwen/Qwen3.5-4B" → its revision and digest; "" where not known
NOTHING_KNOWN = {"revision": "", "digest": ""}


def guard_of(path: Path) -> Path:
    """The lock beside a file or a folder that one process at a time may make."""
    return path.with_name(f".{path.name}.guard")


class Pin(NamedTuple):
    key: str  # of the study file
    repository: str  # as in the lock
    commit: str  # or nothing


def check_pins(study: Study, lock: Path, usual_hub: Callable[[str], str]) -> None:
    """Before anything is planned: what the study pins is what its results so far were made with. `usual_hub` says where
    a loader's dataset lies unless the study says otherwise."""
    pins = [Pin("model", f"model {study.model.hub}", study.model.revision)]
    for name, source in study.problems.sources.items():
        if source.loader and source.revision:
            hub = source.hub or usual_hub(source.loader)
            pins.append(Pin(f"problems.sources.{name}", f"dataset {hub}", source.revision))
    entries = _read_lock(lock) if any(pin.commit for pin in pins) else {}
    for pin in pins:
        began = entries.get(pin.repository, NOTHING_KNOWN)["revision"]
        if pin.commit and began and pin.commit != began:
            raise UserError(_mixed(f"{pin.key}.revision", pin.commit, began, lock))


def settle(lock: Path, wanted: Repository, revision: str, digest: str) -> str:
    """Refuse what differs from the study's pin or from what the study began with, and remember the rest. The revision
    that is then known of the copy: a copy without papers is believed to be what its digest was before."""
    pinned = wanted.revision
    if pinned and revision and pinned != revision:
        raise UserError(
            f"{wanted.key}.revision: the study pins {pinned}, but {wanted.folder} holds {revision}; give each commit a "
            f"folder of its own ({wanted.key}.path)."
        )
    with held(guard_of(lock)):
        entries = _read_lock(lock)
        began = entries.get(wanted.name, NOTHING_KNOWN)
        if revision and began["revision"] and revision != began["revision"]:
            raise UserError(_mixed(f"{wanted.key}.revision", revision, began["revision"], lock))
        if digest and began["digest"] and digest != began["digest"]:
            raise UserError(
                f"{wanted.folder}: is not the {wanted.hub} that this study began with ({lock}); bring that copy back, or "
                "give the study another name."
            )
        entries[wanted.name] = {"revision": revision or began["revision"], "digest": digest or began["digest"]}
        if entries[wanted.name] != began:
            write_json(lock, dict(sorted(entries.items())))
        return entries[wanted.name]["revision"]


def _mixed(key: str, revision: str, began: str, lock: Path) -> str:
    return (
        f"{key}: is {revision}, but the results so far were made with {began} ({lock}); set {began}, or give the study "
        "another name."
    )


def revision_begun_with(lock: Path, wanted: Repository) -> str:
    return _read_lock(lock).get(wanted.name, NOTHING_KNOWN)["revision"]


def _read_lock(lock: Path) -> Lock:
    try:
        content: Lock = json.loads(lock.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{lock}: cannot be read as JSON ({error}); bring back the file as it was.") from error
    return content
