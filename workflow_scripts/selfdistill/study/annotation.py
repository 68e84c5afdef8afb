"""Section `annotation`: a language model that judges how uncertain answers sound, beside the counted words of doubt."""

from typing import Any, Literal

from pydantic import Field

from selfdistill.foundation.plugins import Reference, reference_in, without_place
from selfdistill.study.section import VARIABLE, Name, Section

KEY_VARIABLE = "FORKLOCK_JUDGE_KEY"
LOCAL = ("localhost", "127.0.0.1", "::1")  # to which a key may go unencrypted


class Judge(Section):
    """A model of ours, sampled as any other, one behind a server that speaks as OpenAI's does, or code of a plugin."""

    model: str = Field(
        min_length=1,
        description="Folder of a model that an engine of ours samples; of a server, the name it has there; of a plugin, its judge's name.",
    )
    server: str | None = Field(
        None,
        description="Address of an OpenAI-compatible server, as https://host/v1. Without it the model is sampled here.",
    )
    key_from: str | None = Field(
        KEY_VARIABLE,
        pattern=VARIABLE,
        description="Variable of the environment that holds the server's key; null where the server asks for none. The key "
        "itself stands nowhere.",
    )
    cap: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="What the server calls the longest reply."
    )
    parallel: int = Field(4, gt=0, le=256, description="Questions that the server has at once.")
    seconds: float = Field(120.0, gt=0, description="Longest wait for a reply of the server, before it is asked again.")
    tries: int = Field(6, gt=0, le=20, description="How often the server is asked one question at most.")
    context: int | None = Field(
        None, gt=0, description="Longest question plus reply of a model of ours; model.context unless given."
    )
    chat: dict[str, bool | int | str] = Field(
        default={}, description="Given to the chat template of a model of ours by name, as enable_thinking: false."
    )

    @property
    def plugin(self) -> Reference | None:
        """Of a judge that a plugin gives, where the study has named it by its reference (`Study.judging`)."""
        return None if self.server else reference_in(self.model)

    @property
    def ours(self) -> bool:
        """Whether an engine of ours samples it."""
        return not self.server and not self.plugin

    @property
    def name(self) -> str:
        return f"{self.model} at {self.server}" if self.server else without_place(self.model)


class Annotation(Section):
    """Left out, nothing is judged. Equally many answers of the base and of finished models, to the same problems, are
    judged by a rubric; its counts are held against the words of doubt, and one pass against another."""

    judge: Judge = Field(description="Who judges: a model of ours, or one behind a server.")
    rubric: str = Field(
        "resources/rubrics/uncertainty.yaml", description="File of what the judge is asked and what it must count."
    )
    decode: Name = Field(description="Decode of the answers that are judged.")
    arms: list[Name] = Field(
        default=[], description="Arms whose finished models are judged; without any, all that are trained."
    )
    answers: int = Field(
        100, ge=4, description="Answers of each model that are judged, each to another family of problems."
    )
    longest: int | None = Field(
        None, gt=0, description="Tokens of the longest answer that is judged; a problem with a longer one is left out."
    )
    passes: int = Field(2, gt=0, le=10, description="How often each answer is judged.")
    temperature: float = Field(0.7, ge=0, description="Of the judge; at 0 a second pass tells nothing.")
    max_tokens: int = Field(512, gt=0, description="Longest reply; one that is cut is refused.")

    def as_asked(self) -> dict[str, Any]:
        """What decides the questions, without how a server is reached."""
        reached = {"parallel", "seconds", "tries", "key_from"}
        return self.model_dump(exclude={"judge": reached})
