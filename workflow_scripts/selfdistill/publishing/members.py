"""What a bundle holds: the study, the results that the report leads to, and the code that made them; never journals.

A bundle's folder has the results in `results/`, as they lie in the study's own folder, so that the links of the report lead
where they should, and a project that runs in `workflow/`.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_files
from selfdistill.study.looks import RECORD as LOOKS_RECORD
from selfdistill.study.names import EXPORT
from selfdistill.study.plugins import plugin_files
from selfdistill.study.results import work_folder
from selfdistill.study.study import Study

REPORT = "report.html"
REVISIONS = "revisions.lock"
NOT_FINISHED = "is not there; run the study to its report first: a bundle holds finished results."
CODE = "workflow"  # the folder of a bundle in which the study runs again
RESULTS = "results"  # the folder of a bundle that holds the results
STUDY = "study.yaml"  # the study file, as it was given

# Of the project, what a study runs on. Tests, benchmarks and pages stay out.
PROJECT = (
    "Snakefile", "Makefile", "config.yaml", "pyproject.toml", "requirements.in", "requirements.lock", "README.md", "LICENSE",
    "CITATION.cff", "CHANGELOG.md", "rules", "workflow_scripts", "report", "resources", "envs", "containers", "profiles", "config",
)  # fmt: skip
SITES_OWN = ("profiles/", "config/", "config.yaml")
WHO_PAYS = re.compile(
    r"""((?:\b|_)(?:account|mail-user)\s*[=: ]\s*)(?!None\b)(?:"'[^'\n]*'"|'[^'\n]*'|\\"[^"\n]*\\"|[\w.@+-]+)"""
)
OWN_CODE = ("workflow_scripts", "rules")  # where files count that are in no commit: a loader of one's own
TABLES_AND_RECORDS = {".parquet", ".json", ".csv", ".tsv", ".svg", ".html", ".yaml"}
UNPUBLISHED = re.compile(r"work(\.(old|damaged)-\d+)?|journal-.*|logs|\..*")  # folders
SHARD = re.compile(r"shard-\d+\.parquet")  # graded.parquet has the same completions, and more
LINKED = re.compile(r'<a href="([^"#:]+)">')


class Kind(Enum):
    """Who wrote the text of a file, and so what may stand in it."""

    OURS = "made here"
    QUOTES = "made here, with what models and datasets wrote"
    CODE = "of the project"
    PLUGIN = "of the user's, who names it in the study"
    FOREIGN = "of a model or a dataset"


@dataclass(frozen=True)
class Member:
    """A file of a bundle: one that lies somewhere, or a text that is made for it."""

    name: str  # within the bundle, with slashes
    kind: Kind
    source: Path | None = None
    text: str = ""

    @property
    def place(self) -> str:
        """As a person knows it."""
        return str(self.source) if self.source else self.name


def results_of(study: Study) -> Iterator[Member]:
    """What is published of a study's results, or a sentence that says what lacks."""
    folder = Path(study.results)
    found = {path.relative_to(folder).as_posix(): path for path in published(folder)}
    leads_to = {link.rstrip("/") for link in LINKED.findall(read_text(folder / REPORT))}
    there = set(found) | {str(parent) for name in found for parent in PurePosixPath(name).parents}
    if missing := sorted(leads_to - there):
        raise UserError(
            f"{folder / missing[0]}: the report leads to it, and it is not there; run the study to its report again."
        )
    for name, path in sorted(found.items()):
        yield Member(f"{RESULTS}/{name}", _kind(name), path)
    for record in (REVISIONS, LOOKS_RECORD):
        if (path := work_folder(study.results) / record).is_file():
            yield Member(f"{RESULTS}/{record}", Kind.OURS, _no_link(path))


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it readable and try again.") from error


