"""What it would take to settle each hypothesis: in problems, in draws, in trainings, and the mix that costs least.

VERDICTS, VARIANCE and COMPARISONS in, VERDICTS out with the columns of `SETTLING` filled. A question is settled at its
margin and at the level of its family (`statistics/designs.py`), never at the effect seen. Cost is in tokens of the answers to
this comparison, and of trainings beyond those that it had.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import polars as pl

from selfdistill.analysis.components import components_of
from selfdistill.analysis.sentences import amount
from selfdistill.foundation.wording import count, number, plural
from selfdistill.statistics.components import Answers, Components, Design, SideComponents, variance_of_difference
from selfdistill.statistics.designs import Candidate, Question, cheapest, fewest_problems, settles
from selfdistill.study.answers import answers_of
from selfdistill.study.evaluation import Draws
from selfdistill.tables import words
from selfdistill.tables.analysis import SETTLING, VERDICTS
from selfdistill.tables.schema import conform

Row = dict[str, Any]

TRIED_DRAWS = (1, 2, 3, 4, 6, 8, 12, 16)
FURTHER = 4  # times the draws that were measured: what lies between problems is known too little to go beyond
TRIED_TRAININGS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
MANY = 1000  # draws or trainings: if these do not settle it, none would
UNDIVIDED = Components(problems=0.0, side=SideComponents(0.0), other=SideComponents(0.0), tells_draws=False)
COMPARED = ("arm", "against", "comparison", "decode_id", "against_decode_id", "estimand")


@dataclass(frozen=True)
class Open:
    """One hypothesis with all that its design could be: the components of its error and what its answers cost."""

    components: Components
    design: Design
    question: Question
    trained: tuple[bool, bool]
    tokens: tuple[float, float]  # of an answer of each side
    tokens_of_training: float

    @property
    def draws(self) -> Draws:
        """Of the base and of the arms, as far as they are in it."""
        sides = list(zip(self.trained, (self.design.side, self.design.other), strict=True))
        of_base, of_arms = (
            [round(asked.draws) for trained, asked in sides if trained is kind] for kind in (False, True)
        )
        noises = (
            max(*self.design.side.noises, *self.design.other.noises) + 1
        )  # trainings took turns at so many of the base
        return Draws(base=(of_base or [noises])[0], arms=(of_arms or of_base)[0])

    def asked(self, draws: Draws, trainings: int | None = None) -> Design:
        """The same problems with other draws, and so many trainings of each side that was trained."""

        def side(is_trained: bool, asked: Answers) -> Answers:
            return answers_of(draws, (trainings or asked.trainings) if is_trained else None)

        mine, other = (side(*pair) for pair in zip(self.trained, (self.design.side, self.design.other), strict=True))
        return replace(self.design, side=mine, other=other)

    def candidate(self, design: Design) -> Candidate:
        by_problem = len(design.side) * self.tokens[0] + len(design.other) * self.tokens[1]
        more = sum(
            max(0, asked.trainings - before.trainings)
            for asked, before in ((design.side, self.design.side), (design.other, self.design.other))
        )
        return Candidate(design, by_problem, more * self.tokens_of_training)

    def candidates(self) -> Iterator[Candidate]:
        now = self.draws
        tried = [each for each in TRIED_DRAWS if each <= FURTHER * max(now.base, now.arms)]
        tells = self.components.tells_draws
        of_base = tried if tells and not all(self.trained) else [now.base]
        of_arms = tried if tells and any(self.trained) else [now.arms]
        trainings = TRIED_TRAININGS if self.question.of_method else (None,)
        for base, arms, each in product(of_base, of_arms, trainings):
            yield self.candidate(self.asked(Draws(base=base, arms=arms), each))

    def settles(self, design: Design) -> bool:
        return settles(self.components, design, self.question)


def settled(verdicts: pl.DataFrame, variance: pl.DataFrame, comparisons: pl.DataFrame, examples: int) -> pl.DataFrame:
    """`examples`: how many a training is shown, all epochs together."""
    rows = []
    for row in verdicts.iter_rows(named=True):
        question = _open(row, variance, comparisons, examples) if row["role"] == words.HYPOTHESIS else None
        rows.append(row | (dict.fromkeys(SETTLING) if question is None else _what_settles(row, question)))
    return conform(pl.DataFrame(rows, schema=VERDICTS), VERDICTS, "verdicts")


def _open(row: Row, variance: pl.DataFrame, comparisons: pl.DataFrame, examples: int) -> Open | None:
    """None where there is no error to reckon with, or nobody knows how much of it trainings bring."""
    here = variance.filter(pl.all_horizontal(pl.col(column) == row[column] for column in COMPARED[:-1]))
    parts = here.filter(pl.col("estimand") == row["estimand"]).to_dicts()
    of_method = row["claim"] == words.METHOD
    if here.is_empty() or not row["standard_error"] or not row["degrees_of_freedom"] or (of_method and not parts):
        return None
    known = parts or here.filter(pl.col("estimand") == words.ACCURACY).to_dicts()
    components, design = components_of(known)
    if not parts:
        components = UNDIVIDED
    # What is not in the parts (the choice of a decode in a fair comparison) shrinks with problems, as the choice grows surer.
    beside = row["standard_error"] ** 2 - variance_of_difference(components, design, of_method)
    components = _no_less_than_0(replace(components, problems=components.problems + beside * design.problems))
    question = Question(row["margin"], row["alpha"], of_method, shows_equivalence=row["question"] != "not_worse")
    trained = {
        part["of"]: part["how"] != words.NOT_TRAINED for part in known if part["part"] == words.BETWEEN_TRAININGS
    }
    tokens = _tokens(row, comparisons, known[0]["budget"])
    sides = (trained[words.THE_ARM], trained[words.OF_THE_OTHER])
    return Open(components, design, question, sides, tokens, examples * max(tokens))


def _no_less_than_0(components: Components) -> Components:
    """A variance that came out below 0 says little, and must not promise what no design could keep."""

    def side(part: SideComponents) -> SideComponents:
        trainings = part.trainings if part.trainings is None or part.trainings > 0 else part.trainings * 0.0
        return replace(part, trainings=trainings, by_training=max(0.0, part.by_training))

    problems = max(0.0, components.problems)
    return replace(components, problems=problems, side=side(components.side), other=side(components.other))


def _tokens(row: Row, comparisons: pl.DataFrame, budget: str) -> tuple[float, float]:
    """Of an answer of each side, on average."""
    found = comparisons.filter(
        pl.all_horizontal(pl.col(column) == row[column] for column in COMPARED[:-1]),
        pl.col("estimand") == words.MEAN_TOKENS,
        pl.col("split") == "test",
        pl.col("budget") == budget,
        pl.col("training_seed").is_null(),
        pl.col("percent").is_in([0, 100]),
    ).row(0, named=True)
    return found["level"], found["against_level"]


def _what_settles(row: Row, found: Open) -> Row:
    best = cheapest(found.components, found.candidates(), found.question)
    settling: Row = dict.fromkeys(SETTLING) | {
        "settle_problems": fewest_problems(found.components, found.design, found.question),
        "settle_draws": _times_the_draws(found),
        "settle_trainings": _trainings(found),
        "spent_tokens": found.candidate(found.design).tokens,
    }
    if best is not None:
        settling |= {
            "mix_problems": round(best.design.problems),
            "mix_draws": round(best.design.side.draws),
            "mix_against_draws": round(best.design.other.draws),
            "mix_trainings": max(best.design.side.trainings, best.design.other.trainings),
            "mix_tokens": best.tokens,
        }
    return settling | {"settling": settling_sentence(row | settling, found)}


def _times_the_draws(found: Open) -> int | None:
    """How many times the draws of both sides."""
    now = found.draws
    if not found.components.tells_draws:
        return None
    return _fewest(lambda times: found.settles(found.asked(Draws(base=now.base * times, arms=now.arms * times))), 1)


def _trainings(found: Open) -> int | None:
    """Only a claim about the method has more of them."""
    if not found.question.of_method:
        return None
    return _fewest(lambda trainings: found.settles(found.asked(found.draws, trainings)), 2)


def _fewest(is_enough: Callable[[int], bool], least: int) -> int | None:
    """None where MANY are not enough. More are never worse."""
    if not is_enough(MANY):
        return None
    low, high = least, MANY
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return high


def settling_sentence(row: Row, found: Open) -> str:
    margin = amount(row["margin"], row["estimand"], signed=False)
    asked = f"find or rule out a difference of {margin} with 80 % power"
    if row["question"] == "not_worse":
        asked = f"show with 80 % power that {row['arm']} is not worse by {margin}, if it is as good"
    if found.settles(found.design):
        return f"This design was expected to {asked}: the same again may well settle it."
    return f"To {asked}, {_alone(row, found)}. {_mix(row, found)}"


def _alone(row: Row, found: Open) -> str:
    """What would do by itself, and what would not in any number."""
    draws, trainings = found.components.tells_draws, found.question.of_method
    problems = f"about {rounded(row['settle_problems'])} problems at these draws" if row["settle_problems"] else ""
    told = [
        ("problems", problems, True),
        ("draws", f"{row['settle_draws']} times the answers to each of these problems", draws),
        ("trainings", f"{row['settle_trainings']} trainings", trainings),
    ]
    enough = [text for name, text, is_told in told if is_told and row[f"settle_{name}"] is not None]
    never = [name for name, _, is_told in told if is_told and row[f"settle_{name}"] is None]
    parts = [f"it would take {' or '.join(enough)}"] if enough else []
    parts += [f"no number of {' or of '.join(never)} would do alone"] if never else []
    parts += [] if draws else ["one answer to a problem cannot tell what more of them would do"]
    return "; ".join(parts)


def _mix(row: Row, found: Open) -> str:
    if row["mix_problems"] is None:
        return "No mix that was tried would do."
    draws = f"{plural(row['mix_draws'], 'answer')} of {row['arm']} and {row['mix_against_draws']} of {row['against']}"
    trainings = f", {row['mix_trainings']} trainings" if found.question.of_method else ""
    tokens = f"{number(row['mix_tokens'] / 1e6, 1)} M" if row["mix_tokens"] >= 1e5 else count(row["mix_tokens"])
    times = number(row["mix_tokens"] / row["spent_tokens"], 1)
    return (
        f"Cheapest: {rounded(row['mix_problems'])} problems with {draws}{trainings}: {tokens} tokens, {times} times what "
        "the answers to this comparison took."
    )


def rounded(many: float) -> str:
    """To two digits: it rests on variances that are known no better."""
    return count(round(many, 1 - math.floor(math.log10(many))) if many >= 100 else many)
