"""Grades answers that others have labelled, tells where our verdict is another one, and times the pairs that need a reader.

    python benchmarks/grader.py labelled.jsonl --disagreements differ.jsonl
    python benchmarks/grader.py labelled.jsonl --time 1000

A line of the file is an object with `source`, `id`, `gold`, `answer`, `label` (true, false or null), `who_labelled`, and
the `problem` where it is known. Such files hold other people's data and stay out of the repository; grader.md says what
they were made from. Prints the counts by source and each distinct disagreement with how many rows it has.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from selfdistill.grading.processes import Worker
from selfdistill.grading.verify import CORRECT, STRICT, Judgement, judge_answers, quick_reason
from selfdistill.tables.endings import UNDECIDED

SHOWN = 100  # characters of a gold or an answer


class Labelled(NamedTuple):
    source: str
    gold: str
    answer: str
    label: bool | None
    row: dict[str, object]


class Seconds(NamedTuple):
    strict: float  # our reader, and math-verify with care where it is asked
    lenient: float  # math-verify as shipped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--disagreements", type=Path, help="where to write them, as JSON lines")
    parser.add_argument(
        "--time", type=int, default=0, metavar="PAIRS", help="time so many hard pairs, and grade nothing"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="hard limit for one answer")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    rows = read(asked.file)
    if asked.time:
        print(told_times(timed(hard_pairs(rows, asked.time), asked.seconds)))
        return
    began = time.monotonic()
    judged = judge_answers([(row.gold, row.answer) for row in rows], asked.seconds, asked.workers)
    print(f"{len(rows):,} rows graded in {time.monotonic() - began:.1f} s on {asked.workers} processes\n")
    print(counts_by_source(rows, judged))
    differing = [pair for pair in zip(rows, judged, strict=True) if differs(*pair)]
    print(disagreements(differing))
    if asked.disagreements:
        with asked.disagreements.open("w") as file:
            for row, judgement in differing:
                file.write(json.dumps({**row.row, **judgement._asdict()}, ensure_ascii=False) + "\n")


def read(path: Path) -> list[Labelled]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [Labelled(row["source"], row["gold"], row["answer"], row["label"], row) for row in rows]


def differs(row: Labelled, judgement: Judgement) -> bool:
    return row.label is not None and row.label != (judgement.reason in CORRECT)


def counts_by_source(rows: Sequence[Labelled], judged: Sequence[Judgement]) -> str:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, judgement in zip(rows, judged, strict=True):
        for source in (row.source, "all"):
            counts[source]["rows"] += 1
            counts[source]["labelled"] += row.label is not None
            counts[source]["credited"] += judgement.reason in CORRECT
            counts[source]["differ"] += differs(row, judgement)
            counts[source]["disputed"] += judgement.disputed
            counts[source]["undecided"] += judgement.reason in UNDECIDED
    names = ("rows", "labelled", "credited", "differ", "disputed", "undecided")
    lines = [f"| source | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {source} | {' | '.join(f'{counts[source][name]:,}' for name in names)} |" for source in sorted(counts)
    ]
    return "\n".join(lines) + "\n"


def disagreements(differing: Sequence[tuple[Labelled, Judgement]]) -> str:
    """One line for each distinct pair, the most frequent first."""
    counts = Counter((row.gold, row.answer, row.label, judgement.reason) for row, judgement in differing)
    lines = [
        f"{number}x  {gold[:SHOWN]!r} | {answer[:SHOWN]!r} | they say {'equal' if label else 'different'}, we say {reason}"
        for (gold, answer, label, reason), number in counts.most_common()
    ]
    return "\n".join(lines)


def hard_pairs(rows: Sequence[Labelled], number: int) -> list[tuple[str, str]]:
    """Distinct pairs that are neither the same text nor two plain numbers, drawn with a fixed seed."""
    pairs = dict.fromkeys((row.gold, row.answer) for row in rows)
    hard = [pair for pair in pairs if quick_reason(*pair) is None]
    return random.Random(1).sample(hard, min(number, len(hard)))


def timed(pairs: Sequence[tuple[str, str]], limit: float) -> list[Seconds]:
    """Processor time of each pair on one process that has judged a pair before; so other work on the machine counts little."""
    worker, times = _warm(limit), []
    for pair in pairs:
        spent = []
        for reader in ("strict", "lenient"):
            before = processor_seconds(worker)
            reply = worker.ask((reader, *pair))
            if reader == "strict" and reply not in STRICT and reply not in UNDECIDED:
                reply = worker.ask(("careful", *pair))
            spent.append(processor_seconds(worker) - before)
            if reply in UNDECIDED:  # the time until the limit counts, and starting another process does not
                worker.kill()
                worker = _warm(limit)
        times.append(Seconds(*spent))
    worker.kill()
    return times


def processor_seconds(worker: Worker) -> float:
    return int(Path(f"/proc/{worker.process.pid}/schedstat").read_text().split()[0]) / 1e9


def _warm(limit: float) -> Worker:
    worker = Worker(limit)
    for act in ("strict", "careful", "lenient"):
        worker.ask((act, r"\frac{\sqrt{8}}{2}", r"\sqrt2"))
    return worker


def told_times(times: Sequence[Seconds]) -> str:
    lines = [
        f"{len(times)} distinct hard pairs on one warm process, processor time",
        "| reader | median | 95 % | longest | 1,000 pairs |",
        "|---|---|---|---|---|",
    ]
    for name, column in (("strict", [each.strict for each in times]), ("lenient", [each.lenient for each in times]),
                         ("both", [sum(each) for each in times])):  # fmt: skip
        middle, most = statistics.median(column), sorted(column)[int(0.95 * len(column))]
        lines.append(
            f"| {name} | {1000 * middle:.1f} ms | {1000 * most:.1f} ms | {max(column):.2f} s | {1000 * statistics.mean(column):.1f} s |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
