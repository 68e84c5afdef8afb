"""A plan of cost as text for a terminal, and as plain data."""

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from selfdistill.foundation.wording import THIN_SPACE, points
from selfdistill.planning.actual import Found
from selfdistill.planning.cost import Amount, Stage, expected_length, hours_of_practices, longest, total
from selfdistill.planning.counts import number
from selfdistill.planning.figures import Figures
from selfdistill.planning.looks import expectations
from selfdistill.planning.memory import needs_of
from selfdistill.planning.power import POWER, Reach, seen
from selfdistill.planning.proposal import Proposal, Proposed
from selfdistill.planning.resumed import JOB_HOURS, RETRIES
from selfdistill.planning.right_answers import right_answers_line
from selfdistill.study.legend import legend_of
from selfdistill.study.models import arms_with_dataset, asked_in_context, practising_arms
from selfdistill.study.sampling import ENGINES
from selfdistill.study.study import Study

WIDTH = 120
HOWS = ("assumed", "computed", "measured")  # the least sure first


def looks_table(study: Study, found: list[Reach]) -> str:
    """What looks are expected to take, of one hypothesis by itself; nothing where the study has none."""
    rows = [
        [each.hypothesis, each.truth, f"{each.problems:,.0f}", f"{each.found:.0%}", f"{each.equivalent:.0%}"]
        for each in expectations(study, found)
    ]
    if not rows:
        return ""
    looks = ", ".join(f"{number(size):,}" for size in study.evaluation.looks)
    header = ["hypothesis", "if the true difference is", "problems expected", "found", "equivalent"]
    return (
        f"With looks after {looks} problems, of which a hypothesis takes as many as it needs (the costs above are those of the "
        f"last look for all):\n{table(header, rows)}"
    )


def as_data(
    study: Study,
    figures: Figures,
    parts: list[Stage],
    found: list[Reach],
    price: float | None,
    proposal: Proposal | None = None,
) -> Any:
    whole = total(parts)
    return {
        "study": study.study,
        "proposal": None
        if proposal is None
        else asdict(proposal)
        | {
            "today": _data_of(proposal.today),
            "cheapest": _data_of(proposal.cheapest),
            "as_far": _data_of(proposal.as_far),
        },
        "model": figures.name,
        "legend": asdict(legend_of(study.as_param())),
        "stages": [asdict(part) | {"jobs": part.jobs} for part in parts],
        "total": asdict(whole) | {"jobs": whole.jobs},
        "price_per_gpu_hour": price,
        "money": None if price is None else _money(whole, price),
        "power": [asdict(reach) for reach in found],
        **({"reported": [asdict(each) for each in seen(study, figures)]} if study.reported else {}),
        **({"looks": [asdict(each) for each in expectations(study, found)]} if study.evaluation.looks else {}),
        "figures": {key: figure.model_dump() for key, figure in figures.used.items()},
    }


def as_text(
    study: Study,
    figures: Figures,
    parts: list[Stage],
    found: list[Reach],
    price: float | None,
    proposal: Proposal | None = None,
) -> str:
    sampling, training = (_device(section.gpus, figures) for section in (study.sampling, study.training))
    return "\n\n".join(
        part
        for part in (
            f"{study.study}: sampling on {sampling}, training on {training}, by the figures of the model {figures.name}. Each "
            "amount is the expected one, then the worst, where every completion runs to its cap.",
            cost_table(parts),
            time_line(study, parts),
            engine_line(study),
            disk_line(study, figures),
            memory_line(study),
            practice_line(study, figures),
            money_line(total(parts), price),
            legend_lines(study),
            examples_line(study, figures),
            right_answers_line(study, figures),
            contexts_line(study),
            power_table(found),
            looks_table(study, found),
            coupling_line(found),
            method_line(found),
            seen_lines(study, figures),
            proposal_lines(proposal),
            figures_list(figures),
        )
        if part
    )


def legend_lines(study: Study) -> str:
    """What the names of arms and decodes mean, as on the report's first screen."""
    legend = legend_of(study.as_param())
    parts = [
        _wrapped(" ".join(legend.sentences), ""),
        "Arms:",
        *(_wrapped(meaning, f"  {name}: ") for name, meaning in legend.arms.items()),
        f"Decodes, {legend.cap}:" if legend.cap else "Decodes:",
        *(_wrapped(meaning, f"  {name}: ") for name, meaning in legend.decodes.items()),
        _wrapped(f"{legend.shared}.", "Unless an arm's line says otherwise: ") if legend.shared else "",
    ]
    return "\n".join(filter(None, parts))


