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
    draws: int = Field(1, gt=0, description="Independent answers per problem.")
    mixture_draws: dict[Name, Annotated[int, Field(gt=0)]] = Field(
        default={},
        description="Answers per problem of a mixture, where more than draws; those beyond draws count in the mixture's levels alone.",
    )
    decodes: Decoded
    pass_at: list[Annotated[int, Field(gt=0)]] = Field(default=[1], description="k of pass@k; needs at least k draws.")
    resamples: int = Field(4000, ge=200, description="Bootstrap resamples and sign flips.")

    @property
    def sizes(self) -> dict[str, Size]:
        """The budgets, and under a name of its own each look before the last: where what was settled there stands."""
        sizes: dict[str, Size] = dict(self.budgets.items())
        return sizes | {f"{LOOK}{number}": size for number, size in enumerate(self.looks[:-1], 1)}


class Hypothesis(Section):
    """One line of the analysis plan, written before the data."""

    arm: Name = Field(description="The arm that the hypothesis is about.")
    against: Name = Field("base", description="base or another arm.")
    comparison: Literal["matched", "fair"] = Field(
        description="matched: the same decode on both sides. fair: each side at its best decode, chosen on dev."
    )
    decode: Name | None = Field(None, description="The decode of a matched comparison.")
    family: Name = Field("primary", description="p-values are adjusted (Holm) within a family.")
    margin: float = Field(gt=0, lt=1, description="Differences smaller than this count as equivalent.")
