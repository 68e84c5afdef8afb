"""Times the statistics of a large study: 20 models × 1,000 problems × 4 draws × 6 decodes, 10,000 resamples, two cores.

    python benchmarks/statistics_speed.py        (writes benchmarks/statistics_speed.md)

Each table is made by a process of its own, as a rule makes it, two at a time. Seconds are those of the whole process, with
its start and its reading; memory is its peak (VmHWM).
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for folder in ("workflow_scripts", "tests"):
    sys.path.insert(0, str(ROOT / folder))

PROBLEMS, DRAWS, TRAININGS, RESAMPLES = 1000, 4, 3, 10_000
DECODES = ["t05", "t07", "t10", "t11", "t13", "t15"]
SQUARE = {
    "ssd": {"decode": "t11", "keep": "finished"},
    "keep-cut": {"decode": "t11", "keep": "everything"},
    "filter-only": {"decode": "plain", "keep": "finished"},
    "fixed-point": {"decode": "plain", "keep": "everything"},
}
ARMS: dict[str, Any] = SQUARE | {
    "ssd-hot": {"decode": "t13", "keep": "finished"},
    "ssd-k5": {"decode": "k5", "keep": "finished"},
    "aa": {"resample": True},
}
EVALUATION: dict[str, Any] = {
    "budgets": {"quick": 300, "full": PROBLEMS},
    "draws": DRAWS,
    "decodes": {"base": DECODES, "final": DECODES, "earlier": []},
    "pass_at": [1, 2],
    "resamples": RESAMPLES,
}
HYPOTHESES: dict[str, Any] = {
    f"{arm}-at-{decode}": {"arm": arm, "comparison": "matched", "decode": decode, "margin": 0.03}
    for arm in ("ssd", "filter-only")
    for decode in ("t07", "t15")
} | {
    "ssd-fair": {"arm": "ssd", "comparison": "fair", "margin": 0.03},
    "ssd-against-its-filter": {"arm": "ssd", "against": "filter-only", "comparison": "fair", "margin": 0.03},
}
# The order in which they are begun; verdicts wait for comparisons.
STEPS = ("comparisons", "levels", "factorial", "verdicts")


def make_graded(path: Path) -> int:
    """Graded answers with the columns that the analysis reads; families of 1–5 problems."""
    import numpy as np
    import polars as pl

    from simulated_studies import World, answers, family_sizes

    random = np.random.default_rng(1)
    families = family_sizes(World(PROBLEMS - 4, families="one to five"), random)
    splits = np.where(random.random(families.max() + 1) < 0.3, "dev", "test")[families]
    models = ["base", "aa"]
    models += [f"{arm}/seed-{seed}/at-100" for arm in ARMS if arm != "aa" for seed in range(TRAININGS)]
    shape = (len(DECODES), PROBLEMS, DRAWS)
    difficulty = random.normal(0.6, 1.5, (1, PROBLEMS))
    frames = []
    for model in models:
        chances = 1 / (1 + np.exp(-(difficulty + random.normal(0, 0.35, shape[:2]))))
        frames.append(answers(model, DECODES, random.random(shape) < chances[:, :, None], families, splits, random))
    graded = pl.concat(frames)
    graded.write_parquet(path)
    return graded.height


def step(name: str, folder: Path) -> None:
    """One table, in this process; prints its rows and its peak of memory in MiB."""
    import polars as pl

    from selfdistill.study.arms import Arm
    from selfdistill.study.evaluation import Evaluation, Hypothesis
    from selfdistill.study.sampling import Decode

    evaluation = Evaluation.model_validate(EVALUATION)
    arms = {arm: Arm.model_validate(fields) for arm, fields in ARMS.items()}
    decodes = {name: Decode(temperature=1.1, top_k=20, max_tokens=2048) for name in (*DECODES, "k5")}
    decodes["plain"] = Decode(temperature=1.0, max_tokens=2048)
    hypotheses = {name: Hypothesis.model_validate(fields) for name, fields in HYPOTHESES.items()}
    graded = pl.read_parquet(folder / "graded.parquet") if name != "verdicts" else pl.DataFrame()
    if name == "levels":
        from selfdistill.analysis.levels import levels

        table = levels(graded, evaluation.budgets, evaluation.pass_at)
    elif name == "comparisons":
        from selfdistill.analysis.comparisons import comparisons

        table = comparisons(graded, evaluation, 1, hypotheses)
    elif name == "factorial":
        from selfdistill.analysis.factorial import factorial

        table = factorial(graded, arms, decodes, evaluation)
    else:
        from selfdistill.analysis.verdicts import verdicts

        table = verdicts(pl.read_parquet(folder / "comparisons.parquet"), hypotheses, arms, decodes)
    table.write_parquet(folder / f"{name}.parquet")
    print(table.height, int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024)


def timed(name: str, folder: Path) -> tuple[float, int, int]:
    """(seconds, rows, peak in MiB) of a step in a process of its own with one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    began = time.monotonic()
    said = subprocess.run(
        [sys.executable, __file__, name, str(folder)], env=os.environ | threads, capture_output=True, text=True
    )
    if said.returncode:
        sys.exit(said.stderr)
    rows, peak = map(int, said.stdout.split())
    return time.monotonic() - began, rows, peak


def page(answers: int, wall: float, found: dict[str, tuple[float, int, int]]) -> str:
    from selfdistill.machine.provenance import provenance

    machine = provenance()
    lines = [
        "# How long the statistics of a large study take",
        "",
        f"`python benchmarks/statistics_speed.py`, {datetime.now(UTC):%Y-%m-%d}, {machine['machine']}, Python "
        f"{machine['python']}, commit {machine['commit'][:10]}.",
        "",
        f"20 models × {PROBLEMS:,} problems (in families of 1–5) × {DRAWS} draws × {len(DECODES)} decodes: {answers:,} answers; "
        f"{RESAMPLES:,} resamples where",
        "something is resampled. Each table is made by a process of its own with one thread, two at a time; verdicts wait for the",
        "comparisons. Goal: 30 s on two cores, 1.5 GB.",
        "",
        f"All of it took **{wall:.1f} s**, and the largest process **{max(peak for *_, peak in found.values()):,} MiB**.",
        "",
        "| table | rows | seconds | peak, MiB |",
        "|---|---|---|---|",
    ]
    lines += [f"| {name} | {rows:,} | {seconds:.1f} | {peak:,} |" for name, (seconds, rows, peak) in found.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    if len(sys.argv) == 3:
        return step(sys.argv[1], Path(sys.argv[2]))
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:
        folder = Path(temporary)
        answers = make_graded(folder / "graded.parquet")
        began = time.monotonic()
        running = {name: pool.submit(timed, name, folder) for name in STEPS[:3]}
        found = {"comparisons": running["comparisons"].result()}
        running["verdicts"] = pool.submit(timed, "verdicts", folder)
        found |= {name: running[name].result() for name in STEPS[1:]}
        wall = time.monotonic() - began
    (ROOT / "benchmarks/statistics_speed.md").write_text(page(answers, wall, found))
    print(page(answers, wall, found))


if __name__ == "__main__":
    main()
