"""Which commit of every repository a study began with: the file `revisions.lock`, written once and never changed.

It is written before the first byte comes: a study that names no commit takes the newest, once.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.models.hub.repository import Repository
from selfdistill.study.study import Study

Lock = dict[str, dict[str, str]]  # "model Qwen/Qwen3.5-4B" → its revision and digest; "" where not known
NOTHING_KNOWN = {"revision": "", "digest": ""}


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
    entries = read_revisions(lock) if any(pin.commit for pin in pins) else {}
    for pin in pins:
        began = entries.get(pin.repository, NOTHING_KNOWN)["revision"]
        if pin.commit and began and pin.commit != began:
            raise UserError(two_commits(f"{pin.key}.revision", pin.commit, began, lock))


def two_commits(key: str, revision: str, began: str, lock: Path) -> str:
    """The sentence for results that would be made of two."""
    return (
        f"{key}: is {revision}, but the results so far were made with {began} ({lock}); set {began}, or give the study "
        "another name."
    )


def revision_begun_with(lock: Path, wanted: Repository) -> str:
    return read_revisions(lock).get(wanted.name, NOTHING_KNOWN)["revision"]


def read_revisions(lock: Path) -> Lock:
    try:
        content: Lock = json.loads(lock.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{lock}: cannot be read as JSON ({error}); bring back the file as it was.") from error
    return content
