"""The page of the calibration: a table for each question, what misses its goal flagged, the version before beside it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from scipy import stats

from calibrating.cells import (
    DIFFERENCE,
    EQUIVALENCE,
    EXTREMES,
    FAIR,
    LOOKS,
    METHOD,
    POWER,
    SQUARE,
    Cell,
    cells,
)
from calibrating.measures import CHECKPOINTS, THE_METHOD

Found = dict[str, Any]

COVERAGE, ERRORS, POWERS = (0.93, 0.97), (0.0, 0.06), (0.77, 0.83)
AT_LEAST = (0.93, 1.0)
NONE, ALL = (0.0, 0.0), (1.0, 1.0)
MISS, LUCK = "**✗**", "(✗)"


@dataclass(frozen=True)
class Column:
    head: str
    measure: str
    goal: tuple[float, float]
    interval: bool = False

    def of(self, found: Found | None) -> str:
        counts = (found or {}).get("counts", {}).get(self.measure)
        if not counts:
            return ""
        held, asked = counts
        low, high = binomial_interval(held, asked)
        said = share(held / asked)
        if self.interval:
            said += f" [{share(low)}, {share(high)}]"
        return f"{said} {flag(held, asked, self.goal)}".strip()


def binomial_interval(held: int, asked: int) -> tuple[float, float]:
    found = stats.binomtest(held, asked).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def flag(held: int, asked: int, goal: tuple[float, float]) -> str:
    """Outside of the goal: by more than the luck of so many studies, or not."""
    low, high = goal
    if low - 1e-9 <= held / asked <= high + 1e-9:
        return ""
    below, above = binomial_interval(held, asked)
    return MISS if goal in (NONE, ALL) or below > high or above < low else LUCK


def share(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else "1"


def covers(claim: str) -> Column:
    return Column(f"covers, {claim}", f"covered, {claim}", COVERAGE, interval=True)


def errs(claim: str) -> Column:
    return Column(f"p < .05, {claim}", f"false positive, {claim}", ERRORS)


def agrees(claim: str) -> Column:
    return Column("p against interval", f"p and interval disagree, {claim}", NONE)


TABLES: dict[str, tuple[str, list[Column]]] = {
    DIFFERENCE: (
        "An arm against the base on the same problems: the interval speaks of these two checkpoints, for problems of this kind. "
        "There is no true difference unless a cell names one.",
        [
            covers(CHECKPOINTS),
            errs(CHECKPOINTS),
            agrees(CHECKPOINTS),
            Column("levels cover", "covered, level", COVERAGE),
            Column("a false word", "a false word", ERRORS),
        ],
    ),
    METHOD: (
        "Trainings of one arm that differ by chance alone (SD of their true accuracies: 0, or 1.5 points). A claim about these "
        "checkpoints is held against what is true of them; a claim about the method against the mean of all trainings. With one "
        "training nothing can be said of the method. A false word is a verdict that is not true of what it claims; before, verdicts "
        "named no claim and were read as of the method.",
        [
            covers(CHECKPOINTS),
            covers(THE_METHOD),
            errs(THE_METHOD),
            agrees(THE_METHOD),
            Column("a false word", "a false word", ERRORS),
        ],
    ),
    SQUARE: (
        "Four arms without any effect; each of the two main effects and the interaction is held against the truth.",
        [
            covers(CHECKPOINTS),
            covers(THE_METHOD),
            errs(THE_METHOD),
            Column(
                "one of three false after Holm, the method", f"a false effect among the three, {THE_METHOD}", ERRORS
            ),
        ],
    ),
    POWER: (
        "The true difference is the one that the studies state they find with 80 % power (their “mde80”): how often is it found?",
        [
            Column("found, these checkpoints", f"found, {CHECKPOINTS}", POWERS, interval=True),
            Column("found, the method", f"found, {THE_METHOD}", POWERS, interval=True),
        ],
    ),
    EQUIVALENCE: (
        "The true difference is exactly the margin: how often is it called equivalent (TOST p < .05)?",
        [Column("called equivalent", "equivalent at the margin", ERRORS, interval=True)],
    ),
    FAIR: (
        "Each side at the best of its decodes, chosen on dev, reported on test. A model against itself must find nothing, "
        "whichever decodes it was offered.",
        [
            covers(CHECKPOINTS),
            errs(CHECKPOINTS),
            agrees(CHECKPOINTS),
            Column("found", f"found, {CHECKPOINTS}", (0.0, 1.0)),
        ],
    ),
    LOOKS: (
        "The same hypotheses judged at a third, two thirds and all of the problems, margin 5 points, and stopped as soon as they are "
        "settled or hopeless: a false word at any look counts once. The interval is the one that holds for all looks.",
        [
            Column("a false word", "a false word", ERRORS, interval=True),
            Column("covers", f"covered, {CHECKPOINTS}", AT_LEAST),
        ],
    ),
    EXTREMES: (
        "Where (nearly) all answers are wrong, or right, on both sides. There is no difference.",
        [
            covers(CHECKPOINTS),
            errs(CHECKPOINTS),
            Column("levels cover", "covered, level", COVERAGE),
            Column("a false word", "a false word", ERRORS),
        ],
    ),
}
NUMBERS: dict[str, dict[str, Callable[[Found], str]]] = {
    POWER: {"true difference, points": lambda found: f"{100 * found['effect']:.1f}" if found.get("effect") else ""},
    DIFFERENCE: {"bias, points": lambda found: _mean(found, f"bias, {CHECKPOINTS}")},
    METHOD: {"bias, points": lambda found: _mean(found, f"bias, {THE_METHOD}")},
    EXTREMES: {"words given": lambda found: _words(found)},
    LOOKS: {
        "words given": lambda found: _words(found),
        "share of the problems asked": lambda found: f"{found['means']['problems asked'][0]:.2f}",
    },
}


def page(now: Found, before: Found) -> str:
    machine, was = now["machine"], before.get("machine", {})
    lines = [
        "# Do the statistics hold what they say?",
        "",
        f"`python benchmarks/calibration.py`, {now['date']}, {machine['machine']}, Python {machine['python']}, commit "
        f"{machine['commit'][:10]}.",
        "",
        "Studies whose truth is known are simulated (`tests/simulated_studies.py`) and sent through the functions that judge real",
        "ones: `analysis.levels`, `comparisons`, `verdicts`, `factorial`. Each row is a cell of that many simulated studies. Of an",
        "interval for 95 % a true value must lie in it in 95 of 100 studies; where nothing is true, p < .05 in 5 of 100.",
        "",
        "Goals: coverage .93 to .97; false positives, false words and false equivalence at most .06; power .77 to .83; p and interval",
        f"never disagree about zero. {MISS}: outside of the goal by more than the luck of the simulation (its 95 % binomial interval",
        f"lies outside). {LUCK}: outside, but luck could have done it. Unless a cell says otherwise: base accuracy 64 %, difficulty",
        "logit-normal (SD 1.5), arm and base as alike as related models are, no training effect, every problem a family of its own.",
    ]
    if was:
        lines += [
            "",
            f"Columns “before” are the same cells on the functions of commit {was['commit'][:10]} (`--before`, "
            f"{before['date']}).",
        ]
    lines += ["", *_summary(now), ""]
    for question in TABLES:
        lines += _table(question, now, before)
    return "\n".join(lines) + "\n"


def _summary(now: Found) -> Iterator[str]:
    met = missed = lucky = 0
    for cell in cells():
        found = now["cells"].get(cell.title)
        for column in TABLES[cell.question][1]:
            said = column.of(found)
            met += bool(said) and "✗" not in said
            missed += MISS in said
            lucky += LUCK in said
    total = met + missed + lucky
    yield (
        f"**{met:,} of {total:,} figures meet their goal; {lucky} are outside by what luck explains, {missed} by more.** "
        f"Of {total:,} figures of a perfect method some {round(0.02 * total)} would be outside by luck."
    )


def _table(question: str, now: Found, before: Found) -> Iterator[str]:
    text, columns = TABLES[question]
    numbers = NUMBERS.get(question, {})
    of_question = [cell for cell in cells() if cell.question == question]
    earlier = [before["cells"].get(cell.title) for cell in of_question]
    columns = [c for c in columns if any(c.of(found) for found in _found(of_question, now, before))]
    compared = [column for column in columns if any(column.of(found) for found in earlier)]
    heads = ["cell", *numbers, *(column.head for column in columns)]
    heads += [f"before: {column.head}" for column in compared]
    heads += [f"before: {name}" for name in numbers if question == EXTREMES]
    yield from (f"## {question}", "", text, "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}")
    for cell, was in zip(of_question, earlier, strict=True):
        found = now["cells"].get(cell.title)
        row = [cell.name + (f" (margin {100 * cell.margin:g})" if question == EQUIVALENCE else "")]
        row += [number(found) if found else "" for number in numbers.values()]
        row += [column.of(found) for column in columns]
        row += [Column(c.head, c.measure, c.goal).of(was) for c in compared]
        row += [number(was) if was else "" for name, number in numbers.items() if question == EXTREMES]
        yield f"| {' | '.join(row)} |"
    yield ""


def _found(of_question: list[Cell], now: Found, before: Found) -> Iterator[Found]:
    for cell in of_question:
        for where in (now, before):
            if cell.title in where["cells"]:
                yield where["cells"][cell.title]


def _mean(found: Found, what: str) -> str:
    if what not in found["means"]:
        return ""
    mean, error = found["means"][what]
    return f"{100 * mean:+.2f} ± {196 * error:.2f}"


def _words(found: Found) -> str:
    said = sorted(found["words"].items(), key=lambda item: -item[1])
    return ", ".join(f"{word} {number}" for word, number in said)
