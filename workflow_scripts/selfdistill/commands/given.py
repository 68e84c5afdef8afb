"""What subcommands are given alike."""

import argparse
from pathlib import Path

USUAL = Path("config.yaml")


def add_study(parser: argparse.ArgumentParser, usual: Path | None = USUAL) -> None:
    """The study file; where none is given, the lab's."""
    if usual is None:
        parser.add_argument("study", type=Path, help="the study file")
    else:
        parser.add_argument("study", type=Path, nargs="?", default=usual, help=f"the study file; {usual} unless given")
