"""Section `contexts`: what a model is told beside the problem when it is sampled."""

from typing import Any, Literal

from pydantic import Field

from selfdistill.study.section import Name, Section
from selfdistill.study.wordings import BARE, WORDINGS, holes_in

SolutionFrom = Literal["sibling", "context", "dataset", "answer", "column"]
OF_SAMPLES: tuple[SolutionFrom, ...] = ("sibling", "context")  # solutions that the model wrote itself
THINKING = "enable_thinking"  # the switch of the chat templates that have one


class Context(Section):
    """Without any key the model is told nothing, and samples are those without a context."""

    wording: str = Field(
        BARE,
        description=f"What is asked: a text in which {{prompt}}, {{problem}} and {{solution}} are replaced, or one of these "
        f"by name: {', '.join(WORDINGS)}.",
    )
    solution: SolutionFrom | None = Field(
        None,
        description="What replaces {solution}: sibling, the first correct sample of the same problem without a context; "
        "context, the first correct sample under another; dataset, the source's own solution; answer, the answer alone; "
        "column, a text beside the problem in its source. A problem without one is skipped and counted.",
    )
    context: Name | None = Field(None, description="With solution: context, the context whose samples are shown.")
    column: str | None = Field(None, min_length=1, description="With solution: column, its name in the sources.")
    thought: bool = Field(True, description="false: of a model's own sample only what follows </think> is shown.")
    thinking: bool | None = Field(
        None, description=f"Switch thinking on or off ({THINKING}), where it differs from model.chat."
    )
    chat: dict[str, bool | int | str] = Field(
        default={}, description="Other switches of the chat template that differ from model.chat."
    )
    template: str | None = Field(None, description="A Jinja file that is taken for the model's chat template.")
    over_length: Literal["refuse", "skip"] = Field(
        "refuse",
        description="What becomes of a problem whose prompt and completion do not fit model.context: an error that names it, "
        "or skipped, counted and named. Nothing is ever cut.",
    )

    @property
    def text(self) -> str:
        return WORDINGS.get(self.wording, self.wording)

    @property
    def asks_for_a_solution(self) -> bool:
        return "solution" in holes_in(self.text)

    @property
    def tells_nothing(self) -> bool:
        """Whether what is asked is what is asked without a context."""
        return self.text == BARE and not self.switches and self.template is None

    @property
    def switches(self) -> dict[str, Any]:
        """What is given to the chat template where it differs from `model.chat`."""
        return self.chat | ({} if self.thinking is None else {THINKING: self.thinking})
