"""A training step of ours against stock TRL, with and without the instruments: seconds, tokens/s, memory by length.

    python benchmarks/training_speed.py                          (the lab model on a CPU; writes training_speed.json, .md)
    python benchmarks/training_speed.py --model DIR --device cuda --lengths 8192 32768 --batch 1 --micro-batch 1 \\
        --activations recompute recompute-all-but-attention --out DIR/qwen3-4b   (any folder with a model)

Each way of training is a process of its own that starts afresh, so that its peak memory is its own; the ways take
turns. Within a process of ours, steps with and without the instruments alternate: their ratio is of neighbours. Rows
are random tokens, all but the first supervised. MFU counts 6·N·S and causal attention, not what is computed twice.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.update(
    OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"), HF_HUB_OFFLINE="1", TRL_EXPERIMENTAL_SILENCE="1"
)
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

import numpy as np
import polars as pl
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.tables.training import DATASET  # noqa: E402
from selfdistill.training.handover.checkpoints import WorkFolder  # noqa: E402
from selfdistill.training.run import build_trainer  # noqa: E402
from selfdistill.training.settings import RunSettings  # noqa: E402

PEAK_FLOPS = 790e12  # bf16 on an H200, as its own GEMMs reach


def rows(asked: argparse.Namespace, vocabulary: int) -> pl.DataFrame:
    """Every length takes its steps in a row; all rows of a step are as long."""
    random = np.random.default_rng(0)
    made = []
    for length in asked.lengths:
        for number in range(asked.steps * asked.batch):
            tokens = random.integers(5, vocabulary, length).tolist()
            made.append(
                (f"{length}-{number}", "samples", "p", tokens[:1], tokens[1:], "answered", "correct", length - 1)
            )
    return pl.DataFrame(made, schema=DATASET, orient="row")


def sync() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(trainer: Any, asked: argparse.Namespace, toggle: bool) -> list[dict[str, Any]]:
    """One row per step. With `toggle`, the instruments rest in every other step."""
    from transformers import TrainerCallback

    steps: list[dict[str, Any]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.instruments = not toggle or state.global_step % 2 == 1
            self.dear = False
            if toggle:
                (wake if self.instruments else rest)(trainer)
                self.dear = trainer.measures_now(state.global_step + 1)
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            sync()
            self.started = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            sync()
            number = state.global_step - 1
            length = asked.lengths[number // asked.steps]
            steps.append({
                "length": length, "seconds": time.perf_counter() - self.started, "first": number % asked.steps < 2,
                "instruments": self.instruments, "dear": self.dear, "bytes": peak(), "tokens": asked.batch * length,
            })  # fmt: skip
            print(json.dumps(steps[-1]), file=sys.stderr, flush=True)

    trainer.callback_handler.callbacks.insert(0, Clock())
    trainer.train()
    return steps


def rest(trainer: Any) -> None:
    """No norms, no views, no sums: what training costs without looking."""
    nothing = torch.zeros((), dtype=torch.float64, device=trainer.args.device)
    trainer.gradients._norms = lambda gradient, parameter: nothing
    trainer.weights_meter.before_step = lambda: None
    trainer.weights_meter.after_step = lambda optimizer: torch.zeros(1, 6)
    trainer.measures_now = lambda step: False
    trainer.path_meter.after_step = lambda step: []


def wake(trainer: Any) -> None:
    for holder, names in (
        (trainer.gradients, ("_norms",)),
        (trainer.weights_meter, ("before_step", "after_step")),
        (trainer, ("measures_now",)),
        (trainer.path_meter, ("after_step",)),
    ):
        for name in names:
            vars(holder).pop(name, None)


def worker(asked: argparse.Namespace) -> dict[str, Any]:
    import transformers

    config = transformers.AutoConfig.from_pretrained(asked.model).get_text_config()
    data = rows(asked, config.vocab_size)
    cuda = asked.device == "cuda"
    with tempfile.TemporaryDirectory() as folder:
        if asked.worker == "stock":
            trainer = stock_trainer(asked, data, Path(folder))
        else:
            activations, _, extra = asked.worker.partition("+")
            recipe = {
                "batch": asked.batch, "micro_batch": asked.micro_batch, "lr": 5e-6, "lr_floor": 5e-6, "warmup_steps": 0,
                "activations": activations, "compile": extra == "compile", "save_every": 10**6,
                "measure_every": asked.measure_every,
            }  # fmt: skip
            settings = RunSettings.model_validate({
                "training": recipe, "study_seed": 0, "training_seed": 0, "arm": "benchmark", "device": asked.device,
                "context": max(asked.lengths), "threads": 1,
            })  # fmt: skip
            work = WorkFolder(Path(folder))
            steps = len(asked.lengths) * asked.steps
            trainer = build_trainer(Path(asked.model), data, settings, work, {}, steps, lambda: False)
        parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
        layers = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
        steps_taken = timed(trainer, asked, toggle=asked.worker != "stock")
    return {
        "way": asked.worker,
        "steps": steps_taken,
        "parameters": parameters,
        "attention": config.num_attention_heads * config.head_dim * layers.count("full_attention"),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "versions": {name: __import__(name).__version__ for name in ("torch", "transformers", "trl")},
    }


def stock_trainer(asked: argparse.Namespace, data: pl.DataFrame, folder: Path) -> Any:
    """SFTTrainer as its documentation has it, made to train on the same tokens in the same precision."""
    import datasets
    import transformers
    from trl import SFTConfig, SFTTrainer

    from selfdistill.training.examples.rows import token_rows
    from selfdistill.training.trainer.model import load_model

    cuda = asked.device == "cuda"
    config = SFTConfig(
        output_dir=str(folder), per_device_train_batch_size=asked.micro_batch, max_length=None, report_to="none",
        gradient_accumulation_steps=asked.batch // asked.micro_batch, bf16=cuda, use_cpu=not cuda, save_strategy="no",
        gradient_checkpointing=cuda, gradient_checkpointing_kwargs={"use_reentrant": False}, disable_tqdm=True,
        learning_rate=5e-6, lr_scheduler_type="constant", optim="adamw_torch_fused" if cuda else "adamw_torch",
        dataset_kwargs={"skip_prepare_dataset": True}, train_sampling_strategy="sequential", num_train_epochs=1,
    )  # fmt: skip
    return SFTTrainer(
        model=load_model(Path(asked.model)),
        args=config,
        train_dataset=datasets.Dataset.from_dict(token_rows(data)),
        processing_class=transformers.AutoTokenizer.from_pretrained(asked.model),
    )


def summary(found: list[dict[str, Any]], asked: argparse.Namespace) -> list[dict[str, Any]]:
    """A line per way and length: medians over steps of all turns, the first two of a length left out."""
    lines = []
    for length in asked.lengths:
        ways = list(dict.fromkeys(result["way"] for result in found))
        for way in ways:
            results = [result for result in found if result["way"] == way]
            steps = [
                step for result in results for step in result["steps"] if step["length"] == length and not step["first"]
            ]
            on = [step["seconds"] for step in steps if step["instruments"] and not step["dear"]]
            off = [step["seconds"] for step in steps if not step["instruments"]]
            dear = [step["seconds"] for step in steps if step["dear"]]
            seconds = statistics.median(on)
            if dear:  # one step in so many also takes the dear measurements
                seconds += (statistics.median(dear) - seconds) / asked.measure_every
            flops = (6 * results[0]["parameters"] + 6 * length * results[0]["attention"]) * asked.batch * length
            lines.append({
                "length": length, "way": way, "seconds": seconds, "range": [min(on), max(on)], "steps": len(on),
                "dear_step": statistics.median(dear) if dear else None,
                "without_instruments": statistics.median(off) if off else None,
                "tokens_per_second": asked.batch * length / seconds,
                "gb": max(step["bytes"] for step in steps) / 1e9,
                "mfu": flops / seconds / PEAK_FLOPS if asked.device == "cuda" else None,
            })  # fmt: skip
        stock = next((line["seconds"] for line in lines if line["length"] == length and line["way"] == "stock"), None)
        for line in lines:
            if line["length"] == length and stock:
                line["speed_of_stock"] = stock / line["seconds"]
    return lines


def page(lines: list[dict[str, Any]], asked: argparse.Namespace, about: str) -> str:
    rows = [
        f"| {line['length']:,} | {line['way']} | {line['seconds']:.3f} ({line['range'][0]:.3f}–{line['range'][1]:.3f}; {line['steps']}) | "
        f"{line['tokens_per_second']:,.0f} | {line.get('speed_of_stock', float('nan')):.2f} | "
        + (f"{line['seconds'] / line['without_instruments'] - 1:+.1%}" if line["without_instruments"] else "")
        + f" | {line['gb']:.1f} | " + (f"{line['mfu']:.1%}" if line["mfu"] else "") + " |"
        for line in lines
    ]  # fmt: skip
    return "\n".join([
        "# A training step\n",
        f"`python benchmarks/training_speed.py {' '.join(asked.command)}` · {about}\n",
        f"{asked.batch} sequences a step, {asked.micro_batch} in a backward pass. Seconds are medians (range; steps) with every "
        f"instrument on, the dear measurements of one step in {asked.measure_every} spread over all; what the instruments cost is against the "
        "steps between, without them.\n",
        "| tokens a sequence | | seconds a step | tokens/s | speed, stock = 1 | instruments | GB at most | MFU |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]) + "\n"  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "resources/lab/model"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--steps", type=int, default=12, help="per length; the first two do not count")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--measure-every", type=int, default=10)
    parser.add_argument("--activations", nargs="+", default=["keep"], help="our ways; with +compile, compiled layers")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", default=str(ROOT / "benchmarks/training_speed"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.command = list(sys.argv[1:])
    if asked.worker:
        print(json.dumps(worker(asked)))
        return
    found = []
    for _ in range(asked.rounds):
        for way in ("stock", *asked.activations):
            command = [sys.executable, __file__, *sys.argv[1:], "--worker", way]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                print(f"{way}: ended with {done.returncode}", file=sys.stderr)
                continue
            found.append(json.loads(done.stdout.splitlines()[-1]))
    lines = summary(found, asked)
    versions = ", ".join(f"{name} {version}" for name, version in found[0]["versions"].items())
    about = f"{datetime.now(UTC).isoformat(timespec='seconds')} · {found[0]['device']} · {versions}"
    Path(f"{asked.out}.json").write_text(json.dumps({"about": about, "lines": lines, "found": found}, indent=1) + "\n")
    Path(f"{asked.out}.md").write_text(page(lines, asked, about))
    print(page(lines, asked, about))


if __name__ == "__main__":
    main()
