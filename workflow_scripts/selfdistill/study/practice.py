"""Section `practice`: training on answers that the model gives while it trains, by a reward or by a teacher."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from selfdistill.study.section import Name, Section

Method = Literal["grpo", "distil"]
Divergence = Literal["jsd", "forward", "reverse"]


class MovingTeacher(Section):
    """A teacher that follows the student, once for every generation."""

    ema: float = Field(gt=0, le=1, description="Share of the student in the teacher after each generation.")


class PracticeRecipe(Section):
    """How a model trains on its own answers. A generation is one round: questions are answered, then learnt from."""

    decode: Name | None = Field(None, description="Decode of the rollouts; the arm's own decode replaces it.")
    generations: int = Field(100, gt=0, description="Rounds of answering and learning.")
    questions: int = Field(256, gt=0, description="Questions of one generation.")
    rollouts: int = Field(8, gt=0, description="Answers to each question of a generation: its group.")
    updates: int = Field(2, gt=0, description="Optimiser steps of a generation, each on its share of the questions.")
    coverage: int | None = Field(
        None,
        gt=0,
        description="Only the first so many training problems are practised on, again and again; all unless given.",
    )
    clip: list[Annotated[float, Field(gt=0)]] = Field(
        [0.2, 0.28],
        min_length=2,
        max_length=2,
        description="grpo: how far below and above 1 the ratio of new to old probability counts.",
    )
    dual_clip: float | None = Field(
        3.0,
        gt=1,
        description="grpo: the largest ratio that counts at all, also where the answer was wrong; null for none.",
    )
    scale_rewards: Literal["none", "group"] = Field(
        "none", description="grpo: group divides advantages by their deviation within the group."
    )
    is_clip: float | None = Field(
        2.0,
        gt=1,
        description="The largest weight of a token for the difference between trainer and engine, trainer over engine; null "
        "leaves tokens unweighted.",
    )
    ratio_clip: float | None = Field(
        2.0,
        gt=1,
        description="distil: the largest ratio of new to old probability that a token's divergence is weighted by; null leaves it "
        "unweighted.",
    )
    teacher: Literal["fixed"] | MovingTeacher = Field(
        "fixed", description="distil: the base as it was, or {ema: share}, which follows the student."
    )
    divergence: Divergence = Field(
        "jsd",
        description="distil: jsd is Jensen and Shannon's, forward KL(teacher‖student), reverse KL(student‖teacher).",
    )
    support: int | None = Field(
        100, gt=0, description="distil: the student's so many likeliest tokens are compared; null compares all."
    )
    tail: bool = Field(True, description="distil: the rest of both laws counts as one more token.")
    token_clip: float | None = Field(
        None,
        gt=0,
        description="distil: no word's part of a token's divergence counts for more; null sets no limit.",
    )
    prefix: int | None = Field(None, gt=0, description="Only the first so many tokens of an answer are learnt from.")
    base_kl: bool = Field(
        True, description="Measure how far the student has moved from the base; takes a copy of the base and a pass."
    )
    turns: Literal["together", "apart"] = Field(
        "together",
        description="together: the engine rests in memory while the trainer works; apart: the trainer saves and ends, samplers "
        "run, and it resumes.",
    )

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.generations * self.updates

    @property
    def batch(self) -> int:
        """Sequences of one optimiser step."""
        return self.questions * self.rollouts // self.updates

    @property
    def answers(self) -> int:
        """Rollouts of the whole training."""
        return self.generations * self.questions * self.rollouts

    def learnt(self, tokens: int) -> int:
        """Of an answer of so many tokens those that are learnt from, and that a teacher reads behind its prompt."""
        return min(tokens, self.prefix or tokens)


# What an arm may say of its own practice: all of it.
def practice_of(shared: PracticeRecipe | None, own: dict[str, Any]) -> PracticeRecipe:
    """The study's practice with the arm's changes."""
    return PracticeRecipe.model_validate((shared.model_dump() if shared else {}) | own)


# What decides no weight. Of the recipe the decode's name: the decode itself is one of the settings.
WITHOUT_EFFECT = {
    "practice": {"turns", "decode", "base_kl"},
    "training": {"batch", "epochs", "max_steps", "collation", "over_length", "save_every", "trackers"},
    "sampling": {"batch", "gpus", "shards_base", "shards_checkpoint", "export_limit"},
    "grading": {"seconds_per_answer"},
}
# What only the other method reads.
UNREAD: dict[Method, set[str]] = {
    "grpo": {"ratio_clip", "teacher", "divergence", "support", "tail", "token_clip"},
    "distil": {"clip", "dual_clip", "scale_rewards"},
}
ASKED_OF_A_TEACHER = {"prompt", "chat", "teacher"}


def deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a practice's settings those that decide its weights, and what its tables say of every rollout."""
    method: Method = settings["method"]
    without = WITHOUT_EFFECT | {"practice": WITHOUT_EFFECT["practice"] | UNREAD[method]}
    there = {key: value for key, value in settings.items() if method == "distil" or key not in ASKED_OF_A_TEACHER}
    return {
        key: {name: each for name, each in value.items() if name not in without[key]} if key in without else value
        for key, value in there.items()
    }
