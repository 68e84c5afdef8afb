"""What the analysis of the mechanism finds where the truth is known, on the lab's model.

    python benchmarks/mechanism_truths.py        (some minutes on one core; writes benchmarks/mechanism_truths.md)

The lab's grammar knows of every token whether it is a fork, a lock or neither; the model itself can be moved by a known amount
at known places; it can be trained to its end on the targets; and it can be sampled twice.
"""

import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("workflow_scripts", "resources", "tests")]

from lab.chains import Problem, generate  # noqa: E402
from planted_laws import MODEL, Array, Labelled, lab_laws, normalised, prompt_of, row_of, tables_of  # noqa: E402
from selfdistill.mechanism.classes import fork_score, tail_of, token_class  # noqa: E402
from selfdistill.mechanism.depths import auroc_row  # noqa: E402
from selfdistill.mechanism.estimates import Families, difference_of_means  # noqa: E402
from selfdistill.mechanism.theory import Laws, Rule, decoded  # noqa: E402
from selfdistill.study.mechanism import Classes  # noqa: E402
from selfdistill.tables import words  # noqa: E402

SSD = "ssd/seed-0/at-100"
HOT = Rule(1.5, 20, 0.95)
THRESHOLDS = {
    "defaults (lock 0.95, fork 0.95, second 0.05)": Classes(),
    "lock 0.9, fork 0.8, second 0.1": Classes(lock_top=0.9, fork_top=0.8, fork_second=0.1),
    "lock 0.99, fork 0.95, second 0.05": Classes(lock_top=0.99),
    "lock 0.95, fork 0.95, second 0.02": Classes(fork_second=0.02),
}


def shortened(log_p: Array) -> Laws:
    return Laws.of(-np.sort(-log_p, axis=1)[:, :256])


def of_labels(lab: Labelled) -> list[str]:
    laws, families = shortened(lab.log_p), Families(lab.families)
    row = auroc_row(fork_score(laws), lab.labels == "fork", lab.labels == "lock", families, 30)
    lines = [
        f"The score of a fork tells the grammar's forks from its locks with an AUROC of **{row['estimate']:.4f}** "
        f"[{row['low']:.4f}, {row['high']:.4f}] ({(lab.labels == 'fork').sum():,} forks, {(lab.labels == 'lock').sum():,} locks, "
        f"{row['n']} texts). The goal is 0.98. Tokens of neither kind, {(lab.labels == 'neither').sum():,} of form alone, stand apart.",
        "",
        "| thresholds | the grammar's | lock | fork | diffuse | mixed |",
        "|---|---|---|---|---|---|",
    ]
    for name, thresholds in THRESHOLDS.items():
        found = token_class(laws, tail_of(laws, Rule(1.0, 20, 0.95)), thresholds)
        for label in ("lock", "fork", "neither"):
            counts = [int(((lab.labels == label) & (found == each)).sum()) for each in words.TOKEN_CLASSES]
            lines.append(
                f"| {name if label == 'lock' else ''} | {label} | {' | '.join(f'{count:,}' for count in counts)} |"
            )
    return lines


def of_plants(lab: Labelled, folder: Path) -> list[str]:
    laws = shortened(lab.log_p)
    by_base = token_class(laws, tail_of(laws, HOT), Classes())
    lock, fork = (by_base == name for name in (words.LOCK, words.FORK))
    plants = {
        "locks' logits × 1.25": np.where(lock[:, None], 1.25 * lab.log_p, lab.log_p),
        "forks' logits ÷ 1.2": np.where(fork[:, None], lab.log_p / 1.2, lab.log_p),
    }
    lines = ["| planted | class | measure | truth | found |", "|---|---|---|---|---|"]
    for name, moved in plants.items():
        trained = normalised(moved)
        classes, tables = tables_of(folder / name[:5], {"base": lab.log_p, SSD: trained}, lab.families)
        found = classes["token_class"].to_numpy()
        change = {
            words.TOP_PROBABILITY: np.exp(trained).max(-1) - np.exp(lab.log_p).max(-1),
            words.ENTROPY: entropy(trained) - entropy(lab.log_p),
        }
        for chosen, measure in (
            (each, which) for each in (words.LOCK, words.FORK) for which in (words.TOP_PROBABILITY, words.ENTROPY)
        ):
            truth = change[measure][found == chosen].mean()
            row = row_of(tables.mechanism, arm="ssd", token_class=chosen, measure=measure, decode_id=None)
            lines.append(f"| {name} | {chosen} | {measure} | {truth:+.5f} | {told(row)} |")
        row = row_of(tables.ssd_fit, arm="ssd", token_class=words.FORK, measure=words.PROJECTION, decode_id="hot")
        truth = (1 / 1.2 - 1) / (1 / 1.5 - 1) if "÷" in name else 0.0
        lines.append(f"| {name} | fork | {words.PROJECTION} (T 1.5) | {truth:+.5f} | {told(row)} |")
    return lines


def entropy(log_p: Array) -> Array:
    return np.asarray(-(np.exp(log_p) * log_p).sum(-1))


def told(row: dict[str, float]) -> str:
    return f"{row['estimate']:+.5f} [{row['low']:+.5f}, {row['high']:+.5f}]"