def published(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        of_runs = Path(place).relative_to(folder).parts[:1] == ("runs",)
        folders[:] = sorted(
            name for name in folders if not UNPUBLISHED.fullmatch(name) and not (of_runs and EXPORT.fullmatch(name))
        )
        for name in sorted(files):
            if Path(name).suffix in TABLES_AND_RECORDS and not name.startswith(".") and not SHARD.fullmatch(name):
                yield _no_link(Path(place) / name)


def _no_link(path: Path) -> Path:
    if path.is_symlink():
        raise UserError(
            f"{path}: is a link, and what it leads to may be no result; put the file itself there, or remove it."
        )
    return path


def _kind(name: str) -> Kind:
    return (
        Kind.QUOTES if Path(name).suffix in (".html", ".csv", ".svg") or name.startswith("annotation/") else Kind.OURS
    )


def code_of(root: Path = Path(".")) -> list[Member]:
    """The project's own files: what is in its commits, and code that is in none yet. Where there is no git, what lies there."""
    names = _listed_by_git(root)
    names = sorted(_lying_there(root)) if names is None else names
    return [_of_project(name, root / name) for name in names if not (root / name).is_symlink()]


def _of_project(name: str, path: Path) -> Member:
    """What a site or a person writes is ours, and may hold its paths; whose hours jobs take is nobody else's business."""
    if not name.startswith(SITES_OWN):
        return Member(f"{CODE}/{name}", Kind.CODE, path)
    text = read_text(path)
    without = "".join(_nobodys(line) for line in text.splitlines(keepends=True))
    return (
        Member(f"{CODE}/{name}", Kind.OURS, path)
        if without == text
        else Member(f"{CODE}/{name}", Kind.OURS, text=without)
    )


def _nobodys(line: str) -> str:
    setting, comment, said = line.partition("#")
    return WHO_PAYS.sub(r"\1None", setting) + comment + said


def _listed_by_git(root: Path) -> list[str] | None:
    ours = ["git", "-C", str(root), "ls-files", "-z"]
    others = [*ours, "--others", "--exclude-standard"]
    try:
        listed = [
            subprocess.run(
                [*command, "--", *places], capture_output=True, text=True, check=True, timeout=60
            ).stdout.split("\0")
            for command, places in ((ours, PROJECT), (others, OWN_CODE))
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    found = sorted({name for names in listed for name in names if name and (root / name).is_file()})
    return found if "Snakefile" in found else None  # a folder of another repository, which does not know these files


def _lying_there(root: Path) -> Iterator[str]:
    for name in PROJECT:
        if (root / name).is_file():
            yield name
        for place, folders, files in os.walk(root / name):
            folders[:] = [
                each
                for each in folders
                if not each.startswith(".") and each != "__pycache__" and not each.endswith(".egg-info")
            ]
            yield from (
                (Path(place) / each).relative_to(root).as_posix() for each in files if not each.endswith(".pyc")
            )


def named_by(study: Study, code: Iterable[Member], root: Path = Path(".")) -> list[Member]:
    """The files that the study names and the project does not hold: one's own problems, solved examples, a filled sheet,
    plugins."""
    there = {member.name for member in code}
    found = []
    files = plugin_files(study.plugins, root)
    plugins = [str(file.relative_to(root) if file.is_relative_to(root) else file) for file in files]
    for name in sorted({*_words(study.model_dump(exclude={"results", "plugins"})), *plugins}):
        if _is_file(root, name) and f"{CODE}/{name}" not in there:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise UserError(
                    f"{name}: the study names this file, which lies outside the project; put it in and name it from here."
                )
            kind = Kind.PLUGIN if name in plugins else Kind.FOREIGN
            found.append(Member(f"{CODE}/{Path(name).as_posix()}", kind, root / name))
    return found


def _words(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _words(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _words(value)


def _is_file(root: Path, name: str) -> bool:
    """A sentence of a prompt is no path, and may be too long for one."""
    try:
        return ("/" in name or "." in name) and "\n" not in name and (root / name).is_file()
    except (OSError, ValueError):
        return False


def weights_of(folder: Path, name: str) -> list[Member]:
    """A model's own files."""
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder}: the model is not there any more; run the study again, or publish without its weights."
        )
    return [Member(f"{name}/{path.name}", Kind.FOREIGN, path) for path in model_files(folder)]