def _wrapped(text: str, before: str) -> str:
    """Lines of a terminal, which has commas between thousands."""
    plain = re.sub(rf"(?<=\d){THIN_SPACE}(?=\d)", ",", text).replace(THIN_SPACE, " ").replace("’", "'")
    return textwrap.fill(
        before + plain, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def time_line(study: Study, parts: list[Stage], cores: int | None = None) -> str:
    """For who has a laptop: hours of waiting where nothing runs on a GPU, a core for each job."""
    if study.sampling.gpus or study.training.gpus:
        return ""
    cores = cores or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    mean, worst = (waiting(study, parts, cores, which) for which in ("expected", "worst"))
    plural = "core" if cores == 1 else f"{cores} cores"
    return (
        f"Time: about {_waited(mean)} on the {plural} of this machine if nothing else runs on it, {_waited(worst)} at worst; the speeds "
        "are those of the machine that the figures are from."
    )


def engine_line(study: Study) -> str:
    engine = study.sampling.engine
    if engine in ENGINES:
        return ""
    return f"The engine {engine} is a plugin's, which nobody timed here: its hours are those of this project's engines."


def waiting(study: Study, parts: list[Stage], cores: int, which: str) -> float:
    """Hours: the stages run one after the other, and a stage keeps no more cores busy than it has jobs' threads."""
    hours = 0.0
    for part in parts:
        heavy = max(
            [
                count
                for rule, count in part.rules.items()
                if rule not in ("dataset", "correct_dataset", "teacher", "questions")
            ],
            default=1,
        )
        threads = study.training.processes_per_node if {"train", "practice"} & set(part.rules) else 1
        hours += getattr(part, which).cpu_hours / max(1, min(cores, heavy * threads))
    return hours


def _waited(hours: float) -> str:
    if hours < 1 / 60:
        return "a minute"
    return (
        f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:,.0f} hours" if hours < 72 else f"{hours / 24:,.0f} days"
    )


def memory_line(study: Study) -> str:
    """What the jobs that hold the model ask for."""
    needs = dict(vars(needs_of(study)))
    for rule, arms in (("train", arms_with_dataset(study)), ("practice", practising_arms(study))):
        if not arms:
            needs.pop(rule)
    asked = ", ".join(f"{rule} {megabytes / 1000:.1f} GB" for rule, megabytes in needs.items())
    return f"Main memory of one process: {asked} (by the model's size, sampling.batch, training.micro_batch and model.context)."


def practice_line(study: Study, figures: Figures) -> str:
    """Of trainings that one job does not end: a retry goes on where the job before it stopped."""
    mean, worst = (hours_of_practices(study, figures, length) for length in (expected_length(figures), longest))
    if not study.training.gpus or max(worst.values(), default=0.0) <= JOB_HOURS:
        return ""
    hours = ", ".join(f"{arm} {mean[arm]:,.0f} hours ({worst[arm]:,.0f} at worst)" for arm in mean)
    line = (
        f"One training takes by the clock: {hours}. A job of rule practice has {JOB_HOURS} hours, and a retry resumes"
    )
    jobs = 1 + RETRIES
    beyond = [arm for arm in mean if worst[arm] > JOB_HOURS * jobs]
    if not beyond:
        return f"{line}."
    return (
        f"{line}; its {jobs} jobs have {JOB_HOURS * jobs} hours together, which may not do for {', '.join(beyond)}: give "
        "practice a longer runtime (set-resources in the profile) or more GPUs (training.gpus), or start the same command again."
    )


def disk_line(study: Study, figures: Figures) -> str:
    """What the table leaves out, since it depends on how many trainings a cluster runs at once."""
    width = 2 if study.training.precision == "pure-bf16" else 4
    each = 2 * 3 * width * figures.value("parameters")
    return (
        f"Disk counts one training at a time; each training that runs beside it keeps two checkpoints of its own, {_bytes(each)}. "
        "It does not count downloads and environments."
    )


