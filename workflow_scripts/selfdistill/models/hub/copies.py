"""A copy that is on this machine, wherever it came from: is it whole, and which commit is it of?"""

import fnmatch
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.models.headers import INDEX, tensors_by_file
from selfdistill.models.hub.repository import Repository, matches
from selfdistill.models.origin import read_origin
from selfdistill.models.reading import read_json
from selfdistill.study.study import Study

RECORD = ".revision.json"  # in a folder that was downloaded here: of what repository and commit it is
CLIENTS_RECORDS = ".cache/huggingface/download"  # where the hub's own client writes the same, file by file
COMMIT = re.compile(r"[0-9a-f]{40}")


class LookedAt(NamedTuple):
    key: str  # of the study file
    facts: Path  # what was found then
    folder: Path


def check_copies(study: Study, facts: Path) -> None:
    """Before anything is planned: the copies that were looked at once are still there, with files of the same sizes."""
    copies = [LookedAt("model", facts / "model.json", Path(study.model.path))] if study.model.hub else []
    for name, source in study.problems.sources.items():
        if source.loader:
            known = facts / f"sources/{name}.json"
            copies.append(LookedAt(f"problems.sources.{name}", known, Path(source.path)))
    for copy in copies:
        if not copy.facts.is_file():
            continue
        sizes = read_json(copy.facts)["sizes"]
        changed = [file for file, size in sizes.items() if not has_size(copy.folder / file, int(size))]
        if changed:
            raise UserError(
                f"{copy.folder / changed[0]}: is gone or has another size than when this study began; bring that copy back "
                f"({copy.key}.path), or delete {copy.facts} to have it looked for anew."
            )


def files_of(wanted: Repository) -> list[str]:
    """Names of the files that are asked for, relative to the folder. A symbolic link counts as what it points to."""
    if not wanted.folder.is_dir():
        return []
    paths = (path for path in wanted.folder.rglob("*") if path.is_file())
    names = (path.relative_to(wanted.folder).as_posix() for path in paths)
    return sorted(name for name in names if not name.startswith(".") and wanted.asks_for(name))


def refuse_part_of_a_copy(wanted: Repository, files: list[str]) -> None:
    """Of a copy that somebody else made. A dataset must have a file of every kind; a model, weights and all their parts."""
    lacking = [pattern for pattern in wanted.files if not any(matches(name, (pattern,)) for name in files)]
    if wanted.kind == "model":
        index = wanted.folder / INDEX
        parts = set(tensors_by_file(index)) if index.is_file() else {"*.safetensors"}
        lacking = [
            part for part in ("config.json", *sorted(parts)) if not any(fnmatch.fnmatchcase(n, part) for n in files)
        ]
    unfinished = [path.name for path in (wanted.folder / CLIENTS_RECORDS).rglob("*.incomplete")]
    if lacking or unfinished:
        what = f"has no {lacking[0]}" if lacking else "holds a download that was broken off"
        raise UserError(f"{wanted.folder}: is no whole copy of {wanted.hub}, for it {what}; complete or delete it.")


def revision_of_copy(wanted: Repository, files: list[str]) -> str:
    """The commit that the copy is of, as far as its papers say; nothing if there are none."""
    record = wanted.folder / RECORD
    if record.is_file():
        content = json.loads(record.read_text())
        if content["hub"] != wanted.hub:
            raise UserError(
                f"{wanted.key}.path: {wanted.folder} holds {content['hub']} and not {wanted.hub}; give each a folder."
            )
        changed = [name for name, size in content["files"].items() if not has_size(wanted.folder / name, size)]
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
    if told := read_origin(wanted.folder).get("sentence"):
        print(f"{wanted.folder}: is not the hub's copy of {wanted.hub}: {told}", file=sys.stderr)
        return ""
    print(f"{wanted.folder}: does not say which commit of {wanted.hub} it is; its digest is kept.", file=sys.stderr)
    return ""


def has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _first_line(path: Path) -> str:
    return (path.read_text().splitlines() or [""])[0] if path.is_file() else ""


def sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
