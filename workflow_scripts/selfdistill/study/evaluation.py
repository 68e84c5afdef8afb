"""Sections `evaluation` and `hypotheses`: what is asked of every model, and the analysis plan."""

from typing import Annotated, Literal

from pydantic import Field

from selfdistill.study.section import Name, Section

ALL: Literal["all"] = "all"

Size = Annotated[int, Field(gt=0)] | Literal["all"]


def size_of(asked: Size, there: int) -> int:
    """How many problems are asked for, of so many that there are."""
    return there if asked == ALL else asked


LOOK = "look-"  # and its number from 1: the name of the budget of a look before the last, which is the full one


class Decoded(Section):
    """At which decodes models are evaluated."""

    base: list[Name] = Field(description="Of the base, at the full budget: the sweep and the baselines.")
    final: list[Name] = Field(description="Of finished training and of the A/A control, at the full budget.")
    earlier: list[Name] = Field(description="Of earlier checkpoints, at the quick budget.")


class Audit(Section):
    """How many answers a person is asked to judge again, and what they said."""

    rows: int = Field(
        200, ge=20, description="Answers on the sheet that a person fills: audit/sheet.csv in the results."
    )
    filled: str | None = Field(None, description="The filled copy of the sheet, a CSV file; none yet.")


class Draws(Section):
    """The base is in every comparison, so that its answers are worth more than those of one arm."""

    base: int = Field(
        gt=0, description="Answers per problem of the base, and of its A/A twins, which stand on its side."
    )
    arms: int = Field(gt=0, description="Answers per problem of every trained model.")

    def of(self, trained: bool) -> int:
        return self.arms if trained else self.base

    def noise(self, draw: int, training: int | None) -> int:
        """Which of the shared noises an answer is drawn with; None: the base's. Where the base has more draws, the trainings
        of an arm (0, 1, …) take turns at its noises: each goes with another answer of the base, and no two have the same
        before all have been taken."""
        if training is None or draw >= self.base:
            return draw
        return (training * self.arms + draw) % self.base if self.arms < self.base else draw


class Evaluation(Section):
    budgets: dict[Literal["quick", "full"], Size] = Field(
        description="Problems, or all there are; quick is a part of full, of the same composition."
    )
    mixtures: dict[Name, dict[Name, Size]] = Field(
        default={},
        description="Parts of the full budget of another composition, so many problems of each source, or all of it; levels are told for them too.",
    )
    looks: list[Size] = Field(
        default=[],
        description="Problems after which the hypotheses are judged, rising, the last the full budget; what a look settles is sampled no further.",
    )
    draws: Annotated[int, Field(gt=0)] | Draws = Field(
        1, description="Independent answers per problem, of every model or of the base and of the arms apart."
    )
    coupling: Literal["own", "shared"] = Field(
        "own",
        description="Whose random numbers an answer is drawn with: its own, or those that the base and the arms share, so that their answers are the same until their laws part.",
    )
    mixture_draws: dict[Name, Annotated[int, Field(gt=0)]] = Field(
        default={},
        description="Answers per problem of a mixture, where more than draws; those beyond draws count in the mixture's levels alone.",
    )
    decodes: Decoded = Field(
        description="At which decodes the base, finished models and earlier checkpoints are asked."
    )
    pass_at: list[Annotated[int, Field(gt=0)]] = Field(
        default=[1],
        description="k of pass@k, beside 1 to half the draws, which are always told; told of models with at least k draws.",
    )
    audit: Audit = Field(default=Audit(), description="A person's judgement of a sample of the graded answers.")
    resamples: int = Field(
        4000,
        ge=200,
        description="How often dev problems are resampled for the choice of a decode, and curves for their bands.",
    )

    @property
    def draws_by_side(self) -> Draws:
        return self.draws if isinstance(self.draws, Draws) else Draws(base=self.draws, arms=self.draws)

    @property
    def sizes(self) -> dict[str, Size]:
        """The budgets, and under a name of its own each look before the last: where what was settled there stands."""
        sizes: dict[str, Size] = dict(self.budgets.items())
        return sizes | {f"{LOOK}{number}": size for number, size in enumerate(self.looks[:-1], 1)}


Outcome = Literal["accuracy", "accuracy_when_both_finished", "cut_rate", "loop_rate", "tokens"]


class Hypothesis(Section):
    """One line is about one arm, and has one verdict."""

    arm: Name = Field(description="The arm that the hypothesis is about.")
    against: Name = Field("base", description="base or another arm.")
    comparison: Literal["matched", "fair"] = Field(
        description="matched: the same decode on both sides. fair: each side at its best decode of the same menu, chosen on dev."
    )
    decode: Name | None = Field(None, description="The decode of a matched comparison.")
    outcome: Outcome = Field("accuracy", description="What is compared; tokens are the mean length of an answer.")
    question: Literal["different", "not_worse"] = Field(
        "different",
        description="different: better, worse or equivalent. not_worse: not worse by the margin or more (non-inferiority); of tokens and rates, not higher.",
    )
    claim: Literal["strongest", "checkpoints", "method"] = Field(
        "strongest",
        description="What the verdict speaks of: these checkpoints, or the method, which takes two trainings or more of each trained side.",
    )
    family: Name = Field("primary", description="p-values are adjusted (Holm) within a family.")
    margin: float = Field(
        gt=0, description="Differences smaller than this count as equivalent: a share, or so many tokens."
    )


class Reported(Section):
    """One entry is one difference in accuracy."""

    hypothesis: Name = Field(description="Which of the study's hypotheses it is about.")
    difference: float = Field(ge=-1, le=1, description="Of accuracy, as a share: -0.09 is nine points lost.")
    of: Name = Field("full", description="The budget or mixture that it was found on.")
    source: str = Field(min_length=1, description="Who reported it, and how it is known.")
