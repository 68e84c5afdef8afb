"""How far a study has come, from its files alone: works on a cluster's login node, and while nothing runs.

forklock status config/my.yaml
forklock status config/my.yaml --watch 10      (again every ten seconds, until Ctrl-C)
forklock status config/my.yaml --price 2.5     (and what the rest costs by the plan)

Time and money left are the plan's figures for what is not done, and beside them what the jobs that run now say themselves.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from selfdistill.commands.given import add_study
from selfdistill.machine.terminal import STDOUT, write
from selfdistill.planning.cost import Amount, Stage, stages
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, NotStated, load_throughputs
from selfdistill.planning.standing import Part, standing
from selfdistill.study.load import study_of
from selfdistill.study.study import Study

SUMMARY = "What is done, what is under way and what is left, from files alone."
CLEAR = "\x1b[2J\x1b[H"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--watch", type=float, nargs="?", const=10.0, metavar="SECONDS", help="tell again and again")
    parser.add_argument("--price", type=float, help="of a GPU-hour")
    parser.add_argument("--throughputs", type=Path, default=Path("config/throughputs.yaml"), help="the figures")
    parser.add_argument("--all", action="store_true", help="also what is done and what has not begun, part by part")
    parser.add_argument("--json", action="store_true", help="print data instead of text")


def run(asked: argparse.Namespace) -> int:
    study = study_of(asked.study)
    figures = Figures(load_throughputs(asked.throughputs), study, asked.throughputs)
    study = counted(study, figures)
    planned = planned_for(study, figures)
    while True:
        parts = standing(study)
        text = as_data(parts, planned) if asked.json else as_text(study, parts, planned, asked.price, asked.all)
        if asked.watch and sys.stdout.isatty():
            write(STDOUT, CLEAR)
        print(text, flush=True)
        if not asked.watch:
            return 0
        time.sleep(asked.watch)


def planned_for(study: Study, figures: Figures) -> list[Stage]:
    """The plan's stages; none for a model of which nobody stated figures, whose work can be counted all the same."""
    try:
        return list(stages(study, figures))
    except NotStated as error:
        print(f"what is left is not reckoned: {error}", file=sys.stderr)
        return []


def as_data(parts: Sequence[Part], planned: Sequence[Stage]) -> str:
    left = left_of(parts, planned)
    return json.dumps(
        {"parts": [asdict(part) | {"state": part.state} for part in parts], "left": asdict(left)}, indent=1
    )


def as_text(
    study: Study, parts: Sequence[Part], planned: Sequence[Stage], price: float | None, everything: bool
) -> str:
    lines = [study.study]
    for stage in dict.fromkeys(part.stage for part in parts):
        of_stage = [part for part in parts if part.stage == stage]
        lines.append(f"  {summed(stage, of_stage)}")
        shown = [part for part in of_stage if everything or part.state in ("under way", "begun")]
        lines += [f"    {told(part)}" for part in shown if len(of_stage) > 1 or part.state == "under way"]
    lines += [f"  {rest(left_of(parts, planned), price)}"] if planned else []
    return "\n".join(lines)


def summed(stage: str, parts: Sequence[Part]) -> str:
    done, total = sum(part.done for part in parts), sum(part.total for part in parts)
    share = f"{done / total:.0%}" if total else "–"
    return f"{stage:<8} {share:>5}  {done:,} of {total:,} {parts[0].unit}"


def told(part: Part) -> str:
    return f"{part.name:<36} {part.state:<10} {part.done:,} of {part.total:,}{live(part.words)}"


def live(words: Iterable[dict[str, Any]]) -> str:
    """Of several jobs the sum of their speeds, and the last of them to end."""
    said = list(words)
    if not said:
        return ""
    found = [f"{sum(word.get('tokens_per_second') or 0 for word in said):,.0f} tokens/s"]
    cut = [word["cut_rate"] for word in said if word.get("cut_rate") is not None]
    found += [f"cut {sum(cut) / len(cut):.1%}"] if cut else []
    left = [word.get("eta_seconds", word.get("seconds_left")) for word in said]
    found += (
        [f"{max(seconds for seconds in left if seconds is not None):,.0f} s left"]
        if any(x is not None for x in left)
        else []
    )
    return f"  ({', '.join(found)})"


# Which of the plan's stages a part's stage stands for. What is not listed is of seconds, and ends with the report.
PLANNED = {"sample": "sample", "train": "train", "grade": "grade"}


def left_of(parts: Sequence[Part], planned: Sequence[Stage]) -> Amount:
    """Of every stage of the plan the share that is not done; all of the rest until the report is there."""
    whole = Amount()
    finished = any(part.stage == "report" and part.state == "done" for part in parts)
    for stage in planned:
        kind = next((kind for kind, begins in PLANNED.items() if stage.name.startswith(begins)), None)
        of_kind = [part for part in parts if part.stage == kind]
        total = sum(part.total for part in of_kind)
        share = 1 - sum(part.done for part in of_kind) / total if total else float(not finished)
        whole += Amount(*(share * amount for amount in asdict(stage.expected).values()))
    return whole


def rest(left: Amount, price: float | None) -> str:
    found = [f"{left.gpu_hours:,.1f} GPU-hours"] if left.gpu_hours else []
    found += [f"{left.cpu_hours:,.2f} hours on CPUs", f"{left.tokens / 1e6:,.2f} million tokens"]
    money = f", {left.gpu_hours * price:,.2f} at {price:g} a GPU-hour" if price is not None else ""
    return f"left by the plan: {', '.join(found)}{money}"
