"""A Snakemake that has imported what it always imports, and forks for each command: for dry runs, which are many.

Half of a dry run is Snakemake's own imports. Nothing of the workflow is imported here: a fork reads the clone's own.
In: a line of JSON for each command, with its arguments, folder, environment and the file for what it says. Out: its status.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def serve() -> None:
    from snakemake import cli

    cli.get_argument_parser()  # imports the plugins
    for module in ("numpy", "polars", "pydantic", "docutils.core", "nbformat", "requests", "smart_open"):
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        said = os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(said, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = asked["command"]
        cli.main()  # exits
        os._exit(70)


class ReadySnakemake:
    """It starts with the first command, and ends with the process that asks."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.server: subprocess.Popen[str] | None = None

    def run(self, command: list[str], folder: Path) -> tuple[int, str]:
        """Status, and what was said on both streams."""
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, __file__],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.server.stdin and self.server.stdout
        with tempfile.NamedTemporaryFile() as said:
            asked = {"command": command, "folder": str(folder), "environment": self.environment, "said": said.name}
            print(json.dumps(asked), file=self.server.stdin, flush=True)
            status = int(self.server.stdout.readline())
            return status, Path(said.name).read_text(errors="replace")


if __name__ == "__main__":
    serve()
