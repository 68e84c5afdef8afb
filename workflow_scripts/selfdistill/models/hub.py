"""Models and datasets from the Hugging Face hub: one commit of each for a study's whole life, whole or not there.

A folder that is there is used as it is, wherever it came from; one that is not is downloaded beside its place, compared
with what the hub says of every file, and renamed. Which commit it is stands in the study's `revisions.lock`, written
before the first byte comes and never changed: a study that names no commit takes the newest, once. Tokens come from the
environment alone (HF_TOKEN), where the hub's own client reads them; none passes through here.
"""

import fcntl
import fnmatch
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import sync_tree, write_json
from selfdistill.study.study import Study

RECORD = ".revision.json"  # in a folder that was downloaded here: of what repository and commit it is
CLIENTS_RECORDS = ".cache/huggingface/download"  # where the hub's own client writes the same, file by file
COMMIT = re.compile(r"[0-9a-f]{40}")
MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")  # no pickles, no code

Kind = Literal["model", "dataset"]
Lock = dict[str, dict[str, Any]]  # "model Qwen/Qwen3.5-4B" → its revision and digest; "" where not known


@dataclass(frozen=True)
class Repository:
    key: str  # of the study file, for messages
    kind: Kind
    hub: str
    revision: str  # as the study pins it, or nothing
    folder: Path
    files: tuple[str, ...] = MODEL_FILES

    @property
    def name(self) -> str:
        return f"{self.kind} {self.hub}"


def obtain(wanted: Repository, lock: Path) -> dict[str, Any]:
    """What is to be known of the repository's copy on this machine, which is downloaded if it is not there."""
    if not _files(wanted):  # a copy that is there may lie where nothing can be written
        with _guard(wanted.folder):
            if not _files(wanted):
                revision = wanted.revision or _locked(lock, wanted)["revision"] or _newest(wanted)
                _settle(lock, wanted, revision, "")
                _download(wanted, revision)
    files = _files(wanted)
    revision = _revision_of_copy(wanted, files)
    _refuse_part_of_a_copy(wanted, files)
    sums = {name: _sha256(wanted.folder / name) for name in files}
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
    }


def check_pins(study: Study, lock: Path, usual_hub: Callable[[str], str]) -> None:
    """Before anything is planned: what the study pins is what its results so far were made with. `usual_hub` says where
    a loader's dataset lies unless the study says otherwise."""
    pins = [("model", f"model {study.model.hub}", study.model.revision)]
    for name, source in study.problems.sources.items():
        if source.loader and source.revision:
            hub = source.hub or usual_hub(source.loader)
            pins.append((f"problems.sources.{name}", f"dataset {hub}", source.revision))
    locked = _read(lock) if any(pinned for _, _, pinned in pins) else {}
    for key, name, pinned in pins:
        began = locked.get(name, {}).get("revision", "")
        if pinned and began and pinned != began:
            raise UserError(_mixed(f"{key}.revision", pinned, began, lock))


def check_copies(study: Study, facts: Path) -> None:
    """Before anything is planned: the copies that were looked at once are still there, with files of the same sizes."""
    copies = [("model", facts / "model.json", study.model.path)] if study.model.hub else []
    for name, source in study.problems.sources.items():
        if source.loader:
            copies.append((f"problems.sources.{name}", facts / f"sources/{name}.json", source.path))
    for key, known, folder in copies:
        if not known.is_file():
            continue
        changed = [
            file for file, size in _read(known)["sizes"].items() if not _has_size(Path(folder) / file, int(size))
        ]
        if changed:
            raise UserError(
                f"{Path(folder) / changed[0]}: is gone or has another size than when this study began; bring that copy back "
                f"({key}.path), or delete {known} to have it looked for anew."
            )


# revisions.lock


def _settle(lock: Path, wanted: Repository, revision: str, digest: str) -> str:
    """Refuse what differs from the study's pin or from what the study began with, and remember the rest. The revision
    that is then known of the copy: a copy without papers is believed to be what its digest was before."""
    pinned = wanted.revision
    if pinned and revision and pinned != revision:
        raise UserError(
            f"{wanted.key}.revision: the study pins {pinned}, but {wanted.folder} holds {revision}; give each commit a "
            f"folder of its own ({wanted.key}.path)."
        )
    with _guard(lock):
        entries = _read(lock)
        began = entries.get(wanted.name, {"revision": "", "digest": ""})
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
        return str(entries[wanted.name]["revision"])


def _mixed(key: str, revision: str, began: str, lock: Path) -> str:
    return (
        f"{key}: is {revision}, but the results so far were made with {began} ({lock}); set {began}, or give the study "
        "another name."
    )


def _locked(lock: Path, wanted: Repository) -> Mapping[str, Any]:
    return _read(lock).get(wanted.name, {"revision": "", "digest": ""})


