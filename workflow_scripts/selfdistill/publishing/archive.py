"""One archive, the same bytes for the same content: entries in order, no times, no owners; and the check that it is unchanged.

`bundle.json` in it has the SHA-256 of every other file. Its own digest stands for the whole archive: who says it beside the
archive (in a paper, on a page) lets others see that nothing was changed.
"""

import hashlib
import io
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import whole_file
from selfdistill.publishing.members import Member

CONTENTS = "bundle.json"
VERSION = 1
PACKED_ALREADY = {".parquet", ".safetensors"}
NO_TIME = (1980, 1, 1, 0, 0, 0)
PIECE = 1 << 20
LARGEST_CONTENTS = 1 << 28  # a list of a million files


@dataclass(frozen=True)
class Digest:
    sha256: str
    bytes: int


def digest_of(member: Member) -> Digest:
    total, size = hashlib.sha256(), 0
    for piece in _pieces(member):
        total.update(piece)
        size += len(piece)
    return Digest(total.hexdigest(), size)


def write_archive(members: Sequence[Member], digests: Mapping[str, Digest], about: Mapping[str, Any], out: Path) -> str:
    """Writes the archive, whole or not at all, and returns the digest that stands for it."""
    files = {member.name: vars(digests[member.name]) for member in sorted(members, key=lambda each: each.name)}
    contents = (json.dumps({"bundle": VERSION, **about, "files": files}, indent=1) + "\n").encode()
    try:
        with whole_file(out) as part, zipfile.ZipFile(part, "w") as archive:
            for member in sorted(members, key=lambda each: each.name):
                _add(archive, member, digests[member.name])
            with archive.open(_entry(CONTENTS), "w") as entry:
                entry.write(contents)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror or error}); give another place with --out, or make room."
        ) from error
    return hashlib.sha256(contents).hexdigest()


def refuse_to_replace(out: Path, study: str) -> None:
    """Only an older bundle of the same study is written over."""
    if out.exists() and _study_of(out) != study:
        raise UserError(
            f"{out}: is there already, and is no bundle of the study {study}; name another place with --out, or remove it."
        )


def _study_of(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return str(_contents_of(archive, path).contents.get("study"))
    except (UserError, OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return None


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, NO_TIME)
    entry.compress_type = zipfile.ZIP_STORED if PurePosixPath(name).suffix in PACKED_ALREADY else zipfile.ZIP_DEFLATED
    entry.create_system, entry.external_attr = 3, 0o100644 << 16
    return entry


def _add(archive: zipfile.ZipFile, member: Member, digest: Digest) -> None:
    total = hashlib.sha256()
    with archive.open(_entry(member.name), "w", force_zip64=digest.bytes > 1 << 30) as entry:
        for piece in _pieces(member):
            total.update(piece)
            entry.write(piece)
    if total.hexdigest() != digest.sha256:
        raise UserError(
            f"{member.place}: changed while it was packed; wait until the study does not run, and try again."
        )


def _pieces(member: Member) -> Iterator[bytes]:
    if member.source is None:
        yield member.text.encode()
        return
    try:
        with open(member.source, "rb") as handle:
            while piece := handle.read(PIECE):
                yield piece
    except OSError as error:
        raise UserError(
            f"{member.source}: cannot be read ({error.strerror}); make it readable and try again."
        ) from error


@dataclass(frozen=True)
class Opened:
    """A bundle whose files are all as `bundle.json` says."""

    contents: dict[str, Any]
    digest: str


def checked(path: Path, digest: str = "") -> Opened:
    """Reads every byte of an archive that anybody may have changed; all that is wrong with it is one sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            opened = _contents_of(archive, path)
            if digest and opened.digest != digest:
                raise UserError(
                    f"{path}: its digest is {opened.digest}, not the one that was said; it is another bundle, or a changed one."
                )
            if wrong := list(_wrong(archive, opened.contents["files"])):
                shown = "; ".join(wrong[:10]) + (f"; and {len(wrong) - 10} more" if len(wrong) > 10 else "")
                raise UserError(
                    f"{path}: was changed or damaged: {shown}. Do not trust it; get it again from where it was published."
                )
            return opened
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; give the path of a bundle.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"{path}: is no whole zip archive ({error}); get it again from where it was published."
        ) from error
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); make it readable and try again."
        ) from error


def _contents_of(archive: zipfile.ZipFile, path: Path) -> Opened:
    try:
        if archive.getinfo(CONTENTS).file_size > LARGEST_CONTENTS:
            raise ValueError("too long")
        raw = archive.read(CONTENTS)
        contents = json.loads(raw)
        version, files = contents["bundle"], contents["files"]
        stated = {str(name): Digest(str(each["sha256"]), int(each["bytes"])) for name, each in files.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: has no {CONTENTS} that can be read, so it is no bundle of forklock ({type(error).__name__})."
        ) from error
    if version != VERSION:
        raise UserError(
            f"{path}: is a bundle of version {version}, and this code reads version {VERSION}; use the code in its folder workflow/."
        )
    if not any(name.endswith(".parquet") for name in stated):
        raise UserError(f"{path}: lists no table, so it holds no study; get it again from where it was published.")
    return Opened({**contents, "files": stated}, hashlib.sha256(raw).hexdigest())


def _wrong(archive: zipfile.ZipFile, stated: Mapping[str, Digest]) -> Iterator[str]:
    names = archive.namelist()
    for entry in archive.infolist():
        if leads_out(entry.filename):
            yield f"{entry.filename!r} leads out of its folder"
        elif not _regular(entry):
            yield f"{entry.filename} is no file, but a link or a folder"
    for name in sorted(set(names) - set(stated) - {CONTENTS}):
        yield f"{name} was added"
    for name in sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        yield f"{name} stands in it twice"
    for name, digest in sorted(stated.items()):
        if name not in names:
            yield f"{name} is missing"
        elif not _same(archive, name, digest):
            yield f"{name} is another file"


def leads_out(name: str) -> bool:
    """Whether a name may mean a place outside the folder that an archive is unpacked into, on any system."""
    return name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts


def _regular(entry: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return not entry.is_dir() and kind in (0, stat.S_IFREG)


def _same(archive: zipfile.ZipFile, name: str, digest: Digest) -> bool:
    """Stops where there is more than was said, so that a small archive cannot unpack into a large one."""
    total, size = hashlib.sha256(), 0
    try:
        with archive.open(name) as entry:
            while piece := entry.read(PIECE):
                total.update(piece)
                size += len(piece)
                if size > digest.bytes:
                    return False
    except (zipfile.BadZipFile, EOFError, zlib.error):
        return False
    return (total.hexdigest(), size) == (digest.sha256, digest.bytes)


def read_member(path: Path, name: str, at_most: int) -> IO[bytes]:
    """One file of a bundle that was checked."""
    with zipfile.ZipFile(path) as archive, archive.open(name) as entry:
        return io.BytesIO(entry.read(at_most))
