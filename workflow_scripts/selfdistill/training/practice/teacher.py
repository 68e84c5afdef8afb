"""The models that a practising student is held against: the base as it was, and the teacher, which may follow the student.

Both hold no gradient. With adapters the base is the student without them, and takes no memory of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from selfdistill.training.practice.configuration import is_halved, temperature_of
from selfdistill.training.practice.objective import Objective
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.stock import add_fused_lm_head, spread_frozen
from selfdistill.training.processes import ranks
from selfdistill.training.trainer.model import load_model


class Fellow(Protocol):
    """A model beside the student."""

    def answering(self) -> AbstractContextManager[Any]:
        """The model, called like the student, without a gradient."""
        ...

    def rest(self) -> None:
        """When what was answered is used up. Where weights are spread, those of the head are whole until then."""
        ...


class Without:
    """The student without its adapters."""

    def __init__(self, student: Any) -> None:
        self.student = student

    @contextmanager
    def answering(self) -> Iterator[Any]:
        training = self.student.training
        with torch.no_grad(), self.student.disable_adapter():
            self.student.eval()
            yield self.student
        self.student.train(training)

    def rest(self) -> None:
        """Its weights are the student's, whose backward pass is to come."""


class Frozen:
    """The base as it was. `rounds` where the student's passes are under autocast: the trainer wraps its own model alone."""

    def __init__(self, model: Any, rounds: bool = False) -> None:
        self.model, self.rounds = model, rounds

    @contextmanager
    def answering(self) -> Iterator[Any]:
        with torch.no_grad(), torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.rounds):
            yield self.model

    def rest(self) -> None:
        if ranks.world() > 1:
            self.model.reshard()


class Moving(Frozen):
    """A teacher in float32 that goes a share of the way to the student after every generation."""

    def __init__(self, model: Any, share: float, rounds: bool = False) -> None:
        super().__init__(model, rounds)
        self.share = share

    def parts(self) -> dict[str, Tensor]:
        """What of each weight lies on this rank."""
        return {name: ranks.part(weight.detach()) for name, weight in self.model.named_parameters()}

    @torch.no_grad()
    def follow(self, student: Any) -> None:
        theirs = dict(student.named_parameters())
        for name, mine in self.parts().items():
            mine.lerp_(ranks.part(theirs[name].detach()).to(mine.dtype), self.share)

    def save(self, checkpoint: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: part.contiguous() for name, part in self.parts().items()}, self._file(checkpoint))

    def load(self, checkpoint: Path) -> None:
        from safetensors.torch import load_file

        stored = load_file(self._file(checkpoint))
        for name, part in self.parts().items():
            part.copy_(stored[name])

    @staticmethod
    def _file(checkpoint: Path) -> Path:
        return checkpoint / f"teacher-{ranks.rank()}.safetensors"


class Fellows(NamedTuple):
    base: Fellow | None  # None where nothing is measured against it
    teacher: Fellow | None


def fellows(student: Any, folder: Path, settings: PracticeSettings, objective: Objective) -> Fellows:
    """Those that these settings ask for. A fixed teacher is the base, and a model in memory once."""
    recipe, distils = settings.practice, settings.method == "distil"
    if settings.training.lora:
        without = Without(student)
        return Fellows(without if recipe.base_kl else None, without if distils else None)
    moving = recipe.teacher if distils and recipe.teacher != "fixed" else None
    fixed = distils and moving is None
    teacher: Fellow | None = None
    if moving:
        teacher = Moving(
            _beside(folder, "float32", settings, objective.prepare, moves=True), moving.ema, is_halved(settings)
        )
    base: Frozen | None = None
    if recipe.base_kl or fixed:
        base = Frozen(
            _beside(folder, settings.training.precision, settings, objective.prepare if fixed else None),
            is_halved(settings),
        )
    return Fellows(base if recipe.base_kl else None, base if fixed else teacher)


def _beside(
    folder: Path, precision: str, settings: PracticeSettings, prepare: Callable[[Any], None] | None, moves: bool = False
) -> Any:
    """A model that nothing trains, where the student is."""
    model = load_model(folder, precision).requires_grad_(False).eval()
    add_fused_lm_head(model, temperature=temperature_of(settings))
    if prepare:
        prepare(model)  # asks the model, which answers without autocast only as long as it is whole
    if is_halved(settings) and not moves:
        halve(model)
    return spread_frozen(model) if settings.ranks > 1 else model.to(settings.device)


def halve(model: Any) -> None:
    """Matrices are kept as autocast would round them in every pass: the same answers from half the memory.

    Norms and the embedding stay in float32, for autocast does not round what they give; so does a head that is the embedding,
    and the bias of any head, which is added to what was summed in float32.
    """
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    for module in model.modules():
        if type(module) is torch.nn.Linear and module is not head:
            module.to(torch.bfloat16)
    if head.weight is not embedding.weight:
        head.weight.data = head.weight.data.to(torch.bfloat16)
