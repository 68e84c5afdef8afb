"""What samplers are asked for: the shares of a generation's plan, and where they lie."""

from dataclasses import dataclass
from pathlib import Path

PLAN_FILE = "plan.parquet"


@dataclass(frozen=True)
class Share:
    """A rank's share of a generation; `folder` is the generation's own, beside the work folder."""

    folder: Path
    model: Path  # the policy
    shard: int

    @property
    def plan(self) -> Path:
        return self.folder / PLAN_FILE

    @property
    def journal(self) -> Path:
        return self.folder / f"journal-{self.shard}"

    @property
    def sealed(self) -> Path:
        return self.folder / f"shard-{self.shard}.parquet"
