"""Squared gradient norms of every micro-batch and of the whole step, by layer group, in three geometries.

A leaf's hook fires once per backward pass with that pass's gradient, before it is added to `.grad`: it sees
δ_k = s_k / T, the very contribution of micro-batch k to the step, without a copy of any gradient. The meter only
looks: training with and without it gives the same weights. The estimators are in `analysis/noise_scale.py`.

On several ranks each sees the whole gradients of its own micro-batches, and its part of the step's.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from selfdistill.training.instruments.bf16 import EXACT, pieces
from selfdistill.training.instruments.groups import grouped_parameters
from selfdistill.training.processes import ranks

# |g|², Σ g²/(√v̂+ε) and Σ g²/(√v̂+ε)²: of the gradient, in the norm that Adam descends in, and of Adam's update.
GEOMETRIES = ("norm_squared", "adam_norm_squared", "update_norm_squared")


class Weighing(NamedTuple):
    """What the coming gradients of a parameter are weighed by."""

    square: torch.Tensor  # second moments
    correction: float  # of their bias
    eps: float


class GradientMeter:
    def __init__(self, model: torch.nn.Module) -> None:
        self.groups, self.parameters = grouped_parameters(model)
        self._weighing: dict[int, Weighing] | None = None  # see `weigh_with`
        self._found: list[tuple[int, torch.Tensor]] = []  # group and norms² of the gradients seen, in the order seen
        self._order: tuple[int, ...] = ()
        groups = {id(parameter): group for group, parameter in self.parameters}
        for parameter, leaf in ranks.leaves(model):
            leaf.register_hook(self._hook(groups[id(parameter)], parameter))

    def weigh_with(self, optimizer: Any) -> None:
        """Take the Adam-weighted norms of the coming step, too.

        The weights are the second moments as the last step left them: with the coming gradient in them, the estimate
        of its signal would be off by 1-β₂ of its norm. Before the first step there are none.
        """
        self._weighing = None
        if optimizer is not None and optimizer.state:
            settings = {id(parameter): of for of in optimizer.param_groups for parameter in of["params"]}
            counts = steps_taken(optimizer)
            self._weighing = {
                key: Weighing(optimizer.state[parameter]["exp_avg_sq"], 1 - of["betas"][1] ** counts[key], of["eps"])
                for _, parameter in self.parameters
                for key, of in [(id(parameter), settings[id(parameter)])]
                if key in counts
            }

    def take_micro_batch(self) -> torch.Tensor:
        """Norms² (group × geometry) of the backward passes since the last call; stays on the device, without a sync."""
        found, self._found = self._found, []
        # Each rank's loss is multiplied by their number, because their gradients are averaged.
        return self._by_group(found) / ranks.world() ** 2

    @torch.no_grad()
    def step_norms(self) -> torch.Tensor:
        """The same of the accumulated gradient. Ask before it is clipped."""
        found = [
            (group, self._norms(parameter.grad, parameter))
            for group, parameter in self.parameters
            if parameter.grad is not None
        ]
        return ranks.summed(self._by_group(found))

    def _hook(self, group: int, parameter: torch.nn.Parameter) -> Callable[[torch.Tensor], None]:
        @torch.no_grad()
        def add(gradient: torch.Tensor) -> None:
            self._found.append((group, self._norms(gradient, parameter)))

        return add

    def _norms(self, gradient: torch.Tensor, parameter: torch.nn.Parameter) -> torch.Tensor:
        """The norm and, where they are asked for, the weighted norms²."""
        held = ranks.part(gradient.detach())
        # |G|² is a small difference of norms². A GPU sums float32 in a tree, exactly enough, and would copy it for double.
        norm = torch.linalg.vector_norm(held, dtype=torch.float32 if held.is_cuda else EXACT).to(EXACT)
        if self._weighing is None:
            return norm
        if id(parameter) not in self._weighing:
            return torch.cat([norm[None], norm.new_zeros(2)])
        square, correction, eps = self._weighing[id(parameter)]
        # A micro-batch's gradient is whole on its rank, the step's lies in parts, as the moments do.
        square = ranks.part(square) if ranks.is_spread(gradient) else ranks.whole(square)
        return torch.cat([norm[None], weighted_norms(held, square, correction, eps)])

    def _by_group(self, found: list[tuple[int, torch.Tensor]]) -> torch.Tensor:
        sums = torch.zeros(len(self.groups), len(GEOMETRIES), dtype=EXACT, device=self.parameters[0][1].device)
        if not found:
            return sums
        order = tuple(group for group, _ in found)
        if order != self._order:  # the same in every backward pass, so that it is sent to the device once
            self._order, self._index = order, torch.tensor(order, device=sums.device)
        norms = torch.stack([norm for _, norm in found])
        if norms.ndim == 1:  # without weights: one kernel for each gradient, of which there are hundreds
            norms = functional.pad(norms[:, None], (0, len(GEOMETRIES) - 1), value=torch.nan)
        norms[:, 0] **= 2
        return sums.index_add_(0, self._index, norms)


def weighted_norms(gradient: torch.Tensor, square: torch.Tensor, correction: float, eps: float) -> torch.Tensor:
    """Σ g²/(√v̂+ε) and Σ g²/(√v̂+ε)², v̂ from the second moments in the optimiser's state."""
    sums = torch.zeros(2, dtype=EXACT, device=gradient.device)
    for part, moments in zip(pieces(gradient), pieces(square), strict=True):
        part = part.float()
        scaled = part / (moments.float() / correction).sqrt_().add_(eps)
        sums += torch.stack([(part * scaled).sum(dtype=EXACT), (scaled * scaled).sum(dtype=EXACT)])
    return sums


def steps_taken(optimizer: Any) -> dict[int, float]:
    """How many steps each parameter has in the optimiser's state. One transfer: fused AdamW counts on the device."""
    known = [parameter for of in optimizer.param_groups for parameter in of["params"] if optimizer.state.get(parameter)]
    if not known:
        return {}
    counts = torch.stack([torch.as_tensor(optimizer.state[parameter]["step"]) for parameter in known]).tolist()
    return {id(parameter): float(count) for parameter, count in zip(known, counts, strict=True)}
