"""Tables of the ladder: every rung, the steps between them, words one by one, what each context told."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.ladder import (
    chosen_of_asked,
    climbers,
    contexts,
    first_level,
    information_rows,
    ladder_rows,
    nats_are_divergences,
    tests_of,
)
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table, word
from selfdistill.tables import words

COLUMNS = {
    words.ACCURACY: "right",
    words.MEAN_TOKENS: "tokens",
    words.DOUBTS: words.DOUBTS,
    words.DOUBT_RATE: f"per {fmt.count(1000)} tokens",
}
DIGITS = {words.MEAN_TOKENS: 0, words.DOUBTS: 2, words.DOUBT_RATE: 1}


def rungs(inputs: ReportInputs) -> Table | None:
    """The levels of every climber on every rung."""
    groups = [Group(_rungs_of(inputs, model), title=_counted(inputs, model)) for model in climbers(inputs)]
    if not groups:
        return None
    fewer = chosen_of_asked(inputs)
    chosen = f" {fmt.count(fewer[0])} of {fmt.plural(fewer[1], 'problem')} asked for could be chosen." if fewer else ""
    return Table(
        "The same problems, told more and more",
        ["told", *COLUMNS.values(), "answers"],
        groups,
        "analysis/ladder.parquet",
        "95 % intervals of single levels over the problems or families named: Wilson's at the effective n of shares, t of means, and of "
        f"the ratio of all doubts to all tokens. Compare rungs by their steps, which are paired by problem, and not by the overlap of these. A problem without an answer on every rung counts on none.{chosen}",
    )


def _counted(inputs: ReportInputs, model: str) -> str:
    """A climber, and how much its levels stand on."""
    level = first_level(inputs, model)
    left_out = f", {fmt.plural(level['left_out'], 'chosen problem')} left out" if level["left_out"] else ""
    return f"{model}: {fmt.plural(level['n'], level['unit'])}{left_out}"


def _rungs_of(inputs: ReportInputs, model: str) -> list[Row]:
    levels = ladder_rows(inputs, model).filter(pl.col("against").is_null())
    found = []
    for context in contexts(inputs):
        here = {row["measure"]: row for row in levels.filter(pl.col("context") == context).iter_rows(named=True)}
        if here:
            cells = [_level(here[measure]) if measure in here else fmt.MISSING for measure in COLUMNS]
            found.append(Row([context, *cells, fmt.count(next(iter(here.values()))["answers"])]))
    return found


def _level(row: dict[str, Any]) -> str:
    if row["measure"] == words.ACCURACY:
        return numbered(fmt.percent_with_interval(row), "ladder", row)
    digits = DIGITS[row["measure"]]
    cell = f"{fmt.number(row['estimate'], digits)} {fmt.interval(row['low'], row['high'], digits)}".strip()
    return numbered(cell, "ladder", row)


def _change(row: dict[str, Any]) -> str:
    if row["measure"] == words.ACCURACY:
        return fmt.points_with_interval(row)
    digits = DIGITS[row["measure"]]
    return f"{fmt.number(row['estimate'], digits, signed=True)} {fmt.interval(row['low'], row['high'], digits, signed=True)}".strip()


def steps(inputs: ReportInputs) -> Table | None:
    """From each rung to the next, of the first climber."""
    models = climbers(inputs)
    if not models:
        return None
    order = contexts(inputs)
    groups = []
    for measure, column in COLUMNS.items():
        rows = ladder_rows(inputs, models[0]).filter(pl.col("measure") == measure, pl.col("p_adjusted").is_not_null())
        cells = [
            Row(
                [
                    f"{row['against']} → {row['context']}",
                    numbered(_change(row), "ladder", row),
                    fmt.p_value(row["p_value"]),
                    numbered(fmt.p_value(row["p_adjusted"]), "ladder", row, "p_adjusted"),
                ]
            )
            for row in rows.sort("rung").iter_rows(named=True)
            if order.index(row["context"]) == order.index(row["against"]) + 1
        ]
        groups.append(Group(cells, title=column))
    return Table(
        f"Every step, of {models[0]}",
        ["step", "difference", "p", "p, Holm"],
        groups,
        "analysis/ladder.parquet",
        "Paired by problem: of shares by Tango's score statistic, in percentage points, else by t. Holm over the steps of one measure.",
    )


def order(inputs: ReportInputs) -> Table | None:
    """Whether the rungs are in the order that was said beforehand."""
    groups = [Group(rows, title=model) for model in climbers(inputs) if (rows := _tests(inputs, model))]
    if not groups:
        return None
    return Table(
        "Are the rungs in order?",
        [
            "measure",
            "said to",
            "rank correlation with the order",
            "p, Holm",
            "trend",
            "p of every step, Holm",
            "every step",
        ],
        groups,
        "analysis/ladder_tests.parquet",
        "The trend is Page’s, with an error over families of problems. That every step goes the way that was said is shown only as well as its least "
        "sure step: the largest of their one-sided p. Holm over the measures and models of each test.",
        frozenset({0, 1, 4, 6}),
    )


def _tests(inputs: ReportInputs, model: str) -> list[Row]:
    found = []
    for measure, column in COLUMNS.items():
        trend, every = (tests_of(inputs, model, measure, test) for test in (words.TREND, words.EVERY_STEP))
        if trend and every:
            along = f"{fmt.number(trend['estimate'], 2, signed=True)} {fmt.interval(trend['low'], trend['high'], 2, signed=True)}".strip()
            found.append(
                Row([column, trend["expected"], numbered(along, "ladder_tests", trend), *_judged(trend), *_judged(every)])
            )  # fmt: skip
    return found


def _judged(row: dict[str, Any]) -> list[str]:
    cells = {"p_adjusted": fmt.p_value(row["p_adjusted"]), "verdict": word(row["verdict"])}
    return [numbered(cell, "ladder_tests", row, column) for column, cell in cells.items()]


def across_models(inputs: ReportInputs) -> Table | None:
    """From the first rung to the last, each other climber's change less the first one's."""
    models = climbers(inputs)
    rows = []
    for model in models[1:]:
        cells = []
        for measure in COLUMNS:
            row = tests_of(inputs, model, measure, words.STEEPNESS)
            cell = f"{_change(row)} (p, Holm {fmt.p_value(row['p_adjusted'])})" if row else fmt.MISSING
            cells.append(numbered(cell, "ladder_tests", row))
        rows.append(Row([model, *cells]))
    if not any(tests_of(inputs, model, measure, words.STEEPNESS) for model in models[1:] for measure in COLUMNS):
        return None
    last = contexts(inputs)[-1]
    return Table(
        f"What being told changes, against what it changes for {models[0]}",
        ["model", *COLUMNS.values()],
        [Group(rows)],
        "analysis/ladder_tests.parquet",
        f"From {contexts(inputs)[0]} to {last}: the model's change less that of {models[0]}, on the same problems. A model that has unlearnt to doubt "
        "has less to lose by being told, so that its change is smaller.",
    )


def word_by_word(inputs: ReportInputs) -> Table | None:
    """How often each marker stands in an answer, on every rung, of the first climber."""
    models = climbers(inputs)
    if not models or inputs.ladder is None:
        return None
    rows = inputs.ladder.filter(
        pl.col("model_id") == models[0],
        pl.col("word").is_not_null(),
        pl.col("measure") == words.DOUBTS,
        pl.col("against").is_null(),
    )
    found = []
    for marker in rows["word"].unique(maintain_order=True):
        here = {row["context"]: row for row in rows.filter(pl.col("word") == marker).iter_rows(named=True)}
        if any(row["estimate"] for row in here.values()):
            found.append(Row([str(marker), *(_level(here[context]) for context in contexts(inputs))]))
    if not found:
        return None
    return Table(
        f"Word by word, of {models[0]}",
        ["word", *contexts(inputs)],
        [Group(found)],
        "analysis/ladder.parquet",
        "Per answer, with 95 % t intervals over problems. Words that nobody wrote are left out.",
    )


DIVERGENCE = (
    "The first is a divergence: it adds what the context tells to all in which the bare model is not the one that knows "
    "nothing, and few texts make much of it."
)
NO_DIVERGENCE = (
    "The first is no divergence here: the texts were sampled with truncation, a penalty or at another temperature than 1, and "
    "are read at 1 without; few texts make much of it."
)


def information(inputs: ReportInputs) -> Table | None:
    groups = [Group(_told(inputs, model), title=model) for model in climbers(inputs)]
    groups = [group for group in groups if group.rows]
    if not groups:
        return None
    return Table(
        "How much was told, in nats",
        [
            "told",
            *words.INFORMATION_MEASURES,
            "tokens of a told text",
            "of the first, from the top twentieth",
            "bare surprise of the answer",
        ],
        groups,
        "analysis/information.parquet",
        "Means over problems with 95 % t intervals. None of the three is the mutual information of the paper. "
        f"{DIVERGENCE if nats_are_divergences(inputs) else NO_DIVERGENCE} The second only orders contexts, "
        "for the bare model is not calibrated where it is made to answer at once: its surprise may exceed that of a guess. The third is what texts written "
        "without the context lose of their likelihood with it: it measures style, and was taken for information with its sign turned.",
    )


def _told(inputs: ReportInputs, model: str) -> list[Row]:
    found = []
    for context in contexts(inputs):
        here = information_rows(inputs, model, context)
        if here:
            cells = [_nats(here.get(measure)) for measure in words.INFORMATION_MEASURES]
            texts, probe = here.get(words.TOLD_INFORMATION, {}), here.get(words.ANSWER_PROBE, {})
            found.append(
                Row(
                    [
                        context,
                        *cells,
                        numbered(fmt.number(texts.get("tokens"), 0), "information", texts, "tokens"),
                        numbered(fmt.percent(texts.get("from_few"), 0), "information", texts, "from_few"),
                        numbered(fmt.number(probe.get("untold"), 2), "information", probe, "untold"),
                    ]
                )
            )
    return found


def _nats(row: dict[str, Any] | None) -> str:
    if not row:
        return fmt.MISSING
    ends = fmt.interval(row["low"], row["high"], 2, signed=True)
    return numbered(f"{fmt.number(row['estimate'], 2, signed=True)} {ends}".strip(), "information", row)
