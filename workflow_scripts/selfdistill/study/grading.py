"""Section `grading`: how answers are judged."""

from typing import Any, Literal

from pydantic import Field

from selfdistill.study.section import Section

AnswerFormat = Literal["boxed", "line"]


class Loops(Section):
    """A completion ends in a loop when its last tokens repeat one period over and over; in a counting loop when its text
    does, but for numbers of which one changes by the same step each time. There, four characters stand for a token."""

    max_period: int = Field(2048, gt=0, description="Longest period looked for, in tokens.")
    min_repeats: int = Field(4, ge=2, description="Repeats of the period at the end.")
    min_tokens: int = Field(48, gt=0, description="Tokens that the repeats must cover together.")
    counters: bool = Field(
        False,
        description="Whether an unfinished completion that ends in a counting loop is of the class `loop`; "
        "without it, it is `cut`, and its counting loop is on record and counted in the report.",
    )


class Grading(Section):
    answer: AnswerFormat = Field(
        "boxed",
        description="Where an answer stands that counts: boxed, in the last closed \\boxed{} of the final part; line, after "
        "Answer: on its last line. problems.prompt has to ask for it.",
    )
    loops: Loops = Field(Loops(), description="When the tail of a completion counts as a loop.")
    seconds_per_answer: float = Field(
        10.0, gt=0, description="Hard limit for one answer; the process is killed after it."
    )

    def as_param(self) -> dict[str, Any]:
        """For the params of a rule: the usual format adds nothing, so that results from before there were others stay."""
        plain = self.model_dump()
        return {key: value for key, value in plain.items() if key != "answer" or value != "boxed"}
