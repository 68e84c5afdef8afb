"""What subcommands are given alike."""

import argparse
from pathlib import Path

from selfdistill.foundation.errors import UserError

USUAL = Path("config.yaml")


def add_study(parser: argparse.ArgumentParser, usual: Path | None = USUAL) -> None:
    """The study file; where none is given, the lab's."""
    if usual is None:
        parser.add_argument("study", type=Path, help="the study file")
    else:
        parser.add_argument("study", type=Path, nargs="?", default=usual, help=f"the study file; {usual} unless given")


def refuse_no_place(flag: str, file: Path) -> None:
    """Before anything is made: a file to write goes into a folder that is there."""
    if file.is_dir():
        raise UserError(f"{flag}: {file} is a folder; name a file in it.")
    if not file.parent.is_dir():
        what = "is a file" if file.parent.exists() else "is not there"
        raise UserError(f"{flag}: the folder {file.parent} {what}; make it first, or name another.")
