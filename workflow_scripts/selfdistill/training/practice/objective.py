"""What a training on one's own answers lowers: the contract between the trainer and its objectives, `grpo` and `distil`."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """A micro-batch: some rollouts as tensors on the device. B sequences, T tokens of the longest; padding is 0.

    Of a rollout only what is learnt from is here: its first `prefix` tokens where the study says so. Log-probabilities are of
    the sampled tokens, and 0 where the mask is.
    """

    prompt_ids: "Tensor"  # [B, P], padded on the left
    prompt_mask: "Tensor"
    completion_ids: "Tensor"  # [B, T], padded on the right
    completion_mask: "Tensor"
    advantages: "Tensor"  # [B]
    old_logps: "Tensor"  # [B, T]: of the student at the generation's start, at the temperature of the rollouts
    old_plain_logps: (
        "Tensor"  # [B, T]: the same at temperature 1, as engines count; the same tensor where that is theirs
    )
    engine_logps: "Tensor"  # [B, T]: what the engine gave them, at temperature 1
    base_logps: "Tensor | None"  # [B, T]: of the base, at the temperature of the rollouts; None unless practice.base_kl
    teacher_ids: "Tensor | None"  # [B, Q], padded on the left; the student's prompt where a rollout has no teacher
    teacher_mask: "Tensor | None"
    taught: "Tensor"  # [B], bool: whether the rollout has a teacher
    places: (
        "Tensor"  # of the learnt tokens in [B × T], one after the other: a mask would make a GPU wait for their number
    )
    step_sequences: int  # rollouts of the whole optimiser step, on all ranks
    step_tokens: int  # learnt tokens of the whole step
    step_taught: int  # rollouts of the whole step that have a teacher


class Fact(NamedTuple):
    """A mean in pieces: the trainer adds up both over the step's micro-batches and ranks, and divides."""

    total: "Tensor"
    weight: "Tensor"


class Practising(Protocol):
    """What an objective may ask of the trainer, all ranks together."""

    def policy_loss(self, model: Any, batch: Batch, weights: "Tensor | None") -> "Tensor":
        """TRL's own loss of GRPO, a mean over the micro-batch's sequences. `weights` [B, T] multiply each token's."""
        ...

    @property
    def token_logps(self) -> "Tensor":
        """[B, T]: log-probabilities of the sampled tokens in the last `policy_loss`, with their gradient."""
        ...

    @property
    def token_entropies(self) -> "Tensor":
        """[B, T]: entropies in the last `policy_loss`, without a gradient."""
        ...

    def teaching(self) -> AbstractContextManager[Any]:
        """The model as the teacher is: frozen, without a gradient, called like the student."""
        ...


class Objective(Protocol):
    """`loss` is called once for every backward pass, under the trainer's autocast."""

    entropy: "Tensor"  # of the student in the last loss, summed over its learnt tokens
    facts: dict[str, Fact]  # of the last loss, by column of UPDATES

    def prepare(self, model: Any) -> None:
        """Once for the plain student and once for the plain teacher, before they are spread: where forwards are added.

        The student has TRL's fused head by then; a teacher has its own forward alone.
        """
        ...

    def loss(self, trainer: Practising, model: Any, batch: Batch) -> "Tensor":
        """The mean over the micro-batch's sequences; the trainer divides by the micro-batches of a step."""
        ...
