"""What every section of a study file is, and the kinds of values that several of them hold.

Types are strict: PyYAML reads `1e-5` as text, and a text is not silently a number here.
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9-]{0,39}$"
STUDY_NAME = r"^[a-z][a-z0-9.-]{0,39}$"
HUB_ID = r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$"
COMMIT = r"^([0-9a-f]{40})?$"
VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
PLUGIN = r"^[\w./-]+$"
FOLDER = r"^[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*$"

Name = Annotated[str, Field(pattern=NAME)]

StudyName = Annotated[str, Field(pattern=STUDY_NAME)]

Share = Annotated[float, Field(gt=0, lt=1)]

HubId = Annotated[str, Field(pattern=HUB_ID)]

Commit = Annotated[str, Field(pattern=COMMIT)]

Folder = Annotated[str, Field(pattern=FOLDER)]

PluginPath = Annotated[str, Field(pattern=PLUGIN)]


@dataclass(frozen=True)
class BuiltIn:
    """Marks a text that is one of these names, or a name that the study's plugins give."""

    names: tuple[str, ...]


def name_among(*names: str) -> Any:
    """The type of such a text; editors complete the built-in names and let others be."""
    return Annotated[str, BuiltIn(names), Field(json_schema_extra={"anyOf": [{"enum": [*names]}, {"pattern": NAME}]})]


class Text(NamedTuple):
    """A kind of text in words: one of them, several, and how one is written."""

    one: str
    many: str
    written: str


TEXTS = {
    NAME: Text("a name", "names", "small letters, digits and hyphens after a small letter, 40 at most"),
    STUDY_NAME: Text(
        "a study's name", "studies' names", "small letters, digits, dots and hyphens after a small letter, 40 at most"
    ),
    HUB_ID: Text("a repository", "repositories", "owner/name, as Qwen/Qwen3.5-4B"),
    COMMIT: Text("a commit", "commits", "40 digits and letters from a to f, in quotes"),
    VARIABLE: Text("a variable of the environment", "variables of the environment", "capitals, digits and underscores"),
    PLUGIN: Text(
        "a file or folder of yours",
        "files or folders of yours",
        "a path of letters, digits, dots, hyphens, underscores and slashes, as plugins/my_loader.py",
    ),
    FOLDER: Text("a folder", "folders", "a path below the project's folder, as results/mine"),
}

HUB = "Repository on the Hugging Face hub that path is downloaded from when it is not there."

REVISION = (
    "Commit of that repository. Empty: the newest one when the study first runs, kept in revisions.lock from then on."
)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
