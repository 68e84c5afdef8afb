"""What a verdict says to a reader who sees only this line, and what its number describes."""

from collections.abc import Iterator, Mapping
from typing import Any

from selfdistill.foundation.wording import count, decode_in_words, number, plural, points
from selfdistill.study.sampling import Decode
from selfdistill.tables import words

Row = dict[str, Any]

OUTCOME_IN_WORDS = {
    words.ACCURACY: "accuracy",
    words.WHEN_BOTH_FINISHED: "accuracy where both finished",
    words.CUT_RATE: "the share of answers cut off",
    words.LOOP_RATE: "the share of answers that loop",
    words.MEAN_TOKENS: "mean length",
}


COUNTED = {
    words.ACCURACY: "Unfinished answers count as wrong.",
    words.WHEN_BOTH_FINISHED: "Pairs of answers that both finished count, a selection that training may move.",
    words.CUT_RATE: "The share of all answers that did not end by themselves.",
    words.LOOP_RATE: "The share of all answers whose tail repeats itself to the cap.",
    words.MEAN_TOKENS: "Tokens of all answers, those that were cut with their cap.",
}

KNOWS_THE_FORMAT = 0.05  # share of a side's answers below which its accuracy is one of form


def sentence(row: Row) -> str:
    """The verdict for a reader who sees only this line."""
    sides = f"{row['arm']} against {row['against']} at {row['decode_id']}"
    if row["comparison"] == words.FAIR:
        sides = f"{row['arm']} at {row['decode_id']} against {row['against']} at {row['against_decode_id']}"
        sides += ", each side's best on dev (the mean over its likely choices)"
    control = "Control (nothing was trained): " if row["role"] == words.CONTROL else ""
    return " ".join((f"{control}{sides}: {row['verdict']}.", _measured(row), *_beside(row)))


def amount(value: float | None, estimand: str, signed: bool = True) -> str:
    """A difference or a margin with its unit."""
    if estimand == words.MEAN_TOKENS:
        return f"{number(value, 1, signed)} tokens"
    return f"{points(value, signed=signed)} points"


def _measured(row: Row) -> str:
    estimand = row["estimand"]
    if row["estimate"] is None:
        return f"No {row['unit']}: nothing was measured."
    change = f"The difference in {OUTCOME_IN_WORDS[estimand]} is {amount(row['estimate'], estimand)}"
    if row["low"] is None:
        return f"{change}, without an interval (a single {row['unit']})."
    interval = f"95 % interval {amount(row['low'], estimand).split()[0]} to {amount(row['high'], estimand).split()[0]}"
    asked = " of being not worse" if row["question"] == "not_worse" else ""
    adjusted = f", {row['p_adjusted']:.2g} after Holm" if row["p_adjusted"] is not None else ""
    return f"{change} ({interval}; p{asked} = {row['p_value']:.2g}{adjusted})."


def _beside(row: Row) -> Iterator[str]:
    """What keeps the verdict from being read as more than it is."""
    margin = amount(row["margin"], row["estimand"], signed=False)
    if row["verdict"] in (words.IMPROVED, words.WORSE) and _within_margin(row):
        yield f"The whole interval is smaller than the margin of {margin}: too small to matter by this plan."
    if row["verdict"] == words.EQUIVALENT:
        adjusted = f"TOST p = {row['equivalence_p_adjusted']:.2g} after Holm"
        yield f"It lies within {margin} in either direction ({adjusted})."
    yield from _of_the_format(row)
    if row["verdict"] == words.NOT_MEASURABLE:
        yield from _why_not_measurable(row, margin)
    elif row["mde80"] is not None:
        power = amount(row["mde80"], row["estimand"], signed=False)
        if row["question"] == "not_worse":
            yield f"This study had 80 % power to show an equal arm not worse by {power}."
        else:
            yield f"This study had 80 % power for a true difference of {power}."
    yield claim_in_words(row)


def _of_the_format(row: Row) -> Iterator[str]:
    """Where a side does not know the asked format, a difference in accuracy is one of form before it is one of skill."""
    if row["estimand"] != words.ACCURACY or row["verdict"] == words.NOT_MEASURABLE:
        return
    for side, rate in ((row["arm"], row["boxed_rate"]), (row["against"], row["against_boxed_rate"])):
        if rate is not None and rate < KNOWS_THE_FORMAT:
            yield (
                f"Only {number(100 * rate, 1)} % of the answers of {side} are in the asked format: the difference says who "
                "knows the format, not who can solve the problems."
            )


def _within_margin(row: Row) -> bool:
    return row["low"] is not None and max(abs(row["low"]), abs(row["high"])) < row["margin"]


def _why_not_measurable(row: Row, margin: str) -> Iterator[str]:
    def both(mine: float, other: float) -> str:
        return f"{number(100 * mine, 1)} % ({row['arm']}) and {number(100 * other, 1)} % ({row['against']})"

    if row["level"] is None:
        return
    levels = both(row["level"], row["against_level"])
    if max(row["level"], row["against_level"]) < row["margin"]:
        yield f"Only {levels} of the answers are right, so that no fall of {margin} could be seen."
        yield f"In the asked format are {both(row['boxed_rate'], row['against_boxed_rate'])}."
    else:
        yield f"Of the answers {levels} are right, so that no gain of {margin} could be seen."


def claim_in_words(row: Row) -> str:
    seeds = row["training_seeds"]
    if not seeds:
        return "Nothing was trained."
    if row["claim"] == words.METHOD:
        return f"It speaks of the method, from {plural(seeds, 'training')}."
    if seeds == 1:
        return "It speaks of these checkpoints, not of the method: one training cannot tell how another would turn out."
    return "It speaks of these checkpoints, not of the method."


def estimand_line(row: Row, decodes: Mapping[str, Decode]) -> str:
    """What the number describes: population, training, decoding rule, token cap and how unfinished answers count."""
    units = "problems" if row["unit"].startswith(words.PROBLEM) else "families of problems"
    population = f"Population: problems like the {count(row['n'])} {units} of the test split. {claim_in_words(row)}"
    sides = dict.fromkeys((row["decode_id"], row["against_decode_id"]))
    rules = "; ".join(
        f"{name}: {decode_in_words(decodes[name].model_dump(), 'temperature', 'capped at')}" for name in sides
    )
    choice = "the same on both sides"
    if row["comparison"] == words.FAIR:
        choice = (
            f"on each side the most accurate on dev (resampled dev problems choose {row['chosen']} for {row['arm']} and "
            f"{row['against_chosen']} for {row['against']}; the number is the mean over these choices)"
        )
    return f"{population} Decoding, {choice}: {rules}. {COUNTED[row['estimand']]}"
