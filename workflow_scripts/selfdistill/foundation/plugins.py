"""A plugin is a Python file of the user's that a study names; what it offers is asked for by a reference, `NAME@FILE#DIGEST`.

A reference stands where the name of something built-in would stand: in params, so that a changed file is seen. A file stands
by itself, so that its digest says all of it: it imports the library and installed packages, and no other file beside it.
"""

import hashlib
import importlib.util
import re
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from selfdistill.foundation.errors import UserError

DIGITS = 16
MODULE = "forklock_plugin_"
REFERENCE = re.compile(rf"(?P<name>[a-z0-9-]+)@(?P<file>.+)#(?P<digest>[0-9a-f]{{{DIGITS}}})", re.DOTALL)


class Reference(NamedTuple):
    name: str
    file: Path
    digest: str

    def __str__(self) -> str:
        return f"{self.name}@{self.file}#{self.digest}"


def reference_in(text: str) -> Reference | None:
    """None of the name of something built-in, and of a folder."""
    found = REFERENCE.fullmatch(text)
    return Reference(found["name"], Path(found["file"]), found["digest"]) if found else None


def refer(name: str, file: Path) -> str:
    return str(Reference(name, file, digest_of(file)))


def without_place(text: str) -> str:
    """What a name or a reference means wherever the file lies: `NAME#DIGEST`."""
    reference = reference_in(text)
    return f"{reference.name}#{reference.digest}" if reference else text


def digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS]


def offered(reference: Reference) -> ModuleType:
    """The module that a reference speaks of, if it is still the same file."""
    try:
        found = digest_of(reference.file)
    except OSError as error:
        raise UserError(
            f"plugins: {reference.file} cannot be read ({error.strerror}); put it back, and run again."
        ) from None
    if found != reference.digest:
        raise UserError(f"plugins: {reference.file} was changed while the study ran; run again.")
    return import_plugin(reference.file)


def import_plugin(file: Path) -> ModuleType:
    """Once in a process, as long as the file stays what it is."""
    return _import(file.resolve(), digest_of(file), str(file))


@cache
def _import(file: Path, digest: str, written: str) -> ModuleType:
    name = f"{MODULE}{file.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise UserError(f"plugins: {written} is no Python file; name files that end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        # Not through cached bytecode, which is told apart by time and size alone.
        exec(compile(file.read_bytes(), written, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(cannot_be_imported(written, error)) from error
    return module


def cannot_be_imported(file: Path | str, error: BaseException) -> str:
    return f"plugins: {file} cannot be imported ({in_a_line(error)}); mend it, or leave it out of plugins."


def raised_in(error: BaseException) -> str | None:
    """The file of the plugin whose code raised it, as the study names it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").startswith(MODULE):
            return frame.f_code.co_filename
    return None


def in_a_line(error: BaseException) -> str:
    """An exception in one line: what it is and what it says."""
    said: Any = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
