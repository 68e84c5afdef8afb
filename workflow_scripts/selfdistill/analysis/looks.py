"""What a look decides: which hypotheses are settled, which cannot be settled any more, and which go on.

A hypothesis is judged at each look on the problems answered so far, and its errors must hold for all looks together:
    found        its two-sided p at this look is below what the spending function leaves for it here
    equivalent   both one-sided tests are below what theirs leaves
    futile       no truth that matters would give it a verdict at the last look with a chance of 10 % or more
Each p becomes a p of all looks together (`statistics/sequential.py: sequential_p`), and Holm takes those as it takes any.
That is Holm with each hypothesis' own boundary at the level of its step (Maurer and Bretz 2013): the p of all looks is a
p-value whenever a hypothesis stops, so that Holm controls the family's error although its members stop at different looks.
A hypothesis that is settled as equivalent or as futile gives its level to no other. Futility binds nobody: going on
nevertheless raises no error.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from selfdistill.analysis.differences import judged_of
from selfdistill.analysis.problem_means import known
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.wording import count
from selfdistill.statistics.intervals import UNKNOWN, Interval
from selfdistill.statistics.multiplicity import ALPHA
from selfdistill.statistics.normal import normal_reached_above
from selfdistill.statistics.sequential import boundaries, chance_above, nominal_levels, sequential_p
from selfdistill.study.evaluation import size_of
from selfdistill.study.looks import Closed, Record
from selfdistill.tables import words
from selfdistill.tables.analysis import LOOKS
from selfdistill.tables.schema import conform

FOUND = (words.IMPROVED, words.WORSE, words.HIGHER, words.LOWER, words.NOT_WORSE)
FUTILE = 0.10  # below this chance of a verdict at the last look, a hypothesis is sampled no further

Row = dict[str, Any]


@dataclass(frozen=True)
class Schedule:
    """The looks of a study, and where it stands."""

    sizes: tuple[int, ...]  # problems at each look, dev and test
    times: tuple[float, ...]  # share of the last look's information
    current: int  # from 1
    closed: Mapping[str, Closed] = field(default_factory=dict)

    @property
    def is_last(self) -> bool:
        return self.current == len(self.sizes)

    def bar(self, level: float) -> float:
        """What a one-sided p of this look must be below, at a level for all looks."""
        return nominal_levels(self.times, level)[self.current - 1]

    def over_all_looks(self, p: float | None, sides: int) -> float | None:
        if p is None or math.isnan(p):
            return None
        return min(1.0, sides * sequential_p(p / sides, self.current, self.times))


def schedule(record: Record, evaluation: pl.DataFrame) -> Schedule:
    """The information of a look is how many families of test problems it has (of problems where each is its own)."""
    sizes = tuple(size_of(size, evaluation.height) for size in record.looks)
    if list(sizes) != sorted(set(sizes)) or sizes[-1] > evaluation.height:
        raise UserError(
            f"evaluation.looks: {', '.join(map(str, sizes))} do not rise to the {evaluation.height} problems that there are without "
            "duplicates and contamination; lower them."
        )
    test = evaluation.filter(pl.col("split") == "test").with_columns(pl.col("family").fill_null(pl.col("problem_id")))
    families = [test.filter(pl.col("rank") < size)["family"].n_unique() for size in sizes]
    if not families[0]:
        raise UserError(
            f"evaluation.looks: none of the first {sizes[0]} problems is in test; make the first look larger."
        )
    for earlier, later, before, after in zip(sizes, sizes[1:], families, families[1:], strict=False):
        if before == after:
            raise UserError(
                f"evaluation.looks: {later} problems hold no more families of test problems than {earlier}; set them further apart."
            )
    return Schedule(sizes, tuple(n / families[-1] for n in families), record.current, record.closed)


def repeated_interval(row: Row, looks: Schedule) -> Interval:
    """The interval that covers at all looks together in 95 % (Jennison and Turnbull 1989). It leaves 0 out exactly where p
    is below this look's bar, before Holm."""
    return judged_of(row).interval(1 - 2 * looks.bar(ALPHA / 2))


def chance_of_a_verdict(row: Row, looks: Schedule, level: float, equivalence_level: float) -> float | None:
    """At the last look, under the truth most favourable to one: no effect, the margin either way, or what is seen now.

    With Z's boundary b at the last look and the margin m standard errors wide there, a verdict is |Z| > b or |Z| < m − c.
    """
    error, estimate = row["standard_error"], row["estimate"]
    if looks.is_last or not error or estimate is None or row["p_value"] is None:
        return None
    time = looks.times[looks.current - 1]
    z = normal_reached_above(max(row["p_value"], 1e-300) / 2)
    margin = row["margin"] / (error * math.sqrt(time))
    found = boundaries(looks.times, level / 2)[-1]
    if row["question"] == "not_worse":  # one test, of a difference that lies the margin above what it must beat
        return max(chance_above(found, z * math.sqrt(time), time, drift) for drift in (margin, z / math.sqrt(time)))
    z = math.copysign(z, estimate)
    equal = margin - boundaries(looks.times, equivalence_level)[-1]
    return best_chance(found, equal, margin, z * math.sqrt(time), time)


def best_chance(found: float, equal: float, margin: float, position: float, time: float) -> float:
    """Of ending with |Z| > found or |Z| < equal, from B(time) = position, under the most favourable truth."""
    return max(_chance(found, equal, position, time, drift) for drift in (0.0, margin, -margin, position / time))


def _chance(found: float, equal: float, position: float, time: float, drift: float) -> float:
    outside = chance_above(found, position, time, drift) + 1 - chance_above(-found, position, time, drift)
    inside = (
        chance_above(-equal, position, time, drift) - chance_above(equal, position, time, drift) if equal > 0 else 0.0
    )
    return min(1.0, outside + inside)


