"""What a loader is and what it yields: a row that may be kept, or a row that is dropped and why."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from selfdistill.problems.datasets.options import Option
from selfdistill.problems.datasets.pictures import Need


class Kept(NamedTuple):
    """A row as it stands in the file. `convert` still cleans its text and reads its answer, and may drop it."""

    id: str
    problem: str
    answer: str
    level: int  # a stratum, and comparable within one dataset only
    family: str | None = None
    needs_picture: Need = "no"  # these two `convert` finds out
    mended: bool = False
    solution: str | None = None  # the dataset's own, where it gives one: `convert` cleans it or leaves it out


class Dropped(NamedTuple):
    id: str
    reason: str


@dataclass(frozen=True)
class Counted:
    """What a conversion of a real copy gave: the measure by which later ones are judged."""

    repository: str  # where the copy was found, and at which commit
    commit: str
    file: str
    kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    helped: int = 0  # of those kept: a picture would help
    mended: int = 0  # of those kept
    options: dict[str, Any] = field(default_factory=dict)  # those that were not the default
    whole: bool = True  # the copy is the whole dataset, so that its number of problems is what a conversion must give
    note: str = ""

    @property
    def rows(self) -> int:
        return self.kept + sum(self.dropped.values())


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
    elsewhere: tuple[
        tuple[str, ...], ...
    ] = ()  # patterns of the same dataset as others than the hub serve it, a layout each
    text_only: bool = False  # nobody took a picture or another problem away, and what sounds like it is part of a story
    counted: tuple[Counted, ...] = ()  # where no real copy was found, there is nothing to judge a conversion by
