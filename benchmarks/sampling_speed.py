"""The torch engine against transformers' `generate`, on the lab workload: same model, law, thread and prompts.

    python benchmarks/sampling_speed.py                  (writes sampling_speed.json and .md beside this file)

`generate` runs static batches of 64, as most scripts do: a batch lasts until its longest completion is over. Useful
tokens are those up to and with the end token. The two take turns in one process, so that the ratio is fair on a noisy
machine; each turn samples prompts of its own.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
import transformers
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.machine.provenance import provenance  # noqa: E402
from selfdistill.models.tokens import end_tokens  # noqa: E402
from selfdistill.sampling.engines.choice import open_engine  # noqa: E402
from selfdistill.sampling.engines.contract import EngineSettings  # noqa: E402
from selfdistill.sampling.requests import Request, request_id, seed_of  # noqa: E402

STUDY = yaml.safe_load((ROOT / "config.yaml").read_text())
MODEL = ROOT / STUDY["model"]["path"]
DECODE = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "presence_penalty": 0.0} | STUDY["decodes"]["t11"]
STATIC_BATCH = 64


def prompts() -> list[list[int]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    lines = (ROOT / "resources/lab/problems/drills.jsonl").read_text().splitlines()
    found = []
    for line in lines:
        text = STUDY["problems"]["prompt"].replace("{problem}", json.loads(line)["problem"])
        encoded: Any = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True
        )
        if len(encoded["input_ids"]) + DECODE["max_tokens"] <= STUDY["model"]["context"]:
            found.append(list(encoded["input_ids"]))
    return found


def engine_turn(batch: int) -> Callable[[list[list[int]], int], list[int]]:
    settings = EngineSettings(
        MODEL, STUDY["sampling"]["precision"], STUDY["model"]["context"], end_tokens(MODEL), batch
    )
    engine = open_engine("torch", settings)

    def turn(ids: list[list[int]], number: int) -> list[int]:
        requests = []
        for place, prompt in enumerate(ids):
            name = request_id("benchmark", "float32", [number, place], {}, 0, "", 0)
            requests.append(Request(name, prompt, seed=seed_of(name), **DECODE))
        return [len(sample.token_ids) for sample in engine.sample(iter(requests))]

    return turn


def generate_turn() -> Callable[[list[list[int]], int], list[int]]:
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    ends = torch.tensor(end_tokens(MODEL))

    def turn(ids: list[list[int]], number: int) -> list[int]:
        torch.manual_seed(number)
        lengths = []
        for begin in range(0, len(ids), STATIC_BATCH):
            batch = ids[begin : begin + STATIC_BATCH]
            longest = max(map(len, batch))
            tokens = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in batch])
            mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in batch])
            with torch.inference_mode():
                out = model.generate(
                    tokens, attention_mask=mask, do_sample=True, temperature=DECODE["temperature"], top_k=DECODE["top_k"],
                    top_p=DECODE["top_p"], max_new_tokens=DECODE["max_tokens"], eos_token_id=ends.tolist(), pad_token_id=0,
                )  # fmt: skip
            for row in out[:, longest:]:
                stops = torch.isin(row, ends).nonzero()
                lengths.append(int(stops[0]) + 1 if len(stops) else int(row.numel()))
        return lengths

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=1024, help="prompts of a turn")
    parser.add_argument("--no-files", action="store_true", help="print only")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    turns = {
        "generate, batches of 64": generate_turn(),
        "engine, batch 64": engine_turn(64),
        "engine, batch 192": engine_turn(192),
    }
    everything = prompts()
    speeds: dict[str, list[float]] = {name: [] for name in turns}
    lengths: list[int] = []
    for number in range(asked.rounds + 1):
        start = number * asked.prompts % (len(everything) - asked.prompts)
        ids = everything[start : start + asked.prompts]
        for name, turn in turns.items():
            began = time.perf_counter()
            lengths = turn(ids, number)
            if number:  # the first round warms up
                speeds[name].append(sum(lengths) / (time.perf_counter() - began))
                print(f"round {number}  {name}: {speeds[name][-1]:,.0f} useful tokens/s", file=sys.stderr, flush=True)
    baseline = speeds["generate, batches of 64"]
    ratios = {
        name: [round(mine / theirs, 2) for mine, theirs in zip(values, baseline, strict=True)]
        for name, values in speeds.items()
        if not name.startswith("generate")
    }
    result = {
        "command": "python benchmarks/sampling_speed.py", "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(), "transformers": transformers.__version__, "prompts_per_turn": asked.prompts,
        "mean_tokens": round(statistics.mean(lengths), 1), "cap": DECODE["max_tokens"],
        "useful_tokens_per_second": {name: [round(value) for value in values] for name, values in speeds.items()},
        "ratios": ratios,
    }  # fmt: skip
    print(json.dumps(ratios))
    if not asked.no_files:
        here = Path(__file__).resolve()
        here.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
        here.with_suffix(".md").write_text(page(result))


def page(result: dict[str, Any]) -> str:
    lines = [
        "# The torch engine against `generate`",
        "",
        f"`{result['command']}` · {result['measured']} · commit {result['commit'][:7]} · {result['machine']} · torch "
        f"{result['versions']['torch']}, transformers {result['transformers']}, one thread",
        "",
        f"{result['prompts_per_turn']} prompts a turn, mean completion {result['mean_tokens']} of at most {result['cap']} "
        "tokens, T 1.1, top-k 20, top-p 0.95, float32. The two took turns in one process.",
        "",
        "| | useful tokens/s, median (range) | ratio to `generate`, median (range) |",
        "|---|---|---|",
    ]
    for name, values in result["useful_tokens_per_second"].items():
        ratios = result["ratios"].get(name)
        shown = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})" if ratios else "1"
        lines.append(f"| {name} | {statistics.median(values):,.0f} ({min(values):,}–{max(values):,}) | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