def of_training(folder: Path, traces: int = 6, steps: int = 600) -> list[str]:
    """The model itself, trained on the targets along some texts, and probed on them."""
    import torch
    from transformers import AutoModelForCausalLM

    lab = lab_laws(traces, seed=21)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    order = np.argsort(-lab.log_p, axis=1)
    q = np.zeros_like(lab.log_p)
    np.put_along_axis(q, order[:, :256], decoded(shortened(lab.log_p), HOT).q, axis=1)
    texts, targets = lab_texts(traces, 21), torch.tensor(q, dtype=torch.float32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss = -(targets * laws_along(model, texts)).sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        trained = normalised(laws_along(model, texts).double().numpy())
    _, tables = tables_of(folder / "trained", {"base": lab.log_p, SSD: trained}, lab.families)
    lines = [
        f"All weights are trained on the targets of T 1.5, top-k 20, top-p 0.95 along {traces} texts ({len(q):,} positions), "
        f"{steps} steps. The goal is a fit ratio of 0.9.",
        "",
        "| class | fit ratio | share of the movement not towards the target |",
        "|---|---|---|",
    ]
    for name in (words.EVERY_CLASS, words.LOCK, words.FORK):
        ratio, rest = (
            row_of(tables.ssd_fit, arm="ssd", token_class=name, measure=measure, decode_id="hot")
            for measure in (words.FIT_RATIO, words.REMAINDER)
        )
        lines.append(f"| {name} | {told(ratio)} | {told(rest)} |")
    return lines


def lab_texts(traces: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Prompt and completion of the texts of `lab_laws`."""
    from tokenizers import Tokenizer

    from lab.grammar import write_trace

    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    rng = random.Random(seed)
    found: list[tuple[list[int], list[int]]] = []
    while len(found) < traces:
        problem = generate(rng, rng.randint(1, 4))
        text, finished = write_trace(problem, rng)
        if finished:
            ids = [tokenizer.encode(each, add_special_tokens=False).ids for each in (prompt_of(problem), text)]
            found.append((ids[0], ids[1]))
    return found


def laws_along(model, texts):  # type: ignore[no-untyped-def]
    """Of all completions' tokens, one text after the other; padded behind, where no token looks."""
    import torch

    longest = max(len(prompt) + len(completion) for prompt, completion in texts)
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    for row, (prompt, completion) in enumerate(texts):
        ids[row, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
    laws = model(ids).logits.log_softmax(-1)
    parts = [
        laws[row, len(prompt) - 1 : len(prompt) + len(completion) - 1] for row, (prompt, completion) in enumerate(texts)
    ]
    return torch.cat(parts)


def of_nothing(
    problems: int = 30, draws: int = 8, repeats: int = 1000, asked: int = 24, positions: int = 32
) -> list[str]:
    """The base on its own text against the base on its own re-sampled text, of as many problems as a study's carriers have."""
    values = sampled_laws(problems, draws)
    lines = [
        f"{problems} problems are sampled {draws} times at T 1.0, top-k 20, top-p 0.95. A repeat takes {asked} problems, two draws "
        f"of each and {positions} positions of each text; the interval of the difference should hold 0 in 95 of 100, and the goal "
        "is 93.",
        "",
        f"| measure | intervals that hold 0, of 100 ({repeats:,} repeats, of one pool of texts) |",
        "|---|---|",
    ]
    for name in (words.TOP_PROBABILITY, words.ENTROPY, "share of forks"):
        rng, covered = np.random.default_rng(1), 0
        for _ in range(repeats):
            rows: list[tuple[int, int, float]] = []
            for problem in rng.choice(problems, asked, replace=False):
                for side, draw in enumerate(rng.choice(draws, 2, replace=False)):
                    law = values[problem][draw][name]
                    rows += [(problem, side, float(law[at])) for at in rng.integers(0, len(law), positions)]
            problem_of, side_of, value = (np.array(each) for each in zip(*rows, strict=True))
            adding = Families(problem_of)
            _, interval = difference_of_means(adding.sums(value, side_of == 1), adding.sums(value, side_of == 0))
            covered += interval.low <= 0 <= interval.high
        lines.append(f"| {name} | {100 * covered / repeats:.1f} |")
    return lines


def sampled_laws(problems: int, draws: int) -> list[list[dict[str, Array]]]:
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    rng, found = random.Random(3), []
    torch.manual_seed(3)
    for _ in range(problems):
        problem: Problem = generate(rng, rng.randint(1, 4))
        prompt = tokenizer.encode(prompt_of(problem), add_special_tokens=False).ids
        with torch.no_grad():
            whole = model.generate(
                torch.tensor([prompt] * draws),
                do_sample=True,
                temperature=1.0,
                top_k=20,
                top_p=0.95,
                max_new_tokens=160,
            )
            laws = model(whole).logits.log_softmax(-1).double().numpy()
        ends = [(row[len(prompt) :] == model.config.eos_token_id).nonzero() for row in whole]
        lengths = [int(end[0]) + 1 if len(end) else whole.shape[1] - len(prompt) for end in ends]
        found.append(
            [of_law(laws[at, len(prompt) - 1 : len(prompt) - 1 + length]) for at, length in enumerate(lengths)]
        )
    return found


def of_law(log_p: Array) -> dict[str, Array]:
    laws = shortened(log_p)
    fork = token_class(laws, tail_of(laws, Rule(1.0, 20, 0.95)), Classes()) == words.FORK
    return {
        words.TOP_PROBABILITY: np.exp(log_p).max(-1),
        words.ENTROPY: entropy(log_p),
        "share of forks": fork.astype(float),
    }


def main() -> None:
    began = time.monotonic()
    lab = lab_laws(150, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "Forks and locks, by the base's law and by the grammar": of_labels(lab),
            "A known movement at known places": of_plants(lab, Path(folder)),
            "A model trained to its end on the targets": of_training(Path(folder)),
            "Nothing, where there is nothing": of_nothing(),
        }
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    head = (
        "# What the analysis of the mechanism finds where the truth is known\n\n"
        f"`python benchmarks/mechanism_truths.py`, {datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.strip()}, "
        f"{time.monotonic() - began:.0f} s.\n"
    )
    page = head + "".join(f"\n## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts.items())
    (ROOT / "benchmarks/mechanism_truths.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
