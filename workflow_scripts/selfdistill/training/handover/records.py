"""The tables and the manifest of a finished run, from its journal of steps."""

import math
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import polars as pl

from selfdistill.machine.provenance import state_of_the_code
from selfdistill.models.digests import model_digest
from selfdistill.models.lineage import lineage_of
from selfdistill.models.origin import read_origin
from selfdistill.tables.practice import UPDATES
from selfdistill.tables.training import COHERENCE, HISTOGRAMS, NOISE, RUN_LOG, WEIGHTS
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.settings import PACKAGES, RunSettings, identity_hash

Rows = list[dict[str, Any]]
WHOLE_STEP = -1  # the micro_batch number under which a step's own gradient is stored


def log_table(rows: Rows, groups: list[str], weights: list[int]) -> pl.DataFrame:
    return pl.DataFrame([{key: row[key] for key in RUN_LOG} for row in rows], schema=RUN_LOG)


def noise_table(rows: Rows, groups: list[str], weights: list[int]) -> pl.DataFrame:
    long = []
    for row in rows:
        noise = row["noise"]
        whole = (WHOLE_STEP, row["tokens"], row["sequences"], noise["step"])
        micro = zip(range(len(noise["micro"])), noise["tokens"], noise["sequences"], noise["micro"], strict=True)
        for number, tokens, sequences, norms in (*micro, whole):
            long += [
                (row["step"], number, group, tokens, sequences, *(_known(norm) for norm in geometries))
                for group, geometries in zip(groups, norms, strict=True)
            ]
    return pl.DataFrame(long, schema=NOISE, orient="row")


def weights_table(rows: Rows, groups: list[str], weights: list[int]) -> pl.DataFrame:
    long = []
    for row in rows:
        since = row["since_start"] or [(None, None)] * len(groups)
        for group, size, moved, way in zip(groups, weights, row["weights"], since, strict=True):
            long.append((row["step"], group, size, int(moved[0]), moved[1], int(moved[2]), *moved[3:], *way))
    return pl.DataFrame(long, schema=WEIGHTS, orient="row")


def histogram_table(rows: Rows, groups: list[str], weights: list[int]) -> pl.DataFrame:
    """`counts` of a row lists what is not zero: group, quantity, biased exponent, number."""
    from selfdistill.training.instruments.path import QUANTITIES

    long = [
        (row["step"], groups[group], QUANTITIES[quantity], exponent - 127 if exponent else None, count)
        for row in rows
        for group, quantity, exponent, count in row["histograms"] or ()
    ]
    return pl.DataFrame(long, schema=HISTOGRAMS, orient="row")


def coherence_table(rows: Rows, groups: list[str], weights: list[int]) -> pl.DataFrame:
    long = [
        (window["first_step"], row["step"], group, distance, path)
        for row in rows
        for window in row["windows"]
        for group, distance, path in zip(groups, window["distance"], window["path"], strict=True)
    ]
    return pl.DataFrame(long, schema=COHERENCE, orient="row")


def updates_table(rows: Rows) -> pl.DataFrame:
    """Of a training on its own answers: what each update showed."""
    return pl.DataFrame([row["update"] | {"peak_bytes": row["device_bytes"]} for row in rows], schema=UPDATES)


MAKERS: dict[str, Callable[[Rows, list[str], list[int]], pl.DataFrame]] = {
    "log.parquet": log_table,
    "noise.parquet": noise_table,
    "weights.parquet": weights_table,
    "histograms.parquet": histogram_table,
    "coherence.parquet": coherence_table,
}


def run_manifest(
    settings: RunSettings,
    identity: dict[str, Any],
    trainer: Any,
    rows: Rows,
    examples: int,
    work: WorkFolder,
    exports: dict[str, int],
) -> dict[str, Any]:
    weights = list(trainer.model.parameters())
    states = [value for state in trainer.optimizer.state.values() for key, value in state.items() if key != "step"]
    return {
        "arm": settings.arm,
        "training_seed": settings.training_seed,
        "settings": settings.model_dump(),
        "settings_hash": identity_hash(identity),
        "versions": {name: version(name) for name in (*PACKAGES, "datasets", "numpy", "polars")},
        "python": sys.version.split()[0],
        "device": trainer.device_name(),
        "dataset_digest": identity["origin"]["dataset"],
        "targets_digest": identity["origin"].get("targets"),  # null: the sampled tokens
        "examples": examples,
        "base_digest": identity["origin"]["model"],
        "base_path": str(trainer.source),
        "base_lineage": lineage_of(trainer.source),
        "base_origin": read_origin(trainer.source).get("sentence"),
        "code": state_of_the_code(),
        "checkpoints": {
            name: {"step": step, "digest": model_digest(work.exports / name)} for name, step in exports.items()
        },
        "tables": work.result.table_digests(exports),
        "parameters": sum(parameter.numel() for parameter in weights),
        "trained_parameters": sum(parameter.numel() for parameter in weights if parameter.requires_grad),
        "steps": len(rows),
        "tokens": sum(row["tokens"] for row in rows),
        "sequences": sum(row["sequences"] for row in rows),
        "seconds": sum(row["seconds"] for row in rows),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
        "peak_device_bytes": max(row["device_bytes"] for row in rows),
        "weights_dtype": sorted({str(parameter.dtype) for parameter in weights}),
        "optimizer_dtype": sorted({str(value.dtype) for value in states if hasattr(value, "dtype")}),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _known(norm: float) -> float | None:
    return None if math.isnan(norm) else norm
