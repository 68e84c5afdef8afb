"""Obtaining a repository: a copy that is there is used as it is, one that is not is downloaded; what is known of it after."""

import hashlib
from pathlib import Path
from typing import Any

from selfdistill.foundation.locks import held
from selfdistill.models.hub.copies import files_of, refuse_part_of_a_copy, revision_of_copy, sha256
from selfdistill.models.hub.downloads import download, newest
from selfdistill.models.hub.repository import Repository
from selfdistill.models.hub.revisions import guard_of, revision_begun_with, settle


def obtain(wanted: Repository, lock: Path) -> dict[str, Any]:
    """What is to be known of the repository's copy on this machine, which is downloaded if it is not there."""
    if not files_of(wanted):  # a copy that is there may lie where nothing can be written
        with held(guard_of(wanted.folder)):
            if not files_of(wanted):
                revision = wanted.revision or revision_begun_with(lock, wanted) or newest(wanted)
                settle(lock, wanted, revision, "")
                download(wanted, revision)
    files = files_of(wanted)
    revision = revision_of_copy(wanted, files)
    refuse_part_of_a_copy(wanted, files)
    sums = {name: sha256(wanted.folder / name) for name in files}
    digest = hashlib.sha256("".join(f"{name}\0{sums[name]}\n" for name in files).encode()).hexdigest()
    revision = settle(lock, wanted, revision, digest)
    sizes = {name: (wanted.folder / name).stat().st_size for name in files}
    return {
        "hub": wanted.hub,
        "kind": wanted.kind,
        "revision": revision,
        "digest": digest,
        "sums": sums,
        "sizes": sizes,
    }
