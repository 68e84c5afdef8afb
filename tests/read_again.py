"""A planted disagreement of readers, for the page and the tests of it."""

import polars as pl

from selfdistill.mechanism.where import where
from selfdistill.tables.mechanism import DISAGREEMENTS


def disagreement(said: str = "4") -> dict[str, pl.DataFrame]:
    """Each of twenty texts has one "Perhaps" of 3 nats on average, and six tokens that add up to 1."""
    rows = [
        {"reader": reader, "carrier_id": f"c{text}", "position": place, "token_id": 0, "family": f"f{text}", "piece": word,
         "word": word.strip().lower(), "first": True, "marker": marker, "first_of_marker": marker is not None, "kl": kl, "rest": 0.0}
        for reader in ("base/in-guided", "ssd/seed-0/at-100")
        for text in range(20)
        for place, (word, marker, kl) in enumerate(
            [("Perhaps", "perhaps", 2.0 + 2 * (text % 2)), *[(f" {said}", None, (1 + text % 3 / 10) / 6)] * 6]
        )
    ]  # fmt: skip
    return {"context_kl": where(pl.DataFrame(rows, schema=DISAGREEMENTS), ["perhaps", "wait"], 5)}