def cost_table(parts: list[Stage]) -> str:
    header = ["stage", "jobs", "requests", "tokens", "(worst)", "GPU-hours", "(worst)", "CPU-hours", "(worst)", "disk", "(worst)"]  # fmt: skip
    rows = []
    for part in (*parts, total(parts)):
        mean, worst = part.expected, part.worst
        rows.append(
            [part.name, f"{part.jobs:,}", f"{part.requests:,}" if part.requests else "",
             _tokens(mean.tokens), _tokens(worst.tokens), _hours(mean.gpu_hours), _hours(worst.gpu_hours),
             _hours(mean.cpu_hours), _hours(worst.cpu_hours), _bytes(mean.disk_bytes), _bytes(worst.disk_bytes)]
        )  # fmt: skip
    return table(header, rows)


def examples_line(study: Study, figures: Figures) -> str:
    """Whether the filter is expected to leave as many samples as every arm trains on."""
    training = study.training
    if not figures.has("finished_share") or all(arm.keep != "finished" for arm in study.arms.values()):
        return ""
    left = training.samples * figures.value("finished_share")
    verdict = "which is enough" if left >= training.examples else "which is too few: raise training.samples or lower training.examples"  # fmt: skip
    return (
        f"Of {training.samples:,} samples about {left:,.0f} are expected to finish; every arm trains on "
        f"{training.examples:,}, {verdict}."
    )


def contexts_line(study: Study) -> str:
    """What the table counts of contexts."""
    if not asked_in_context(study):
        return ""
    return (
        f"Under contexts ({', '.join(asked_in_context(study))}) every problem is counted, and a completion as long as any other; a "
        "problem without a solution to be told of is skipped, and who is told one writes less."
    )


def money_line(whole: Stage, price: float | None) -> str:
    if price is None:
        return "" if not whole.expected.gpu_hours else "Money: state the price of a GPU-hour (--price) to see it."
    money = _money(whole, price)
    return f"Money: {money['expected']:,.0f} expected and {money['worst']:,.0f} at worst, at {price:g} per GPU-hour."


def power_table(found: list[Reach]) -> str:
    if not found:
        return ""
    rows = [
        [reach.hypothesis, reach.family, f"{reach.alpha:.4f}", str(reach.problems), f"{reach.draws} and {reach.draws_against}",
         _points(reach.detectable), _points(reach.equivalent_within), _points(reach.margin)]
        for reach in found
    ]  # fmt: skip
    header = [
        "hypothesis",
        "family",
        "level",
        "test problems",
        "answers per problem",
        "detects",
        "equal within",
        "margin",
    ]
    beyond = [reach.hypothesis for reach in found if reach.equivalent_of_claim > reach.margin]
    unreachable = (
        f"\nThis study can seldom show that equal arms are equal within the margin of {', '.join(beyond)}: take more problems or "
        "answers, choose a wider margin, or accept that the question stays open."
    )
    return (
        f"What this study detects with {POWER:.0%} power, in points of accuracy, at the level of Holm's first step in the family:\n"
        f"{table(header, rows)}\n"
        "detects: the smallest true difference that is found; equal within: the margin inside which equal arms are shown to be equal."
        f"{unreachable if beyond else ''}"
    )


def coupling_line(found: list[Reach]) -> str:
    """What shared random numbers save, as the problems that would do the same without."""
    saved = {
        reach.hypothesis: (reach.standard_error_uncoupled / reach.standard_error) ** 2
        for reach in found
        if reach.standard_error < reach.standard_error_uncoupled
    }
    if not saved:
        return ""
    least, most = (f"{value:.1f}" for value in (min(saved.values()), max(saved.values())))
    times = least if least == most else f"{least} to {most}"
    return (
        f"Shared random numbers (evaluation.coupling) narrow {', '.join(saved)}: with noise of their own they would need "
        f"{times} times the problems."
    )


def method_line(found: list[Reach]) -> str:
    """The second claim: what training anew would be expected to give."""
    if not any(reach.trainings for reach in found):
        return ""
    rows = [
        [reach.hypothesis, str(reach.trainings), *(
            "–" if value is None else _points(value) for value in (reach.detectable_of_method, reach.equivalent_of_method)
        )]
        for reach in found if reach.trainings
    ]  # fmt: skip
    return (
        "The lines above speak of these checkpoints. Of the method, which holds the noise of training anew (training_sd) and takes two "
        f"trainings or more:\n{table(['hypothesis', 'trainings', 'detects', 'equal within'], rows)}"
    )


