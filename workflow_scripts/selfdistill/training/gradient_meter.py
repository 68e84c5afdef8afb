"""Squared gradient norms of every micro-batch and of the whole step, by layer group, in three geometries.

A leaf's hook fires once per backward pass with that pass's gradient, before it is added to `.grad`: it sees
δ_k = s_k / T, the very contribution of micro-batch k to the step, without a copy of any gradient. The meter only
looks: training with and without it gives the same weights. The estimators are in `analysis/noise.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from selfdistill.training.bf16 import EXACT, TOGETHER
from selfdistill.training.groups import grouped_parameters

# |g|², Σ g²/(√v̂+ε) and Σ g²/(√v̂+ε)²: of the gradient, in the norm that Adam descends in, and of Adam's update.
GEOMETRIES = ("norm_squared", "adam_norm_squared", "update_norm_squared")


class GradientMeter:
    def __init__(self, model: torch.nn.Module) -> None:
        self.groups, self.parameters = grouped_parameters(model)
        self._weighing: tuple[Any, dict[int, Any]] | None = None  # the optimiser and each parameter's settings in it
        self._sums = self._zeros()
        for group, parameter in self.parameters:
            parameter.register_hook(self._hook(group, parameter))

    def weigh_with(self, optimizer: Any) -> None:
        """Take the Adam-weighted norms of the coming step, too.

        The weights are the second moments as the last step left them: with the coming gradient in them, the estimate
        of its signal would be off by 1-β₂ of its norm. Before the first step there are none.
        """
        self._weighing = None
        if optimizer is not None and optimizer.state:
            self._weighing = optimizer, {id(p): of for of in optimizer.param_groups for p in of["params"]}

    def take_micro_batch(self) -> torch.Tensor:
        """Norms² (group × geometry) of the backward passes since the last call; stays on the device, without a sync."""
        taken, self._sums = self._sums, self._zeros()
        return taken

    @torch.no_grad()
    def step_norms(self) -> torch.Tensor:
        """The same of the accumulated gradient. Ask before it is clipped."""
        sums = self._zeros()
        for group, parameter in self.parameters:
            if parameter.grad is not None:
                sums[group] += self._norms(parameter.grad, parameter)
        return sums

    def _zeros(self) -> torch.Tensor:
        return torch.zeros(len(self.groups), len(GEOMETRIES), dtype=EXACT, device=self.parameters[0][1].device)

    def _hook(self, group: int, parameter: torch.nn.Parameter) -> Callable[[torch.Tensor], None]:
        @torch.no_grad()
        def add(gradient: torch.Tensor) -> None:
            self._sums[group] += self._norms(gradient, parameter)

        return add

    def _norms(self, gradient: torch.Tensor, parameter: torch.nn.Parameter) -> torch.Tensor:
        norms = torch.full((len(GEOMETRIES),), torch.nan, dtype=EXACT, device=gradient.device)
        norms[0] = norm_squared(gradient)
        if self._weighing is not None:
            optimizer, settings = self._weighing
            state = optimizer.state.get(parameter)
            norms[1:] = weighted_norms(gradient, state, settings[id(parameter)]) if state else 0
        return norms


def weighted_norms(gradient: torch.Tensor, state: Mapping[str, Any], of: Mapping[str, Any]) -> torch.Tensor:
    """Σ g²/(√v̂+ε) and Σ g²/(√v̂+ε)², v̂ as the optimiser's state holds it."""
    correction = 1 - of["betas"][1] ** float(state["step"])
    sums = torch.zeros(2, dtype=EXACT, device=gradient.device)
    parts = zip(gradient.flatten().split(TOGETHER), state["exp_avg_sq"].flatten().split(TOGETHER), strict=True)
    for part, square in parts:
        part = part.float()
        scaled = part / (square.float() / correction).sqrt_().add_(of["eps"])
        sums += torch.stack([(part * scaled).sum(dtype=EXACT), (scaled * scaled).sum(dtype=EXACT)])
    return sums


def norm_squared(tensor: torch.Tensor) -> torch.Tensor:
    # Summed in double: |G|² is a small difference of large norms.
    return torch.linalg.vector_norm(tensor.detach(), dtype=EXACT) ** 2
