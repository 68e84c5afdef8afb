"""What the steps of a run say together while it is under way, for its progress line and its trackers."""

import math
from typing import Any


class SoFar:
    """The signal's share of the steps up to now, and the share of weights that the last one moved.

    `weighing` is what a micro-batch weighs by in its step: tokens or sequences.
    """

    def __init__(self, weighing: str = "tokens") -> None:
        self.weighing = weighing
        self.pairs = self.pair_weights = self.loudness = 0.0
        self.steps = 0
        self.changed = math.nan

    def add(self, row: dict[str, Any], weights: int) -> None:
        noise = row["noise"]
        big = sum(group[0] for group in noise["step"])
        small = sum(group[0] for micro in noise["micro"] for group in micro)
        self.pairs += row[self.weighing] ** 2 * (big - small)
        self.pair_weights += row[self.weighing] ** 2 - sum(weight**2 for weight in noise[self.weighing])
        self.loudness += big
        self.steps += 1
        self.changed = sum(group[0] for group in row["weights"]) / weights

    def shares(self) -> dict[str, float]:
        if not self.pair_weights or not self.loudness:
            return {"changed_fraction": self.changed}
        signal = self.pairs / self.pair_weights / (self.loudness / self.steps)
        return {"signal_fraction": signal, "changed_fraction": self.changed}
