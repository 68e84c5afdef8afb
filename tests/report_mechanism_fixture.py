"""Made-up tables of the probes for a report: numbers are invented, schemas and words are the real ones."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import polars as pl

from selfdistill.tables import words
from selfdistill.tables.mechanism import BRANCHES, CURVES, DEPTH, MECHANISM, SSD_FIT, STRIPS
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


TRAINED = {"ssd": 2, "keep-cut": 1, "filter-only": 1, "fixed-point": 1}
NULL = "fixed-point"
TARGET = "ssd"  # the decode of that name
POSITIONS = {words.EVERY_CLASS: 2666, words.LOCK: 2005, words.FORK: 650, words.DIFFUSE: 0, words.MIXED: 11,
             words.STRICT_LOCK: 1964, words.SWAPPED_LOCK: 0, words.SELF_CORRECTION: 41}  # fmt: skip
LEAST = 30
TOP = {words.EVERY_CLASS: 0.888, words.LOCK: 0.998, words.FORK: 0.548}


def counted(token_class: str, value: float, half: float, seeds: int = 1) -> dict[str, Any]:
    """An estimate with its interval, or none where too few positions are there."""
    positions = POSITIONS[token_class]
    row = {"estimate": value, "positions": positions, "n": min(67, positions)}
    if positions < LEAST:
        nothing = {"estimate": None} if positions == 0 else {}
        return row | {"low": None, "high": None, "method": words.too_few_positions(positions, LEAST)} | nothing
    claim = words.METHOD if seeds > 1 else words.CHECKPOINTS
    return row | {"low": value - half, "high": value + half, "method": f"{words.T}, {claim}"}


def compared(arm: str, token_class: str, carriers: str = words.BY_ALL, kind: str = words.EVERY_KIND) -> dict[str, Any]:
    return {
        "arm": arm,
        "training_seeds": TRAINED.get(arm, 0),
        "carriers": carriers,
        "token_class": token_class,
        "position_kind": kind,
    }


def mechanism() -> pl.DataFrame:
    before = [words.TOP_PROBABILITY, words.ENTROPY, words.SWAPS]
    under = [
        words.KEPT_MASS,
        words.NUCLEUS_SIZE,
        words.ENTROPY_BEFORE,
        words.ENTROPY_AFTER,
        words.TAIL_MASS,
        *words.LOSS_TERMS,
    ]
    measures = [(name, None) for name in before] + [(name, decode) for name in under for decode in (TARGET, "t10")]
    rows: list[dict[str, Any]] = []
    for (place, (arm, seeds)), token_class in product(enumerate(TRAINED.items()), POSITIONS):
        for step, (measure, decode) in enumerate(measures):
            value, beyond = 0.01 - 0.003 * place + 0.001 * step, arm != NULL
            found = counted(token_class, value, 0.004, seeds)
            level = TOP.get(token_class, 0.9) if found["estimate"] is not None else None
            nulls = {"beyond_null": value - 0.002, "beyond_null_low": value - 0.007, "beyond_null_high": value + 0.003}
            rows.append(dict.fromkeys(MECHANISM) | compared(arm, token_class) | found | {
                "measure": measure, "decode_id": decode, "temperature": None if decode is None else 1.1, "base": level,
                "trained": None if level is None else level + value, "null": NULL if beyond else None,
                **(nulls if beyond and found["low"] is not None else {}),
            })  # fmt: skip
    for arm, (measure, token_class) in product(("aa", "ssd"), [
        (words.TOP_PROBABILITY, words.EVERY_CLASS), (words.ENTROPY, words.EVERY_CLASS),
        *((words.CLASS_SHARE, name) for name in words.TOKEN_CLASSES),
    ]):  # fmt: skip
        found = counted(words.EVERY_CLASS, 0.004, 0.009)
        rows.append(
            dict.fromkeys(MECHANISM) | compared(arm, token_class, words.BETWEEN_TEXTS) | found | {"measure": measure}
        )
    return conform(pl.DataFrame(rows, schema=MECHANISM), MECHANISM, "mechanism")


FITS = {words.FIT_RATIO: 0.31, words.FIT_OF_SUPPORT: 0.4, words.FIT_WITHIN: 0.2, words.ALIGNMENT: 0.5, words.PROJECTION: 0.3,
        words.MOVEMENT: 0.0004, words.REMAINDER: 0.6, words.REMAINDER_HERE: 0.8, words.DISTANCE_OF_BASE: 0.003}  # fmt: skip


def ssd_fit() -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    places = [(words.BY_ALL, words.EVERY_KIND), (words.BY_THE_BASE, words.EVERY_KIND), (words.BY_ALL, words.LINE_START)]
    for (place, (arm, seeds)), token_class, (carriers, kind) in product(enumerate(TRAINED.items()), POSITIONS, places):
        of_class = {words.LOCK: 0.13, words.STRICT_LOCK: 0.15}.get(token_class, 1.0)
        for measure, value in FITS.items() | ({(words.FIT_BEYOND_NULL, 0.25)} if arm != NULL else set()):
            found = counted(token_class, value * of_class * (1 - 0.3 * place), 0.1 * value, seeds)
            rows.append(compared(arm, token_class, carriers, kind) | found | {"measure": measure, "decode_id": TARGET})
        if token_class == words.EVERY_CLASS and arm in ("filter-only", NULL):
            nothing = {"measure": words.FIT_RATIO, "decode_id": "plain", "estimate": None, "low": None, "high": None,
                       "method": words.TARGET_IS_BASE, "positions": 0, "n": 0}  # fmt: skip
            rows.append(compared(arm, token_class) | nothing)
    order = ["arm", "token_class", "carriers", "position_kind", "measure"]
    return conform(pl.DataFrame(rows, schema=SSD_FIT).sort(order, maintain_order=True), SSD_FIT, "fit")


def curves() -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    shapes: dict[str, list[tuple[float, float]]] = {
        words.MASS_BY_RANK: [(1, 0.9), (2, 0.96), (10, 0.99), (60, 0.9999)],
        words.SURVIVORS_BY_TEMPERATURE: [(0.4, 1.2), (1.0, 1.6), (2.0, 5.1)],
        words.ENTROPY_BY_TEMPERATURE: [(0.4, 0.1), (1.0, 0.25), (2.0, 0.5)],
    }
    for arm, token_class, (name, points) in product(TRAINED, (words.EVERY_CLASS, *words.TOKEN_CLASSES), shapes.items()):
        for model, (x, value) in product(("base", arm), points):
            decode = None if name == words.MASS_BY_RANK else "t10"
            told = {"curve": name, "model": model, "decode_id": decode, "x": x}
            rows.append(compared(arm, token_class) | told | counted(token_class, value, 0.01 * value))
    return conform(pl.DataFrame(rows, schema=CURVES), CURVES, "curves")


def depth() -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for model in ("base", "ssd/seed-0/at-100"):
        told = {"model_id": model, "carriers": words.BY_ALL, "position_kind": words.EVERY_KIND}
        auroc = counted(words.EVERY_CLASS, 0.81, 0.03)
        rows.append(told | auroc | {"token_class": words.EVERY_CLASS, "measure": words.DEPTH_AUROC})
        for place, token_class in enumerate(words.TOKEN_CLASSES):
            found = counted(token_class, 0.4 + 0.1 * place, 0.02)
            rows.append(told | found | {"token_class": token_class, "measure": words.MEAN_DEPTH})
    return conform(pl.DataFrame(rows, schema=DEPTH), DEPTH, "depth")


def branches() -> pl.DataFrame:
    """Losses of two batches, and the line through what each needs."""
    of_orders = {"low": 0.9, "high": 1.1, "method": words.T_OVER_ORDERS, "n": 3}
    rows: list[dict[str, Any]] = [
        {"estimand": words.HELD_OUT_LOSS, "batch": batch, "examples": examples, "estimate": 1.0 - examples / 1000}
        | of_orders
        for batch, examples in product((8, 32), (0, 256, 512))
    ]
    rows += [
        {"estimand": words.EXAMPLES_TO_TARGET, "batch": batch, "estimate": 300.0 + batch} | of_orders
        for batch in (8, 32)
    ]
    least = {words.STEPS_LEAST: 1.0, words.EXAMPLES_LEAST: 300.0, words.CRITICAL_BATCH: 300.0}
    rows += [{"estimand": name, "estimate": value} | of_orders for name, value in least.items()]
    return conform(pl.DataFrame(rows, schema=BRANCHES), BRANCHES, "branches")


def tables() -> dict[str, pl.DataFrame]:
    return {"mechanism": mechanism(), "ssd_fit": ssd_fit(), "curves": curves(), "depth": depth(), "strips": strips(),
            "branches": branches()}  # fmt: skip
