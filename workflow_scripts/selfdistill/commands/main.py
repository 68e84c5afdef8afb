"""`forklock`: what a person asks of a study beside running it. Snakemake is the engine; this looks, counts and explains.

Each subcommand is a module of this room with three things: `SUMMARY`, one sentence; `arguments`, which says what it takes;
and `run`, which does it and returns the exit status.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.harmless import guard_output
from selfdistill.foundation.programs import as_program
from selfdistill.foundation.suggestions import suggested

LIBRARY = "workflow_scripts/selfdistill"
# In the order in which a person comes to need them.
COMMANDS = ("init", "check", "plan", "rehearse", "status", "diff", "look", "redo", "compare", "bundle", "examine")


def main(arguments: Sequence[str] | None = None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    guard_output()
    try:
        as_program(lambda: sys.exit(run_here(given)))
    except BrokenPipeError:  # `forklock plan | head`: whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_here(given: Sequence[str]) -> int:
    """In the project's folder: the paths of study files begin there."""
    asks_how = not given or any(word in ("-h", "--help", "--version") for word in given)
    if not asks_how and not (Path.cwd() / LIBRARY).is_dir():
        root = Path(__file__).parents[3]
        raise UserError(
            f"{Path.cwd()}: is not the project's folder, where the paths of study files begin; cd {root} and try again."
        )
    try:
        return run(given)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(out_of_reach(error)) from error


def out_of_reach(error: OSError) -> str:
    """What a file or a folder would not do, of any command: what a command can say better, it says itself."""
    names = [name for name in (error.filename2, error.filename) if isinstance(name, str) and not name.endswith(".part")]
    place = names[0] if names else "a file"
    return (
        f"{place}: cannot be read or written ({error.strerror or error}); see to the file, its folder or the disk, or name "
        "another, and try again."
    )


def run(given: Sequence[str]) -> int:
    """One subcommand's module is imported, not all: `forklock status --watch` needs no torch."""
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        print(f"error: forklock has no command {given[0]!r}; {suggested(given[0], COMMANDS)}", file=sys.stderr)
        return 2
    if not given or given[0].startswith("-"):
        overview().parse_args(given or ["--help"])
        return 0
    module = module_of(given[0])
    asked = parser_of(given[0], module).parse_args(given[1:])
    return int(module.run(asked))


def module_of(command: str) -> ModuleType:
    return importlib.import_module(f"selfdistill.commands.{command}")


def parser_of(command: str, module: ModuleType) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"forklock {command}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.arguments(parser)
    return parser


def overview() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<10} {module_of(name).SUMMARY}" for name in COMMANDS)
    parser = argparse.ArgumentParser(
        prog="forklock",
        description=f"What a person asks of a study beside running it.\n\ncommands:\n{listed}",
        epilog="`forklock COMMAND --help` says more. A study is run by snakemake.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="forklock COMMAND ...",
    )
    parser.add_argument("--version", action="version", version=f"forklock {installed_version()}")
    return parser


def installed_version() -> str:
    from selfdistill.machine.provenance import code_version

    return code_version()


if __name__ == "__main__":
    main()
