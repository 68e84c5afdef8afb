"""Made-up tables of the probes for a report: numbers are invented, schemas and words are the real ones."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from selfdistill.tables import words
from selfdistill.tables.mechanism import STRIPS
from selfdistill.tables.schema import conform

HOSTILE_TOKENS = [
    "<script>alert(3)</script>", '"><img src=x onerror=alert(4)>', "</span></details>", "&lt;b&gt;", "\u202eevil\u202c",
    "\u200b", "\u2028", "\x00\x1b[31m", "\n\n", " \t", "", "\ufffd", "\u0301", "שלום", "{{7*7}}", "x" * 300, "' onfocus='alert(5)",
]  # fmt: skip
LAWS = {
    words.LOCK: [0.97, 0.02, 0.006, 0.0004, 0.0001],
    words.FORK: [0.45, 0.3, 0.15, 0.05, 0.01],
    words.DIFFUSE: [0.2, 0.1, 0.1, 0.05, 0.05],
    words.MIXED: [0.85, 0.05, 0.02, 0.01, 0.01],
}


def strips(
    tokens: Sequence[str] = (*HOSTILE_TOKENS, *("Then", " 4", "+", "7", "=") * 12), carriers: int = 2
) -> pl.DataFrame:
    """Carriers of these tokens; every class, and a swap at every fork."""
    rows: list[dict[str, Any]] = []
    for carrier in range(carriers):
        writer = "base" if carrier % 2 == 0 else "ssd/seed-0/at-100"
        for position, text in enumerate(tokens):
            token_class = words.TOKEN_CLASSES[position % 4]
            for model in ("base", "ssd/seed-0/at-100"):
                ids = [position, 90, 91, 92, 93]
                if token_class == words.FORK and model != "base":
                    ids = [90, position, 91, 92, 93]
                candidates = [text if number == position else f" c{number}" for number in ids]
                rows.append({
                    "carrier_id": f"c{carrier}", "problem_id": "3fa1", "written_by": writer, "decode_id": "t10",
                    "verdict": "correct", "finish_class": "answered", "position": position, "token_id": position,
                    "token_class": token_class, "text": text, "model_id": model, "candidates": candidates,
                    "candidate_ids": ids, "probabilities": LAWS[token_class], "rank": ids.index(position) + 1,
                    "probability": LAWS[token_class][ids.index(position)],
                })  # fmt: skip
    return conform(pl.DataFrame(rows), STRIPS, "strips")
