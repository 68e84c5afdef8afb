"""Downloads: beside the folder, compared with what the hub says of every file, and renamed when all of it is there.

Tokens come from the environment alone (HF_TOKEN), where the hub's own client reads them; none passes through here.
"""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import sync_folder, sync_tree, write_json
from selfdistill.models.hub.copies import RECORD, has_size, sha256
from selfdistill.models.hub.repository import Repository


def newest(wanted: Repository) -> str:
    from huggingface_hub import HfApi

    with _no_network(wanted, "main"):
        return str(HfApi().repo_info(wanted.hub, repo_type=wanted.kind, revision="main").sha)


def download(wanted: Repository, revision: str) -> None:
    """An interrupted download goes on where it was; a file that is not what the hub says it is counts as none."""
    part = wanted.folder.with_name(f"{wanted.folder.name}.{revision[:8]}.part")
    stated = _files_at(wanted, revision)
    if free := _lacking_room(part, sum(file.size or 0 for file in stated.values())):
        raise UserError(f"{part.parent}: has no room for {wanted.hub} ({free}); free some, or set {wanted.key}.path.")
    _fetch(wanted, revision, list(stated), part)
    for name, file in stated.items():
        _refuse_damage(wanted, name, part / name, file)
    _put_in_place(wanted, revision, list(stated), part)


def _files_at(wanted: Repository, revision: str) -> dict[str, Any]:
    """What the hub says of every file that is asked for."""
    from huggingface_hub import HfApi

    with _no_network(wanted, revision):
        info: Any = HfApi().repo_info(wanted.hub, repo_type=wanted.kind, revision=revision, files_metadata=True)
    stated = {file.rfilename: file for file in info.siblings or [] if wanted.asks_for(file.rfilename)}
    if not stated:
        raise UserError(
            f"{wanted.key}.hub: {wanted.hub} at {revision} has none of the files {', '.join(wanted.files)}; correct it."
        )
    return stated


def _fetch(wanted: Repository, revision: str, names: list[str], part: Path) -> None:
    """As real files, not as links into a cache."""
    from huggingface_hub import snapshot_download

    exactly = [glob.escape(name) for name in names]
    with _no_network(wanted, revision):
        snapshot_download(wanted.hub, repo_type=wanted.kind, revision=revision, local_dir=part, allow_patterns=exactly)


def _refuse_damage(wanted: Repository, name: str, path: Path, stated: Any) -> None:
    if not path.is_file():  # the client goes on without what it cannot reach where a part is there
        raise UserError(f"{wanted.hub}: {name} did not come; run the same command again.")
    wrong_size = stated.size is not None and not has_size(path, stated.size)
    if wrong_size or (stated.lfs and sha256(path) != stated.lfs.sha256):
        path.unlink()
        raise UserError(f"{wanted.hub}: {name} came damaged; run the same command again.")


def _put_in_place(wanted: Repository, revision: str, names: list[str], part: Path) -> None:
    sizes = {name: (part / name).stat().st_size for name in names}
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the client's own records
    write_json(part / RECORD, {"hub": wanted.hub, "revision": revision, "files": sizes})
    sync_tree(part)
    if wanted.folder.is_dir():  # it holds nothing that was asked for
        shutil.copy(part / RECORD, wanted.folder)  # first: a copy that is broken off is then seen to be a part
        shutil.copytree(part, wanted.folder, dirs_exist_ok=True)
        shutil.rmtree(part)
    else:
        os.replace(part, wanted.folder)
    sync_folder(wanted.folder.parent)


def _lacking_room(part: Path, needed: int) -> str:
    here = sum(path.stat().st_size for path in part.rglob("*") if path.is_file()) if part.is_dir() else 0
    free = shutil.disk_usage(part.parent).free
    return f"{(needed - here) / 1e9:.1f} GB needed, {free / 1e9:.1f} free" if needed - here > free else ""


@contextmanager
def _no_network(wanted: Repository, revision: str) -> Iterator[None]:
    """What goes wrong between us and the hub, as one sentence that says how to do without it."""
    from httpx2 import HTTPError
    from huggingface_hub import errors

    kind = "" if wanted.kind == "model" else " --repo-type dataset"
    by_hand = f"hf download {wanted.hub}{kind} --revision {revision} --local-dir {wanted.folder}"
    otherwise = f"or set {wanted.key}.path to a copy that you have."
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"{wanted.key}.hub: {wanted.hub} is open only to those who accepted its terms on its page; do so and set "
            f"HF_TOKEN in the environment, {otherwise}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{wanted.key}.revision: {wanted.hub} has no commit {revision}; correct it.") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{wanted.key}.hub: the hub shows no {wanted.kind} {wanted.hub}; correct the name, set HF_TOKEN in the "
            f"environment if it is private, {otherwise}"
        ) from error
    except (OSError, HTTPError) as error:  # whatever the hub's client raises is an OSError
        raise UserError(
            f"{wanted.key}.path: {wanted.folder} is not there, and {wanted.hub} cannot be downloaded from "
            f"huggingface.co ({reason(error)}): run `{by_hand}` where there is a network and copy the folder here, {otherwise}"
        ) from error


def reason(error: BaseException) -> str:
    """The innermost cause in its first line: clients wrap a refused connection many times."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