def _read(lock: Path) -> Lock:
    try:
        content: Lock = json.loads(lock.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{lock}: cannot be read as JSON ({error}); bring back the file as it was.") from error
    return content


@contextmanager
def _guard(path: Path) -> Iterator[None]:
    """One process at a time, of this machine or of another one that shares the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.guard"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# The copy on this machine


def _files(wanted: Repository) -> list[str]:
    """Names of the files that are asked for, relative to the folder. A symbolic link counts as what it points to."""
    if not wanted.folder.is_dir():
        return []
    paths = (path for path in wanted.folder.rglob("*") if path.is_file())
    names = (path.relative_to(wanted.folder).as_posix() for path in paths)
    return sorted(name for name in names if not name.startswith(".") and _asked_for(name, wanted.files))


def _asked_for(name: str, patterns: tuple[str, ...]) -> bool:
    """A pattern without a folder means the top folder alone."""
    return any(fnmatch.fnmatchcase(name, pattern) and pattern.count("/") == name.count("/") for pattern in patterns)


def _refuse_part_of_a_copy(wanted: Repository, files: list[str]) -> None:
    """Of a copy that somebody else made. A dataset must have a file of every kind; a model, weights and all their parts."""
    lacking = [pattern for pattern in wanted.files if not any(_asked_for(name, (pattern,)) for name in files)]
    if wanted.kind == "model":
        index = wanted.folder / "model.safetensors.index.json"
        parts = set(json.loads(index.read_text())["weight_map"].values()) if index.is_file() else {"*.safetensors"}
        lacking = [
            part for part in ("config.json", *sorted(parts)) if not any(fnmatch.fnmatchcase(n, part) for n in files)
        ]
    unfinished = [path.name for path in (wanted.folder / CLIENTS_RECORDS).rglob("*.incomplete")]
    if lacking or unfinished:
        what = f"has no {lacking[0]}" if lacking else "holds a download that was broken off"
        raise UserError(f"{wanted.folder}: is no whole copy of {wanted.hub}, for it {what}; complete or delete it.")


def _revision_of_copy(wanted: Repository, files: list[str]) -> str:
    """The commit that the copy is of, as far as its papers say; nothing if there are none."""
    record = wanted.folder / RECORD
    if record.is_file():
        content = json.loads(record.read_text())
        if content["hub"] != wanted.hub:
            raise UserError(
                f"{wanted.key}.path: {wanted.folder} holds {content['hub']} and not {wanted.hub}; give each a folder."
            )
        changed = [name for name, size in content["files"].items() if not _has_size(wanted.folder / name, size)]
        if changed:
            raise UserError(
                f"{wanted.folder / changed[0]}: is gone or has another size than {wanted.hub} gave it; delete "
                f"{wanted.folder} so that it is downloaded again."
            )
        return str(content["revision"])
    home = wanted.folder.resolve()  # in the client's cache every commit has a folder of that name
    if home.parent.name == "snapshots" and COMMIT.fullmatch(home.name):
        return home.name
    papers = [wanted.folder / CLIENTS_RECORDS / f"{name}.metadata" for name in files]
    commits = {_first_line(path) for path in papers}
    if len(commits) == 1 and COMMIT.fullmatch(commit := commits.pop()):
        return commit
    print(f"{wanted.folder}: does not say which commit of {wanted.hub} it is; its digest is kept.", file=sys.stderr)
    return ""


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _first_line(path: Path) -> str:
    return (path.read_text().splitlines() or [""])[0] if path.is_file() else ""


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# The hub


def _newest(wanted: Repository) -> str:
    from huggingface_hub import HfApi

    with _no_network(wanted, "main"):
        return str(HfApi().repo_info(wanted.hub, repo_type=wanted.kind, revision="main").sha)


def _download(wanted: Repository, revision: str) -> None:
    """An interrupted download goes on where it was; a file that is not what the hub says it is counts as none."""
    from huggingface_hub import HfApi, hf_hub_download

    part = wanted.folder.with_name(f"{wanted.folder.name}.{revision[:8]}.part")
    with _no_network(wanted, revision):
        info: Any = HfApi().repo_info(wanted.hub, repo_type=wanted.kind, revision=revision, files_metadata=True)
    stated = {file.rfilename: file for file in info.siblings or [] if _asked_for(file.rfilename, wanted.files)}
    if not stated:
        raise UserError(
            f"{wanted.key}.hub: {wanted.hub} at {revision} has none of the files {', '.join(wanted.files)}; correct it."
        )
    if free := _lacking_room(part, sum(file.size or 0 for file in stated.values())):
        raise UserError(f"{part.parent}: has no room for {wanted.hub} ({free}); free some, or set {wanted.key}.path.")
    for name, file in stated.items():
        with _no_network(wanted, revision):
            hf_hub_download(wanted.hub, name, repo_type=wanted.kind, revision=revision, local_dir=part)
        wrong_size = file.size is not None and not _has_size(part / name, file.size)
        if wrong_size or (file.lfs and _sha256(part / name) != file.lfs.sha256):
            (part / name).unlink(missing_ok=True)
            raise UserError(f"{wanted.hub}: {name} came damaged; run the same command again.")
    sizes = {name: (part / name).stat().st_size for name in stated}
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the client's own records
    write_json(part / RECORD, {"hub": wanted.hub, "revision": revision, "files": sizes})
    sync_tree(part)
    if wanted.folder.is_dir():  # it holds nothing that was asked for
        shutil.copy(part / RECORD, wanted.folder)  # first: a copy that is broken off is then seen to be a part
        shutil.copytree(part, wanted.folder, dirs_exist_ok=True)
        shutil.rmtree(part)
    else:
        os.replace(part, wanted.folder)


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
            f"huggingface.co ({_reason(error)}): run `{by_hand}` where there is a network and copy the folder here, {otherwise}"
        ) from error


def _reason(error: BaseException) -> str:
    """The innermost cause in its first line: clients wrap a refused connection many times."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
