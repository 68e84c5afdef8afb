"""`forklock`: what a person asks of a study beside running it. Snakemake is the engine; this looks, counts and explains.

Each subcommand is a module of this room with three things: `SUMMARY`, one sentence; `arguments`, which says what it takes;
and `run`, which does it and returns the exit status.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from selfdistill.foundation.programs import as_program
from selfdistill.foundation.suggestions import suggested

# In the order in which a person comes to need them.
COMMANDS = ("check", "plan", "rehearse", "status", "diff", "look", "examine")


def main(arguments: Sequence[str] | None = None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_program(lambda: sys.exit(run(given)))


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
