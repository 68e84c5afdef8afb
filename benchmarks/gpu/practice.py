"""Practice on a GPU: how long answering and learning take, how much memory, and whether a kill costs anything.

python benchmarks/gpu/practice.py MODEL OUT.json --questions 8 --rollouts 8 --tokens 4096 --method distil --gpus 1
    [--lora] [--engine vllm] [--turns together] [--generations 1] [--kill answering|learning] [--context 8192]

MODEL is a folder, or a shape of random_inputs.py, whose weights are made at random. With --kill the program is killed
(SIGKILL) in its last generation, once a rollout is journalled or once the generation lies whole and its updates are under
way, and started again. With `--told nothing` a frozen teacher reads what the student reads: before the first update the
divergence between them must be that of rounding.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow_scripts"))
sys.path.insert(0, str(ROOT / "benchmarks/gpu"))

from random_inputs import PROMPT, SHAPES, make_model, make_questions  # noqa: E402


def settings(asked: argparse.Namespace) -> dict[str, Any]:
    training = {
        "batch": 1, "micro_batch": asked.micro_batch, "lr": asked.lr, "lr_floor": asked.lr, "schedule": "constant", "warmup_steps": 0,
        "beta2": 0.999, "weight_decay": 0.01, "checkpoints": [100], "compile": asked.compile, "activations": asked.activations,
    }  # fmt: skip
    if asked.lora:
        training["lora"] = {"rank": 64, "alpha": 128}
    practice = {
        "generations": asked.generations, "questions": asked.questions, "rollouts": asked.rollouts, "updates": asked.updates,
        "turns": asked.turns, "base_kl": asked.base_kl,
    }  # fmt: skip
    told = {"wording": "unguided"} if asked.told == "nothing" else {"wording": "sdpo", "solution": asked.told}
    teacher = told if asked.method == "distil" else None
    return {
        "training": training, "study_seed": 1, "training_seed": 0, "arm": asked.method, "context": asked.context,
        "device": asked.device, "processes": asked.gpus, "method": asked.method, "practice": practice,
        "decode": {"temperature": 1.0, "max_tokens": asked.tokens},
        "sampling": {"engine": asked.engine, "precision": asked.precision, "batch": asked.batch, "gpus": int(asked.device == "cuda")},
        "grading": {}, "prompt": PROMPT, "teacher": teacher,
    }  # fmt: skip


def command(asked: argparse.Namespace, model: Path, folder: Path) -> list[str]:
    return [
        sys.executable, str(ROOT / "workflow_scripts/practice.py"), "--model", str(model),
        "--questions", str(folder / "questions.parquet"), "--out", str(folder / "run"), "--work", str(folder / "run/work"),
        "--settings", json.dumps(settings(asked)),
    ]  # fmt: skip


def run(asked: argparse.Namespace, model: Path, folder: Path) -> dict[str, Any]:
    make_questions(asked.questions, model, folder / "questions.parquet")
    began, killed = time.monotonic(), None
    if asked.kill:
        killed = killed_once(asked, model, folder)
    with open(folder / "log", "a") as log:
        status = subprocess.run(command(asked, model, folder), stderr=log, stdout=log).returncode
    seconds = time.monotonic() - began
    said = (folder / "log").read_text()[-2500:]
    if status:
        return {"status": status, "seconds": seconds, "said": said}
    rollouts = pl.read_parquet(folder / "run/rollouts.parquet")
    updates = pl.read_parquet(folder / "run/updates.parquet")
    log_table = pl.read_parquet(folder / "run/log.parquet")
    manifest = json.loads((folder / "run/manifest.json").read_text())
    journalled = journal_rows(folder)
    return {
        "asked": vars(asked) | {"out": str(asked.out)},
        "seconds": seconds,
        "killed": killed,
        "rollouts": rollouts.height,
        "requests": rollouts["request_id"].n_unique(),
        "journalled": len(journalled),
        "journalled_twice": len(journalled) - len(set(journalled)),
        "tokens": int(rollouts["n_tokens"].sum()),
        "reward": float(rollouts["reward"].mean()),  # type: ignore[arg-type]
        "updates": updates.to_dicts(),
        "log": log_table.to_dicts(),
        "digests": {name: made["digest"] for name, made in manifest["checkpoints"].items()},
        "peak_device_gib": manifest["peak_device_bytes"] / 2**30,
        "said": said,
    }


def killed_once(asked: argparse.Namespace, model: Path, folder: Path) -> dict[str, Any]:
    """What stood in the journal when the program was killed, itself and all that it had started."""
    with open(folder / "log", "a") as log:
        program = subprocess.Popen(command(asked, model, folder), stderr=log, stdout=log, start_new_session=True)
    while program.poll() is None and not due(asked, folder):
        time.sleep(0.2)
    if asked.kill == "learning":
        time.sleep(asked.kill_after)
    if program.poll() is None:
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    return {"journalled": len(journal_rows(folder)), "status": program.returncode}


def due(asked: argparse.Namespace, folder: Path) -> bool:
    last = f"{asked.generations:04d}"
    if asked.kill == "learning":
        return any(folder.rglob(f"generations/{last}.parquet"))
    return any(len(journal_lines(path)) >= 3 for path in folder.rglob("*.jsonl") if last in str(path.parent))


def journal_lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").split("\n")[:-1] if path.exists() else []


def journal_rows(folder: Path) -> list[str]:
    """The request of every rollout that any journal holds, as often as one does."""
    found = []
    for path in folder.rglob("*-rollouts/**/journal-*/*"):
        if path.suffix == ".parquet":
            found += pl.read_parquet(path, columns=["request_id"])["request_id"].to_list()
        elif path.suffix == ".jsonl" and not path.with_suffix(".parquet").exists():
            found += [
                line.split('"request_id":', 1)[-1].split('"')[1] for line in journal_lines(path) if "request_id" in line
            ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    for name, usual in {"questions": 8, "rollouts": 8, "updates": 2, "generations": 1, "tokens": 4096, "context": 8192, "gpus": 1, "micro-batch": 1, "batch": 64}.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--method", default="distil", choices=("grpo", "distil"))
    parser.add_argument("--told", default="dataset", choices=("dataset", "sibling", "nothing"))
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--turns", default="together")
    parser.add_argument("--activations", default="auto")
    parser.add_argument("--lr", type=float, default=1e-5)
    parser.add_argument("--kill", choices=("answering", "learning"))
    parser.add_argument("--kill-after", type=float, default=1.0)
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--base-kl", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(asked.model)
        if asked.model in SHAPES:
            model = Path(os.environ.get("MODELS", folder)) / asked.model
            if not (model / "config.json").exists():
                make_model(asked.model, model)
        found = run(asked, model.resolve(), Path(folder))
    asked.out.write_text(json.dumps(found, indent=1, default=str) + "\n")
    print(json.dumps({key: value for key, value in found.items() if key not in ("log", "asked")}, default=str)[:6000])


if __name__ == "__main__":
    main()
