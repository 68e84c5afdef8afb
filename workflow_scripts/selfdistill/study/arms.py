"""Section `arms`: the ways of making a model that a study compares."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from selfdistill.study.practice import Method
from selfdistill.study.section import Name, Section, name_among

KEEPS = ("finished", "everything", "correct")
if TYPE_CHECKING:
    Keep = str
else:
    Keep = name_among(*KEEPS)


class Arm(Section):
    """One way of making a model, out of its own samples or out of the dataset's solutions. Controls are arms like any other."""

    resample: bool = Field(False, description="Train nothing: sample the base anew (the A/A control).")
    samples: Literal["own", "reference"] = Field(
        "own",
        description="reference: train on the dataset's own solutions (problems.reference) and on nothing sampled.",
    )
    decode: Name | None = Field(
        None, description="Decode of the training samples; with method, of the rollouts (practice.decode unless given)."
    )
    context: Name | None = Field(
        None,
        description="What the training samples were told (contexts); what is learnt is such a completion behind the bare prompt. "
        "With method: distil, what the teacher is told; without it the teacher is asked what the student is.",
    )
    keep: Keep | None = Field(
        None,
        description="finished drops what the token cap cut; correct keeps right answers alone, of the problems for which all "
        "arms with keep: correct and the same decode have one. plugins may give other filters.",
    )
    length_like: Name | None = Field(
        None,
        description="With keep: correct, of each problem the right answer nearest in length to what that arm learns of it.",
    )
    targets: Literal["sampled", "soft"] = Field(
        "sampled", description="soft: the base's whole distribution at the decode, along the sampled tokens."
    )
    training: dict[str, Any] = Field(default={}, description="Keys of training that differ for this arm.")
    method: Method | None = Field(
        None,
        description="Train on answers that the model gives while it trains: grpo rewards right ones, distil learns what the model "
        "itself would say under context. Without it the arm learns samples of the base.",
    )
    practice: dict[str, Any] = Field(default={}, description="With method, keys of practice that differ for this arm.")
    replays: Name | None = Field(
        None,
        description="With method, learn from the rollouts of that arm's training of the same seed: nothing is sampled.",
    )
    unequal_budget: bool = Field(
        False, description="This arm may take another number of steps than the others; the report then says so."
    )
    seeds: list[int] = Field(default=[0], description="Training seeds: data order and everything random in training.")

    @model_serializer(mode="wrap")
    def plain(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without keys that came later and that the arm does not use, so that what older arms made stays theirs."""
        unused = {key for key in ("context", "length_like", "method", "practice", "replays") if not getattr(self, key)}
        return {key: value for key, value in whole(self).items() if key not in unused}

    @property
    def differences(self) -> dict[str, Any]:
        """All that distinguishes arms; the seeds only repeat one, and a budget is of the training's keys. Samples of its
        own are what an arm has that says nothing of them, as it was before there were others."""
        others = {"samples"} if self.samples == "own" else set()
        return self.model_dump(exclude={"seeds", "unequal_budget", *others})

    @property
    def drawn_by(self) -> str | None:
        """The decode of the base's law that its samples are draws of, given the bare prompt; None where they are none."""
        return None if self.context or self.practises else self.decode

    @property
    def practises(self) -> bool:
        """Whether it trains on answers that it gives while it trains."""
        return self.method is not None

    @property
    def on_references(self) -> bool:
        """Whether it trains on the dataset's own solutions."""
        return self.samples == "reference"
