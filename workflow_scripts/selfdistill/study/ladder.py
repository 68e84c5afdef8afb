"""Section `ladder`: the same problems asked under one context after the other, from the least told to the most."""

from typing import Annotated, Literal

from pydantic import Field

from selfdistill.study.section import Name, Section

Rate = Annotated[float, Field(ge=0, le=1)]


class Ladder(Section):
    """Left out, no ladder is climbed. The first rung tells nothing; the base's answers there are not those that choose the
    problems, for a problem chosen for its bad luck would have better luck when it is measured."""

    contexts: list[Name] = Field(
        min_length=1,
        description="Contexts above the bare prompt, from the least told to the most: the order that is tested.",
    )
    decode: Name = Field(
        description="Decode of every rung. Information is measured exactly at temperature 1 without truncation."
    )
    draws: int = Field(
        gt=0, description="Answers to each problem on every rung, and of the base as many more to choose by."
    )
    problems: int = Field(gt=1, description="Problems on the ladder, the first of the ranking that are chosen.")
    solved: list[Rate] = Field(
        min_length=2,
        max_length=2,
        description="Lowest and highest share of right answers of a problem that is chosen, ends included.",
    )
    pool: int | None = Field(
        None,
        gt=1,
        description="Problems that the choice is made from, the first of the ranking; as many as problems unless given.",
    )
    use: Literal["train", "eval"] = Field("eval", description="Whether training or evaluation problems are climbed.")
    arms: list[Name] = Field([], description="Arms whose finished models climb the base's problems, too.")
    information: bool = Field(
        True, description="Measure in nats what each context tells, by reading the texts behind both prompts."
    )

    @property
    def asked(self) -> int:
        """How many problems the base is asked for the choice."""
        return self.problems if self.pool is None else self.pool
