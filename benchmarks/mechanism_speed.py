"""How long the tables of the mechanism take for 100,000 probed positions, and how much memory.

    python benchmarks/mechanism_speed.py        (a minute; writes benchmarks/mechanism_speed.md)

50,000 and 100,000 positions of 250 families are probed with the base and one trained model: laws of 256 tokens out of 150,000. Each measurement is a process of its own, with one thread.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("workflow_scripts", "resources", "tests")]

TOKENS, KEPT, FAMILIES = 150_000, 256, 250
GOAL_SECONDS, GOAL_MIB = 20, 1024


def write(folder: Path, positions: int) -> None:
    """Laws that fall off as a power of the rank, a trained model's with noise; its ids partly others."""
    import numpy as np
    import polars as pl

    from selfdistill.tables.mechanism import DISTRIBUTIONS
    from selfdistill.tables.whole import write_table

    rng = np.random.default_rng(1)
    ids = np.stack([rng.choice(TOKENS, KEPT, replace=False) for _ in range(1000)])[rng.integers(0, 1000, positions)]
    power = rng.uniform(1.2, 4, positions)
    fall = -power[:, None] * np.log(np.arange(1, KEPT + 1))
    for model in ("base", "ssd/seed-0/at-100"):
        logits = fall + (0 if model == "base" else rng.normal(0, 0.1, fall.shape))
        order = np.argsort(-logits, axis=1)
        log_p = np.take_along_axis(logits, order, 1)
        log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True)) + 0.001
        frame = pl.DataFrame({
            "probe_id": [f"p{at}" for at in range(positions)], "model_id": model,
            "ids": pl.Series(np.take_along_axis(ids, order, 1).astype("int32")).arr.to_list(),
            "logprobs": pl.Series(log_p.astype("float32")).arr.to_list(),
            "log_sum_exp": 0.0, "entropy": -(np.exp(log_p) * log_p).sum(-1), "rank": 1, "logprob": -1.0,
            "engine": "made up", "engine_version": "1",
        })  # fmt: skip
        path = folder / f"{model}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(frame, path, DISTRIBUTIONS)


def analyse(folder: Path, positions: int) -> dict[str, float]:
    import numpy as np

    from planted_laws import ARMS, DECODES, texts
    from selfdistill.mechanism.tabulate import tabulated, token_classes
    from selfdistill.study.mechanism import Mechanism
    from selfdistill.study.sampling import Decode

    decodes = DECODES | {
        f"t{t}": Decode(temperature=t / 10, top_k=20, top_p=0.95, max_tokens=64) for t in (5, 7, 10, 15)
    }
    plan, carriers = texts(np.arange(positions) * FAMILIES // positions)
    probes = {name: folder / f"{name}.parquet" for name in ("base", "ssd/seed-0/at-100")}
    began, worked = time.monotonic(), time.process_time()
    classes = token_classes(plan, carriers, probes["base"], decodes["hot"], Mechanism(decode="hot").classes)
    tables = tabulated(classes, probes, Mechanism(decode="hot"), decodes, ARMS, ["t5", "t7", "t10", "t15"], set())
    return {
        "cpu": round(time.process_time() - worked, 1),
        "wall": round(time.monotonic() - began, 1),
        "rows": sum(table.height for table in tables),
        "peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def alone(part: str, folder: str, positions: int) -> str:
    threads = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, __file__, part, folder, str(positions)]
    return subprocess.run(command, env={**os.environ, **threads}, check=True, capture_output=True, text=True).stdout


def main() -> None:
    if len(sys.argv) > 1:
        part, folder, positions = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
        if part == "analyse":
            print(json.dumps(analyse(folder, positions)))
        else:
            write(folder, positions)
        return
    rows = []
    for positions in (50_000, 100_000):
        with tempfile.TemporaryDirectory() as temporary:
            alone("write", temporary, positions)
            rows.append({"positions": positions, **json.loads(alone("analyse", temporary, positions))})
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    page = f"""# How long the tables of the mechanism take

`python benchmarks/mechanism_speed.py`, {datetime.now(UTC):%Y-%m-%d}, Linux x86_64, one thread, commit {commit.stdout.strip()}.

Positions of {FAMILIES} families, probed with the base and one trained model; laws of {KEPT} tokens out of {TOKENS:,}; five decodes
and five temperatures; all tables but those of depth. CPU seconds are those of a machine by itself. Goal for 100,000: {GOAL_SECONDS} s and {GOAL_MIB:,} MiB.

| positions | CPU, s | wall, s | rows | peak, MiB |
|---|---|---|---|---|
""" + "".join(
        f"| {row['positions']:,} | {row['cpu']} | {row['wall']} | {row['rows']:,} | {row['peak']:,} |\n" for row in rows
    )
    (ROOT / "benchmarks/mechanism_speed.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