def with_looks(rows: Sequence[Row], looks: Schedule) -> list[Row]:
    """The rows of the verdicts before Holm, with the p-values of all looks together that he is to take (`p_of_looks`,
    `equivalence_p_of_looks`). Open hypotheses get the repeated interval; closed ones are as they were. Controls decide
    nothing: they are judged on what is there, and keep their p."""
    return [_with_looks(row, looks) for row in rows]


def _with_looks(row: Row, looks: Schedule) -> Row:
    if row["role"] != words.HYPOTHESIS:
        return row | {"p_of_looks": row["p_value"], "equivalence_p_of_looks": row["equivalence_p"]}
    if closed := looks.closed.get(row["hypothesis"]):
        return row | closed.row | {name: closed.judged[name] for name in ("p_of_looks", "equivalence_p_of_looks")}
    interval = UNKNOWN if row["estimate"] is None else repeated_interval(row, looks)
    return row | {
        "low": known(interval.low),
        "high": known(interval.high),
        "p_of_looks": looks.over_all_looks(row["p_value"], 2),
        "equivalence_p_of_looks": looks.over_all_looks(row["equivalence_p"], 1),
    }


def as_closed(rows: Sequence[Row], looks: Schedule) -> list[Row]:
    """What an earlier look closed keeps its words and its adjusted p, whatever the rest of its family has done since."""
    return [row | looks.closed[row["hypothesis"]].row if row["hypothesis"] in looks.closed else row for row in rows]


def judged(rows: Sequence[Row], looks: Schedule) -> pl.DataFrame:
    """Rows of the verdicts, with their words, in; LOOKS out: one row for each hypothesis."""
    hypotheses = [row for row in rows if row["role"] == words.HYPOTHESIS]
    found = [
        looks.closed[row["hypothesis"]].judged if row["hypothesis"] in looks.closed else _judged(row, hypotheses, looks)
        for row in hypotheses
    ]
    return conform(pl.DataFrame(found, schema=LOOKS), LOOKS, "looks")


def _judged(row: Row, hypotheses: Sequence[Row], looks: Schedule) -> Row:
    family = [other for other in hypotheses if other["family"] == row["family"] and other is not row]
    asked = [other for other in family if other["p_value"] is not None]
    found = sum(other["verdict"] in FOUND for other in asked)
    equal = sum(other["verdict"] == words.EQUIVALENT for other in asked)
    level, equivalence_level = (ALPHA / (len(asked) + 1 - others) for others in (found, equal))
    chance = chance_of_a_verdict(row, looks, level, equivalence_level)
    judged = {
        "hypothesis": row["hypothesis"],
        "family": row["family"],
        "look": looks.current,
        "looks": len(looks.sizes),
        "problems": looks.sizes[looks.current - 1],
        "problems_of_all_looks": looks.sizes[-1],
        "information": looks.times[looks.current - 1],
        "p_value": row["p_value"],
        "p_of_looks": row["p_of_looks"],
        "bar": 2 * looks.bar(level / 2),
        "equivalence_p": row["equivalence_p"],
        "equivalence_p_of_looks": row["equivalence_p_of_looks"],
        "equivalence_bar": looks.bar(equivalence_level),
        "interval_level": 1 - 2 * looks.bar(ALPHA / 2),
        "chance": chance,
        "verdict": row["verdict"],
        "state": _state(row, chance, looks),
    }
    return judged | {"sentence": sentence(judged)}


def _state(row: Row, chance: float | None, looks: Schedule) -> str:
    if row["verdict"] in (*FOUND, words.EQUIVALENT):
        return words.SETTLED
    if looks.is_last:
        return words.LAST_LOOK
    hopeless = row["verdict"] == words.NOT_MEASURABLE or (chance is not None and chance < FUTILE)
    return words.GIVEN_UP if hopeless else words.GOES_ON


def sentence(row: Row) -> str:
    """For the report, under the answer."""
    where = f"Look {row['look']} of {row['looks']} ({count(row['problems'])} of {count(row['problems_of_all_looks'])} problems)"
    test, bar = ("the equivalence p", "equivalence_bar") if row["verdict"] == words.EQUIVALENT else ("p", "bar")
    said = f"{where}: {test} must be below {row[bar]:.2g} at this look, not below {ALPHA:g}."
    return " ".join((said, *_what_follows(row)))


def _what_follows(row: Row) -> Iterator[str]:
    if row["look"] == row["looks"]:
        return
    if row["state"] == words.SETTLED:
        yield "That settles it, and nothing more is sampled for it."
        if row["verdict"] != words.EQUIVALENT:
            yield "It stopped where the difference was seen large, so the estimate is too large on average; its interval holds."
    elif row["verdict"] == words.NOT_MEASURABLE:
        yield "More problems would not make it measurable, so nothing more is sampled for it."
    elif row["state"] == words.GIVEN_UP:
        yield f"A verdict at the last look has a chance below {FUTILE:.0%}, so nothing more is sampled for it; it stays open."
    else:
        yield "It is not settled and goes on to the next look."


def after(record: Record, verdicts: pl.DataFrame, looks: pl.DataFrame) -> Record:
    """The record of the next look: what this one closed, as its rows in the tables have it."""
    rows = {row["hypothesis"]: row for row in verdicts.to_dicts() if row["role"] == words.HYPOTHESIS}
    closed = {
        row["hypothesis"]: Closed(look=row["look"], row=rows[row["hypothesis"]], judged=row)
        for row in looks.to_dicts()
        if row["state"] != words.GOES_ON
    }
    return record.model_copy(update={"current": record.current + 1, "closed": {**closed, **record.closed}})
