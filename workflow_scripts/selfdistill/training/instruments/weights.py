"""What bf16 sees of every update, and what rounding alone predicts: every weight, every step.

The update of a step is read from the optimiser's state after it, as AdamW computed it and before any rounding, so
that no second copy of the float32 weights is kept. Around the step only their bf16 view is held. On several ranks
each looks at its part of the weights, and what they return is the sum over the ranks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from selfdistill.training.instruments.bf16 import EXACT, bits, pieces, spacing
from selfdistill.training.instruments.gradients import steps_taken
from selfdistill.training.instruments.groups import grouped_parameters
from selfdistill.training.instruments.update import Update
from selfdistill.training.processes import ranks

EVERY_STEP = ("changed", "predicted_changed", "changed_on_grid", "update_norm_squared", "kept_on_grid", "norm_squared")


class WeightMeter:
    """Sums by layer group, in the order of EVERY_STEP."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.groups, self.parameters = grouped_parameters(model)
        self.device = self.parameters[0][1].device
        self._before: list[torch.Tensor] = []
        self.weights = [0] * len(self.groups)
        for group, parameter in self.parameters:
            self.weights[group] += parameter.numel()

    @torch.no_grad()
    def before_step(self) -> None:
        """Remember the view. It lives for the length of the optimiser's step, when activations need no memory."""
        views = [(bits(ranks.part(parameter.detach())), parameter) for _, parameter in self.parameters]
        self._before = [view.clone() if parameter.dtype == torch.bfloat16 else view for view, parameter in views]

    @torch.no_grad()
    def after_step(self, optimizer: Any) -> torch.Tensor:
        settings = {id(parameter): of for of in optimizer.param_groups for parameter in of["params"]}
        counts = steps_taken(optimizer)
        before, self._before = self._before, []
        found = []
        for (group, parameter), view in zip(self.parameters, before, strict=True):
            if (
                id(parameter) in counts and view.numel()
            ):  # else no gradient ever reached it: the optimiser left it alone
                state = *moments_of(optimizer, parameter), counts[id(parameter)], settings[id(parameter)]
                found.append((group, Update(ranks.part(parameter.detach()), view, *state)))
        total = torch.zeros(len(self.groups), len(EVERY_STEP), dtype=EXACT, device=self.device)
        if found:
            groups, updates = zip(*found, strict=True)
            total.index_add_(0, torch.tensor(groups, device=self.device), sums_of_updates(updates))
        return ranks.summed(total)


def sums_of_updates(updates: Sequence[Update]) -> torch.Tensor:
    if updates[0].after.is_cuda:
        from selfdistill.training.instruments.fused import fused_sums

        return fused_sums(updates)
    sums = []
    for *tensors, step, of in updates:
        parts = zip(*(pieces(tensor) for tensor in tensors), strict=True)
        of_parts = [change_sums(new, old, adam_update(old, mean, square, step, of)) for new, old, mean, square in parts]
        sums.append(torch.stack(of_parts).sum(0))
    return torch.stack(sums)


class Moments(NamedTuple):
    mean: torch.Tensor
    square: torch.Tensor


def moments_of(optimizer: Any, parameter: torch.Tensor) -> Moments:
    """Of the weights that lie on this rank."""
    state = optimizer.state[parameter]
    return Moments(ranks.part(state["exp_avg"]), ranks.part(state["exp_avg_sq"]))


def adam_update(
    before: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, step: float, of: Mapping[str, Any]
) -> torch.Tensor:
    """What AdamW added to the weights in the step that left this state, from the view of the weights before it."""
    beta1, beta2 = of["betas"]
    root = (square.float() / (1 - beta2**step)).sqrt_().add_(of["eps"])
    update = mean.float().div(root).mul_(-of["lr"] / (1 - beta1**step))
    decay = of["lr"] * of["weight_decay"]
    return update.sub_(before.view(torch.bfloat16).float(), alpha=decay) if decay else update


def change_sums(after: torch.Tensor, before: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
    """The columns of EVERY_STEP for one piece. `kept_on_grid` is Σ u·(what rounding to the bf16 grid makes of u)."""
    start = before.view(torch.bfloat16).float()
    on_grid = (start + update).to(torch.bfloat16)
    moved = on_grid.float().sub_(start)
    weights = after.float()
    return torch.stack(
        [
            torch.count_nonzero(bits(after) != before),
            (update / spacing(before)).abs_().clamp_(max=1.0).sum(),
            torch.count_nonzero(moved),
            torch.dot(update, update),
            torch.dot(update, moved),
            torch.dot(weights, weights),
        ]
    ).to(EXACT)