def seen_lines(study: Study, figures: Figures) -> str:
    """Which differences that others reported this study could see, each by itself at the level of 5 %."""
    if not study.reported:
        return ""
    found = seen(study, figures)
    rows = [
        [each.name, each.of, str(each.problems), points(each.difference), _points(each.detectable), _yes(each.in_these_checkpoints),
         "–" if each.detectable_of_method is None else _points(each.detectable_of_method), _yes(each.in_the_method)]
        for each in found
    ]  # fmt: skip
    header = ["reported", "of", "test problems", "points", "detects", "sees it", "of the method", "sees it"]
    sources = "\n".join(f"  {each.name}: {each.source}" for each in found)
    return (
        f"What others reported, and whether this study could see it with {POWER:.0%} power at 5 %, each by itself:\n"
        f"{table(header, rows)}\n{sources}\n"
        "A part of the problems is taken to scatter as all of them do; that other problems might have been asked is in the error."
    )


def _yes(it_is: bool) -> str:
    return "yes" if it_is else "no"


def proposal_lines(proposal: Proposal | None) -> str:
    """Today's design beside the one that spends least."""
    if proposal is None:
        return ""
    lines = [f"This design: {_design(proposal.today)}"]
    if proposal.cheapest is not None:
        lines.append(f"Proposed: {_design(proposal.cheapest)}")
    if proposal.as_far is not None:
        share = proposal.as_far.tokens / proposal.today.tokens
        lines.append(f"No further than this design reaches, with {share:.2f} of its tokens: {_design(proposal.as_far)}")
    if proposal.beyond:
        lines.append(
            f"No design of up to {proposal.most_problems:,} problems settles {', '.join(proposal.beyond)}: choose a wider margin, or find "
            "more problems."
        )
    return (
        "To find or rule out a difference of each margin with 80% power (accuracy, tokens of the whole study):\n"
        + "\n".join(lines)
    )


def _design(design: Proposed) -> str:
    draws = f"base {design.draws.base} and arms {design.draws.arms} draws"
    trainings = "" if design.trainings is None else f", {design.trainings} trainings"
    return (
        f"{design.problems:,} problems, {draws}, {design.coupling} noise{trainings}: {_tokens(design.tokens)} tokens; the hardest, "
        f"{design.hardest}, is settled at {_points(design.margin_reached)} points (margin {_points(design.margin)})."
    )


def _data_of(design: Proposed | None) -> Any:
    return None if design is None else asdict(design) | {"draws": design.draws.model_dump()}


def figures_list(figures: Figures) -> str:
    lines = [f"The plan rests on these figures ({figures.file}):"]
    for how in HOWS:
        lines += [
            f"  {how:8}  {key}: {_plain(getattr(figure, 'per_second', None) or getattr(figure, 'value', 0.0))} ({figure.source})"
            for key, figure in figures.used.items()
            if figure.how == how
        ]
    return "\n".join(lines)


def actual_table(found: list[Found]) -> str:
    rows = [[each.what, _plain(each.planned), _plain(each.actual), _ratio(each)] for each in found]
    return table(["what", "planned", "found", "found / planned"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in (header, *rows)
    ]  # fmt: skip
    return "\n".join((lines[0], "-" * max(map(len, lines)), *lines[1:]))


def _money(whole: Stage, price: float) -> dict[str, float]:
    amounts: dict[str, Amount] = {"expected": whole.expected, "worst": whole.worst}
    return {name: amount.gpu_hours * price for name, amount in amounts.items()}


def _device(gpus: int, figures: Figures) -> str:
    return f"GPUs ({figures.gpu})" if gpus else "the CPU"


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    if not value:
        return ""
    size, unit = next(((size, unit) for size, unit in units if value >= size), units[-1])
    return f"{value / size:,.1f} {unit}"


def _tokens(value: float) -> str:
    return _scaled(value, ((1e9, "G"), (1e6, "M"), (1e3, "k")))


def _bytes(value: float) -> str:
    return _scaled(value, ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")))


def _hours(value: float) -> str:
    return "" if not value else f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def _points(share: float) -> str:
    return points(share, signed=False)


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _ratio(found: Found) -> str:
    return f"{found.actual / found.planned:.2f}" if found.planned and found.actual is not None else ""
