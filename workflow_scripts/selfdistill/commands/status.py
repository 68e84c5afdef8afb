"""How far a study has come, from its files alone: works on a cluster's login node, and while nothing runs.

forklock status config/my.yaml
forklock status config/my.yaml --watch 10      (again every ten seconds, until Ctrl-C)
forklock status config/my.yaml --price 2.5     (and what the rest costs by the plan)

What is there of an earlier training or of other requests counts as to be done. A job that failed is named with its log.

Time and money left are the plan's figures for what is not done, and beside them what the jobs that run now say themselves. What
the finished jobs took stands beside what the plan says of them; the end is reckoned at that speed, with as many devices at work
as now. A plugin that changed since the report is named.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from selfdistill.analysis.what_made import plugins_changed_since
from selfdistill.commands.given import add_study
from selfdistill.foundation.wording import plural
from selfdistill.machine.terminal import STDOUT, write
from selfdistill.planning.cost import Amount, Stage, stages
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, NotStated, load_throughputs
from selfdistill.planning.pace import SAMPLE, End, Hours, end_of, left_of, seconds_left, taken
from selfdistill.planning.standing import PRACTISE, Failed, Part, failed, standing
from selfdistill.study.load import study_of
from selfdistill.study.looks import record_beside
from selfdistill.study.plugins import plugin_files
from selfdistill.study.study import Study

SUMMARY = "What is done, what is under way and what is left, from files alone."
HOURS_FROM = 2.0
CLEAR = "\x1b[2J\x1b[H"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument("--watch", type=seconds, nargs="?", const=10.0, metavar="SECONDS", help="tell again and again")
    parser.add_argument("--price", type=float, help="of a GPU-hour")
    parser.add_argument("--throughputs", type=Path, default=Path("config/throughputs.yaml"), help="the figures")
    parser.add_argument("--all", action="store_true", help="also what is done and what has not begun, part by part")
    parser.add_argument("--json", action="store_true", help="print data instead of text")


def seconds(text: str) -> float:
    """How long to wait between two looks."""
    try:
        given = float(text)
    except ValueError:
        given = 0.0
    if not 0 < given < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return given


def run(asked: argparse.Namespace) -> int:
    written = study_of(asked.study)
    figures = Figures(load_throughputs(asked.throughputs), written, asked.throughputs)
    study = counted(written, figures)
    planned = planned_for(study, figures)
    while True:
        parts, now = standing(study, record_beside(written)), datetime.now().astimezone()
        stopped = failed(Path(study.results))
        seen = Seen(parts, stopped, plugins_changed(study), reckoned(study, parts, planned, now) if planned else None)
        text = as_data(seen) if asked.json else as_text(study, seen, speeds_of(planned), asked.price, asked.all)
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


def plugins_changed(study: Study) -> list[str]:
    return plugins_changed_since(Path(study.results), plugin_files(study.plugins))


@dataclass(frozen=True)
class Reckoned:
    left: Amount
    so_far: Hours | None
    end: End | None


def reckoned(study: Study, parts: Sequence[Part], planned: Sequence[Stage], now: datetime) -> Reckoned:
    left, so_far = left_of(parts, planned), taken(study, parts, planned)
    return Reckoned(left, so_far, end_of(study, parts, left, so_far, now))


@dataclass(frozen=True)
class Seen:
    parts: Sequence[Part]
    failed: Sequence[Failed]
    plugins_changed: Sequence[str]
    reckoned: Reckoned | None  # None without figures


def as_data(seen: Seen) -> str:
    said = {
        "parts": [asdict(part) | {"state": part.state} for part in seen.parts],
        "failed": [asdict(each) for each in seen.failed],
        "plugins_changed": list(seen.plugins_changed),
        "left": asdict(Amount()),
        "so_far": None,
        "end": None,
    }
    return json.dumps(said | (asdict(seen.reckoned) if seen.reckoned else {}), indent=1, default=datetime.isoformat)


def as_text(study: Study, seen: Seen, speeds: Mapping[str, float], price: float | None, everything: bool) -> str:
    lines = [study.study]
    for stage in dict.fromkeys(part.stage for part in seen.parts):
        of_stage = [part for part in seen.parts if part.stage == stage]
        lines.append(f"  {summed(stage, of_stage)}")
        shown = [part for part in of_stage if everything or part.state in ("under way", "begun")]
        lines += [
            f"    {told(part, speeds.get(stage))}" for part in shown if len(of_stage) > 1 or part.state == "under way"
        ]
    lines += [f"  failed: {each.log}: {each.said}" for each in seen.failed]
    if seen.plugins_changed:
        lines.append(
            f"  changed since the report: {', '.join(seen.plugins_changed)}; forklock diff --jobs says what that makes anew"
        )
    lines += [f"  {line}" for line in reckoning(seen.reckoned, price)] if seen.reckoned else []
    return "\n".join(lines)


def summed(stage: str, parts: Sequence[Part]) -> str:
    done, total = sum(part.done for part in parts), sum(part.total for part in parts)
    share = f"{math.floor(100 * done / total)}%" if total else "–"  # 100 % is all of it
    sealed = [part for part in parts if part.cut is not None]
    told, cut = sum(part.done for part in sealed), sum(part.cut or 0 for part in sealed)
    of_whom = "of them" if len(sealed) == len(parts) else f"of the {told:,} of finished models"
    said = f", {cut / told:.1%} {of_whom} cut" if told else ""
    return f"{stage:<8} {share:>5}  {done:,} of {total:,} {parts[0].unit}{said}"


def told(part: Part, planned: float | None) -> str:
    ended = f"  (cut {part.cut / part.done:.1%})" if part.cut is not None and part.done and not part.words else ""
    return f"{part.name:<36} {part.state:<10} {part.done:,} of {part.total:,}{ended}{live(part.words, planned)}"


def speeds_of(planned: Sequence[Stage]) -> dict[str, float]:
    """Tokens a second of one device that the plan reckons with, where a stage samples."""
    found = {}
    for kind in (SAMPLE, PRACTISE):
        amounts = [stage.expected for stage in planned if stage.name.startswith(kind)]
        hours = sum(each.gpu_hours or each.cpu_hours for each in amounts)
        if hours:
            found[kind] = sum(each.tokens for each in amounts) / hours / 3600
    return found


def live(words: Iterable[dict[str, Any]], planned: float | None) -> str:
    """Of several jobs the sum of their speeds, and the last of them to end."""
    said = list(words)
    if not said:
        return ""
    found = [f"{sum(word.get('tokens_per_second') or 0 for word in said):,.0f} tokens/s"]
    found += [f"{planned * len(said):,.0f} by the plan"] if planned else []
    cut = [word["cut_rate"] for word in said if word.get("cut_rate") is not None]
    found += [f"cut {sum(cut) / len(cut):.1%}"] if cut else []
    left = [seconds_left(word) for word in said]
    found += (
        [f"{max(seconds for seconds in left if seconds is not None):,.0f} s left"]
        if any(x is not None for x in left)
        else []
    )
    return f"  ({', '.join(found)})"


def reckoning(found: Reckoned, price: float | None) -> Iterator[str]:
    left, so_far, end = found.left, found.so_far, found.end
    hours = [f"{duration(left.gpu_hours)} of one GPU"] if left.gpu_hours else []
    hours += [f"{duration(left.cpu_hours)} of one CPU core", f"{left.tokens / 1e6:,.2f} million tokens"]
    yield f"left by the plan: {', '.join(hours)}{money(left.gpu_hours, price)}"
    if so_far:
        device = "GPU" if so_far.on_gpu else "CPU core"
        yield (
            f"models and trainings that are done took {duration(so_far.taken)} of one {device}"
            f"{money(so_far.taken if so_far.on_gpu else 0.0, price)}; the plan says {duration(so_far.planned)}"
        )
    if end:
        speed = "at that speed, and " if so_far else ""
        yield (
            f"{speed}with {plural(end.devices, 'device')} at work as now: {duration(end.seconds / 3600)} to the end, "
            f"{end.at:%A, %H:%M}"
        )


def money(gpu_hours: float, price: float | None) -> str:
    return f", {gpu_hours * price:,.2f} at {price:g} a GPU-hour" if price is not None and gpu_hours else ""


def duration(hours: float) -> str:
    """In the unit that a person would take."""
    if hours >= HOURS_FROM:
        return f"{hours:,.1f} hours"
    minutes = round(hours * 60)
    return plural(minutes, "minute") if minutes else plural(round(hours * 3600), "second")
