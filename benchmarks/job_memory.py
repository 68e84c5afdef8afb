"""Main memory that `sample`, `train`, `check_export` and `teacher` take on CPUs, beside what their rules ask for.

    python benchmarks/job_memory.py [--model FOLDER …]         (writes job_memory.json and .md beside this file)

Each program runs as its rule runs it, on made tokens: memory depends on how many there are, not on what they say. Every
prompt fills the context but for a few tokens, so that the cache is as full as it can be. The peak is the kernel's own
(ru_maxrss) and hardly depends on how busy the machine is.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.machine.provenance import provenance  # noqa: E402
from selfdistill.models.sizes import size_of  # noqa: E402
from selfdistill.planning.memory import MIB, checking_memory, sampling_memory, teaching_memory, training_memory  # noqa: E402
from selfdistill.study.training import Recipe  # noqa: E402
from selfdistill.tables.sampling import PLAN  # noqa: E402
from selfdistill.tables.training import DATASET  # noqa: E402
from selfdistill.tables.whole import write_table  # noqa: E402

RECIPE: dict[str, Any] = {
    "batch": 4, "lr": 1e-5, "lr_floor": 1e-6, "warmup_steps": 1, "measure_every": 1, "save_every": 1, "checkpoints": [100],
}  # fmt: skip
ENGINE = {"engine": "torch", "dtype": "float32"}
DECODE = {"temperature": 1.1, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "presence_penalty": 0.0}
NEW_TOKENS = 4
REFUSALS = {"teacher": "are not among those that the decode retains"}  # made tokens, at its very end
# Started by a process that is small: what is said of a process is never less than what its parent held when it began.
LAUNCHER = """
import json, os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, used = os.wait4(child.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss]))
"""


def peak_of(command: list[str], refuses: str = "") -> int:
    """Peak resident memory of a program, in bytes; `refuses` is the complaint that it may end with."""
    run = subprocess.run(
        [sys.executable, "-c", LAUNCHER, sys.executable, *command],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True, capture_output=True,
    )  # fmt: skip
    code, kilobytes = json.loads(run.stdout.splitlines()[-1])
    if code and not (refuses and refuses in run.stderr):
        sys.exit(f"{' '.join(command)}\n{run.stderr[-2000:]}")
    return int(kilobytes) * 1024


def tokens(count: int, seed: int) -> list[int]:
    return random.Random(seed).choices(range(20, 200), k=count)


def write_plan(file: Path, requests: int, context: int) -> None:
    rows = [
        {"request_id": f"{seed:016x}", "model_id": "base", "problem_id": "p", "purpose": "eval", "decode_id": "d", "draw": 0,
         "seed": seed + 1, "shard": 0, "prompt_ids": tokens(context - NEW_TOKENS, seed), "max_tokens": NEW_TOKENS} | DECODE
        for seed in range(requests)
    ]  # fmt: skip
    write_table(pl.DataFrame(rows, schema=PLAN), file, PLAN)


def write_dataset(file: Path, examples: int, context: int) -> None:
    made = dict.fromkeys(DATASET)
    rows = [
        made | {"request_id": f"{seed:016x}", "prompt_ids": tokens(context // 4, seed),
                "completion_ids": tokens(context - context // 4 - 1, -seed - 1)}
        for seed in range(examples)
    ]  # fmt: skip
    write_table(pl.DataFrame(rows, schema=DATASET), file, DATASET)


def measured(
    model: Path, context: int, batch: int, micro_batch: int, folder: Path, called: str, programs: list[str]
) -> list[dict[str, Any]]:
    """One row a program: what it took, and what its rule asks for."""
    size = size_of(model)
    assert size is not None
    recipe = RECIPE | {"micro_batch": micro_batch, "batch": 2 * micro_batch}
    plan, dataset, run = folder / "plan.parquet", folder / "dataset.parquet", folder / "run"
    write_plan(plan, batch, context)
    write_dataset(dataset, 2 * recipe["batch"], context)
    engine = json.dumps(ENGINE | {"context": context})
    training = {"training": recipe, "study_seed": 1, "training_seed": 0, "arm": "a", "context": context}
    commands = {
        "sample": ["sample.py", "--plan", plan, "--model", model, "--shard", 0, "--journal", folder / "journal",
                   "--output", folder / "shard.parquet", "--settings", engine, "--batch", batch],
        "train": ["train.py", "--model", model, "--dataset", dataset, "--settings", json.dumps(training), "--out", run,
                  "--work", folder / "work"],
        "check_export": ["check_export.py", "--checkpoints", run / "at-100", "--manifest", run / "manifest.json", "--output",
                         folder / "check.json", "--settings", engine, "--batch", batch],
        "teacher": ["teacher.py", "--model", model, "--dataset", dataset, "--decode", json.dumps(DECODE | {"max_tokens": context}),
                    "--out", folder / "targets.parquet", "--summary", folder / "targets.json"],
    }  # fmt: skip
    asked = {
        "sample": sampling_memory(size, batch, context, "float32"),
        "train": training_memory(size, Recipe.model_validate(recipe), context),
        "check_export": checking_memory(size, batch, context, "float32"),
        "teacher": teaching_memory(size, context),
    }
    rows = []
    for name, command in ((name, commands[name]) for name in programs):
        program, *arguments = command
        peak = peak_of([f"workflow_scripts/{program}", *map(str, arguments)], REFUSALS.get(name, ""))
        rows.append(
            {"program": name, "model": called, "context": context,
             "batch": micro_batch if name == "train" else 1 if name == "teacher" else batch,
             "measured_mib": round(peak / MIB), "asked_mib": round(asked[name] / MIB)}
        )  # fmt: skip
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lab = yaml.safe_load((ROOT / "config.yaml").read_text())["model"]["path"]
    parser.add_argument("--model", type=Path, nargs="+", default=[Path(lab)], help="model folders")
    parser.add_argument("--sizes", nargs="+", default=["256,16,1", "512,32,2"], help="context,batch,micro-batch")
    parser.add_argument("--programs", nargs="+", default=["sample", "train", "check_export", "teacher"])
    parser.add_argument("--names", nargs="+", help="of the models, for the table")
    parser.add_argument("--no-files", action="store_true", help="print only")
    asked = parser.parse_args()
    rows = []
    for model, name in zip(asked.model, asked.names or [each.name for each in asked.model], strict=True):
        for size in asked.sizes:
            context, batch, micro_batch = map(int, size.split(","))
            with tempfile.TemporaryDirectory() as folder:
                rows += measured(model, context, batch, micro_batch, Path(folder), name, asked.programs)
    result = {
        "command": f"python benchmarks/job_memory.py --sizes {' '.join(asked.sizes)} --model FOLDER …",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"), **provenance(), "rows": rows,
    }  # fmt: skip
    print(page(result))
    if not asked.no_files:
        here = Path(__file__).resolve()
        here.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
        here.with_suffix(".md").write_text(page(result))


def page(result: dict[str, Any]) -> str:
    lines = [
        "# Main memory of a job on CPUs",
        "",
        f"`{result['command']}` · {result['measured']} · commit {result['commit'][:7]} · {result['machine']} · torch "
        f"{result['versions']['torch']}, float32, one thread",
        "",
        "What each program took at its peak, and what is asked for it (`planning/memory.py`); its rule asks for 400 MiB more, for "
        "the Snakemake that starts it on a cluster. Contexts are full. The batch of "
        f"`train` is its micro-batch. {result.get('note', '')}".strip(),
        "",
        "| program | model | context | batch | took, MiB | asked for, MiB | to spare |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        spare = row["asked_mib"] / row["measured_mib"] - 1
        lines.append(
            f"| `{row['program']}` | {row['model']} | {row['context']} | {row['batch']} | {row['measured_mib']:,} | "
            f"{row['asked_mib']:,} | {spare:.0%} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
