"""What subcommands are given alike."""

import argparse
from collections.abc import Callable
from pathlib import Path

from selfdistill.foundation.errors import UserError

USUAL = Path("config.yaml")


def add_study(parser: argparse.ArgumentParser, usual: Path | None = USUAL) -> None:
    """The study file; where none is given, the lab's."""
    if usual is None:
        parser.add_argument("study", type=Path, help="the study file")
    else:
        parser.add_argument("study", type=Path, nargs="?", default=usual, help=f"the study file; {usual} unless given")


def refuse_place(flag: str, file: Path, suffix: str, ours: Callable[[Path], bool] | None = None) -> None:
    """Before anything is made: a file to write goes into a folder that is there, and over nothing but what is `ours`."""
    if file.is_dir():
        raise UserError(f"{flag}: {file} is a folder; name a file in it that ends in {suffix}.")
    if file.suffix != suffix:
        raise UserError(f"{flag}: {file} does not end in {suffix}; name a file that does.")
    if not file.parent.is_dir():
        what = "is a file" if file.parent.exists() else "is not there"
        raise UserError(f"{flag}: the folder {file.parent} {what}; make it first, or name another.")
    if file.exists() and not (ours and ours(file)):
        other = ", and is not of this command" if ours else ""
        raise UserError(f"{flag}: {file} is there already{other}; name another place, or remove it.")
