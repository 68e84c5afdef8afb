"""Key `plugins`: the user's own loaders, engines, filters, judges and analyses, by the names that a study calls them.

A file offers what it names: `DATASET` is a loader, `ENGINE` an engine, `JUDGE` a judge, `KEEP` filters and `ANALYSES`
analyses. What each has to be, the rooms say whose contract it is.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import cannot_be_imported, digest_of, import_plugin, refer
from selfdistill.foundation.suggestions import suggested
from selfdistill.study.section import NAME

Kind = Literal["loader", "engine", "judge", "filter", "analysis"]
OFFERED_AS: dict[Kind, str] = {
    "loader": "DATASET", "engine": "ENGINE", "judge": "JUDGE", "filter": "KEEP", "analysis": "ANALYSES",
}  # fmt: skip
SEVERAL: tuple[Kind, ...] = ("filter", "analysis")  # a mapping of names; of the others a file offers one, with its name


class Offer(NamedTuple):
    kind: Kind
    name: str
    file: Path


def plugin_files(written: Sequence[str], root: Path = Path(".")) -> list[Path]:
    """The files of `plugins:`, as the study writes them: a folder stands for the Python files in it."""
    found: list[Path] = []
    for entry in written:
        path = root / entry
        if path.is_dir():
            files = sorted(path.glob("[a-z]*.py"))
            if not files:
                raise UserError(f"plugins: {entry!r} holds no Python file; put some there, or leave it out.")
            found += files
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"plugins: there is no file or folder {entry!r}; correct its path, or leave it out.")
    resolved = [file.resolve() for file in found]
    for number, file in enumerate(found):
        if resolved[number] in resolved[:number]:
            raise UserError(f"plugins: {file} is named twice; name it once, by itself or by its folder.")
    return found


def offers_of(written: Sequence[str], root: Path = Path(".")) -> list[Offer]:
    """All that the files offer; a name that two of them give, or a file that offers nothing, is refused."""
    found: dict[tuple[str, str], Offer] = {}
    for file in plugin_files(written, root):
        offers = offers_in(file)
        if not offers:
            raise UserError(
                f"plugins: {file} offers nothing; it needs one of {', '.join(OFFERED_AS.values())} (docs/extend.md)."
            )
        for offer in offers:
            other = found.setdefault((offer.kind, offer.name), offer)
            if other is not offer:
                raise UserError(
                    f"plugins: {other.file} and {file} both give the {offer.kind} {offer.name!r}; rename one."
                )
    return list(found.values())


def offers_in(file: Path) -> list[Offer]:
    module = import_plugin(file)
    return [Offer(kind, name, file) for kind in OFFERED_AS for name in names_in(module, kind, file)]


def names_in(module: ModuleType, kind: Kind, file: Path) -> list[str]:
    given = getattr(module, OFFERED_AS[kind], None)
    if given is None:
        return []
    if kind in SEVERAL and not isinstance(given, dict):
        raise UserError(f"plugins: {file}: {OFFERED_AS[kind]} must be a dict of names, but is {given!r:.80}.")
    try:
        names = list(given) if kind in SEVERAL else [getattr(given, "name", None)]
    except (Exception, SystemExit) as error:  # a class of classes may compute it
        raise UserError(cannot_be_imported(file, error)) from error
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise UserError(
                f"plugins: {file}: {OFFERED_AS[kind]} is named {name!r}, but needs a name of small letters, digits and hyphens."
            )
    return [str(name) for name in names]


def reference_of(written: Sequence[str], kind: Kind, name: str, root: Path = Path(".")) -> str:
    """What stands in params for a name of the study file: a built-in's own name, or a reference to the file that gives it."""
    found = [
        offer for offer in (offers_of(written, root) if written else []) if (offer.kind, offer.name) == (kind, name)
    ]
    return refer(name, found[0].file) if found else name


def listed_plugins(written: Sequence[str]) -> list[dict[str, str]]:
    """For the report: every file by its name alone, for where it lies is this machine's; what it offers, and its digest."""
    found: dict[Path, list[str]] = {}
    for offer in offers_of(written):
        found.setdefault(offer.file, []).append(f"{offer.kind} {offer.name}")
    return [
        {"file": file.name, "offers": ", ".join(offers), "digest": digest_of(file)} for file, offers in found.items()
    ]


class Plugged(NamedTuple):
    """What the plugins of a study offer, or what is wrong with them."""

    offers: list[Offer]
    wrong: str | None

    def names(self, kind: Kind) -> list[str]:
        return [offer.name for offer in self.offers if offer.kind == kind]

    def missing(self, key: str, kind: Kind, name: str, built_in: Sequence[str]) -> Iterator[str]:
        """A complaint where nothing has the name. Where plugins cannot be read, that is told, and not what follows from it."""
        known = [*built_in, *self.names(kind)]
        if name not in known and not self.wrong:
            yield f"{key}: there is no {kind} {name!r}; {suggested(name, known)}"


def plugged(written: Sequence[str], root: Path) -> Plugged:
    try:
        return Plugged(offers_of(written, root), None)
    except UserError as error:
        return Plugged([], str(error))
