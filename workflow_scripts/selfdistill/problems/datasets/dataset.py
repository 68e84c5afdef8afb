"""What a loader is and what it yields: a row that may be kept, or a row that is dropped and why."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from selfdistill.problems.datasets.options import Option


class Kept(NamedTuple):
    """A row as it stands in the file. `convert` still cleans its text and reads its answer, and may drop it."""

    id: str
    problem: str
    answer: str
    level: int  # a stratum, and comparable within one dataset only
    family: str | None = None


class Dropped(NamedTuple):
    id: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    name: str  # the loader's name in a study file
    hub: str  # the default id of the repository on the hub
    files: tuple[str, ...]  # glob patterns of the repository's files that are needed
    licence: str  # as publicly stated, and where
    columns: dict[str, str]  # theirs -> ours, for people
    about: str
    read: Callable[[Path, Mapping[str, Any]], Iterator[Kept | Dropped]]  # takes checked options
    options: dict[str, Option] = field(default_factory=dict)  # besides those that every loader has
    revision: str | None = None  # one whose files public code or notes describe; None where none is known
