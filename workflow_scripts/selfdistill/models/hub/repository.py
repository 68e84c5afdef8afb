"""A repository of the hub that a study asks for, and the folder on this machine that its copy is in or will be."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")  # no pickles, no code

Kind = Literal["model", "dataset"]


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

    def asks_for(self, name: str) -> bool:
        return matches(name, self.files)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """A pattern without a folder means the top folder alone."""
    return any(fnmatch.fnmatchcase(name, pattern) and pattern.count("/") == name.count("/") for pattern in patterns)
