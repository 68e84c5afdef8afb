"""The journal of a run's steps: a JSON line each, from which the tables of a finished run are made."""

import json
import os
from pathlib import Path
from typing import Any

from selfdistill.foundation.files import write_text


class StepJournal:
    """One line per finished optimiser step, in order. A torn last line is as if it had never been written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict[str, Any]) -> None:
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]:  # what lacks its line end is torn
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    break
                if row["step"] != len(rows) + 1:
                    break
                rows.append(row)
        return rows

    def cut_after(self, step: int) -> None:
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in self.rows()[:step]))

    def sync(self) -> None:
        if self.path.exists():
            with open(self.path, "rb") as handle:
                os.fsync(handle.fileno())
