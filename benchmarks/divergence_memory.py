"""Memory and time of comparing student and teacher at every token, beside the weights and their gradient:
python benchmarks/divergence_memory.py [--device cuda] [--positions 1024 4096] [--width 64] [--adapters]

Each comparison runs in a process of its own, forward and backward, on random laws. On a GPU under autocast: the student's head is
float32, and the teacher's bf16, as they are in a training. With --adapters both are one, and it learns nothing. With TRL's functions, which hold the logits of
all positions, for as many positions as there are memory for.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))
VOCABULARY, NEAR = 151_936, 100
COMPARISONS = ("near", "all", "trl-near", "trl-all")


def peak(device: str) -> int:
    """Bytes; of a process on a CPU so far, since the last reset on a GPU."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated())
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def loss(comparison: str, student: Any, teacher: Any, tokens: Any) -> Any:
    import torch

    from selfdistill.training.objectives.divergence import Comparison, Positions, compare

    if not comparison.startswith("trl"):
        shares = torch.full((len(tokens),), 1 / len(tokens), device=tokens.device)
        here = Positions(tokens, shares, torch.full_like(shares, -12.0))
        return compare(
            student, teacher, here, Comparison(0.5, NEAR if comparison == "near" else None, ratio_clip=2.0)
        ).loss
    from trl.experimental.sdpo import loss_utils

    logits = [(each.hidden @ each.weight.t()).float() for each in (student, teacher)]
    if comparison == "trl-all":
        return loss_utils.compute_full_logit_self_distillation_loss(*logits, distillation_alpha=0.5).mean()
    return loss_utils.compute_topk_self_distillation_loss(
        *logits, distillation_topk=NEAR, distillation_alpha=0.5, distillation_add_tail=True
    ).mean()


def one(comparison: str, positions: int, width: int, device: str, adapters: bool) -> None:
    import torch

    from selfdistill.training.objectives.divergence import NextWords

    torch.set_num_threads(1)
    on_gpu = device == "cuda"
    weight = torch.randn(VOCABULARY, width, device=device) / width**0.5
    theirs = weight if adapters else weight.to(torch.bfloat16) if on_gpu else weight.clone()
    student = NextWords(torch.randn(positions, width, device=device), weight, None)
    teacher = NextWords(torch.randn(positions, width, device=device), theirs, None)
    tokens = torch.randint(VOCABULARY, (positions,), device=device)
    student.hidden.requires_grad_()
    if not adapters:
        weight.requires_grad_().grad = torch.zeros_like(weight)  # which a training holds anyway
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    before, began = peak(device), time.perf_counter()
    with torch.autocast(device, torch.bfloat16, enabled=on_gpu):
        found = loss(comparison, student, teacher, tokens)
    found.backward()
    print(f"{(peak(device) - before) / 2**20:.0f} {time.perf_counter() - began:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--positions", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--adapters", action="store_true")
    parser.add_argument("--one", nargs=2)
    asked = parser.parse_args()
    if asked.one:
        one(asked.one[0], int(asked.one[1]), asked.width, asked.device, asked.adapters)
        return
    print(f"| comparison of {VOCABULARY:,} words | positions | MiB | seconds |\n|---|---|---|---|")
    for comparison in COMPARISONS:
        for positions in asked.positions:
            given = ["--device", asked.device, "--width", str(asked.width), "--one", comparison, str(positions)]
            given += ["--adapters"] if asked.adapters else []
            said = subprocess.run([sys.executable, __file__, *given], capture_output=True, text=True)
            found = said.stdout.split() or ["no room", ""]
            print(f"| {comparison} | {positions:,} | {found[0]} | {found[1]} |", flush=True)


if __name__ == "__main__":
    main()
