"""Obtaining a repository: a copy that is there is used as it is, one that is not is downloaded; what is known of it after."""

import hashlib
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.foundation.locks import held
from selfdistill.models.hub.copies import files_of, refuse_part_of_a_copy, revision_of_copy, sha256
from selfdistill.models.hub.downloads import download, newest
from selfdistill.models.hub.repository import Repository
from selfdistill.models.hub.revisions import NOTHING_KNOWN, read_revisions, revision_begun_with, two_commits
from selfdistill.models.origin import origin_of


def obtain(wanted: Repository, lock: Path) -> dict[str, Any]:
    """What is to be known of the repository's copy on this machine, which is downloaded if it is not there."""
    if not files_of(wanted):  # a copy that is there may lie where nothing can be written
        with held(_guard_of(wanted.folder)):
            if not files_of(wanted):
                revision = wanted.revision or revision_begun_with(lock, wanted) or newest(wanted)
                _settle(lock, wanted, revision, "")
                download(wanted, revision)
    files = files_of(wanted)
    revision = revision_of_copy(wanted, files)
    refuse_part_of_a_copy(wanted, files)
    sums = {name: sha256(wanted.folder / name) for name in files}
    origin = origin_of(wanted.folder, sums)
    digest = hashlib.sha256("".join(f"{name}\0{sums[name]}\n" for name in files).encode()).hexdigest()
    revision = _settle(lock, wanted, revision, digest)
    sizes = {name: (wanted.folder / name).stat().st_size for name in files}
    return {
        "hub": wanted.hub,
        "kind": wanted.kind,
        "revision": revision,
        "digest": digest,
        "sums": sums,
        "sizes": sizes,
        **({"origin": origin} if origin else {}),
    }


def _settle(lock: Path, wanted: Repository, revision: str, digest: str) -> str:
    """Refuse what differs from the study's pin or from what the study began with, and remember the rest. The revision
    that is then known of the copy: a copy without papers is believed to be what its digest was before."""
    pinned = wanted.revision
    if pinned and revision and pinned != revision:
        raise UserError(
            f"{wanted.key}.revision: the study pins {pinned}, but {wanted.folder} holds {revision}; give each commit a "
            f"folder of its own ({wanted.key}.path)."
        )
    with held(_guard_of(lock)):
        entries = read_revisions(lock)
        began = entries.get(wanted.name, NOTHING_KNOWN)
        if revision and began["revision"] and revision != began["revision"]:
            raise UserError(two_commits(f"{wanted.key}.revision", revision, began["revision"], lock))
        if digest and began["digest"] and digest != began["digest"]:
            raise UserError(
                f"{wanted.folder}: is not the {wanted.hub} that this study began with ({lock}); bring that copy back, name "
                f"another repository in {wanted.key}.hub, or give the study another name."
            )
        entries[wanted.name] = {"revision": revision or began["revision"], "digest": digest or began["digest"]}
        if entries[wanted.name] != began:
            write_json(lock, dict(sorted(entries.items())))
        return entries[wanted.name]["revision"]


def _guard_of(path: Path) -> Path:
    """The lock beside a file or a folder that one process at a time may make."""
    return path.with_name(f".{path.name}.guard")
