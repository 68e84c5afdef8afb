"""What is measured while a model trains: gradient norms by micro-batch, and which weights move.

Both meters work by layer group, so that a norm² of the whole is the sum of its groups'. They only look: training with
and without them gives the same weights. The estimators that read their numbers are in `analysis/noise.py` and
`analysis/weight_change.py`.
"""

import re
from collections.abc import Callable

import torch

# Gradients and updates are summed in double: |G|² is a small difference of large norms.
EXACT = torch.float64


def layer_group(name: str) -> str:
    """The group that a parameter belongs to, from its name: embedding, layer-03/attention, layer-03/mlp, …"""
    if "visual" in name or "vision" in name:
        return "vision"
    layer = re.search(r"\blayers\.(\d+)\.", name)
    if layer:
        part = "norms" if "norm" in name else "mlp" if ".mlp." in name else "attention"
        return f"layer-{int(layer[1]):02d}/{part}"
    if "embed_tokens" in name:
        return "embedding"
    if "lm_head" in name:
        return "head"
    return "final-norm" if "norm" in name else "other"


def grouped_parameters(model: torch.nn.Module) -> tuple[list[str], list[tuple[int, torch.nn.Parameter]]]:
    """Names of the groups, and every trained parameter (tied ones once) with the index of its group."""
    named = [(layer_group(name), parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = list(dict.fromkeys(group for group, _ in named))
    return groups, [(groups.index(group), parameter) for group, parameter in named]


class GradientMeter:
    """Squared gradient norms by layer group.

    A leaf's hook fires once per backward pass with that pass's gradient, before it is added to `.grad`: it sees
    δ_k = s_k / T, the very contribution of micro-batch k to the step, without a copy of any gradient.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.groups, self._parameters = grouped_parameters(model)
        self._sums = self._zeros()
        for group, parameter in self._parameters:
            parameter.register_hook(self._hook(group))

    def _zeros(self) -> torch.Tensor:
        return torch.zeros(len(self.groups), dtype=EXACT, device=self._parameters[0][1].device)

    def _hook(self, group: int) -> Callable[[torch.Tensor], None]:
        @torch.no_grad()
        def add(gradient: torch.Tensor) -> None:
            self._sums[group] += _norm_squared(gradient)

        return add

    def take_micro_batch(self) -> torch.Tensor:
        """|δ_k|² by group of the backward passes since the last call; stays on the device, without a sync."""
        taken, self._sums = self._sums, self._zeros()
        return taken

    @torch.no_grad()
    def step_norms(self) -> torch.Tensor:
        """|g|² by group of the accumulated gradient. Ask before it is clipped."""
        sums = self._zeros()
        for group, parameter in self._parameters:
            if parameter.grad is not None:
                sums[group] += _norm_squared(parameter.grad)
        return sums


class WeightMeter:
    """How the bf16 view of the weights changes with each optimiser step, and what rounding alone predicts."""

    columns = (
        "changed",
        "predicted",
        "changed_since_start",
        "update_norm_squared",
        "distance_norm_squared",
        "norm_squared",
    )

    def __init__(self, model: torch.nn.Module) -> None:
        self.groups, self._parameters = grouped_parameters(model)
        self._base = [_smallest_exact(parameter.detach()) for _, parameter in self._parameters]
        self._before = [torch.empty_like(parameter) for _, parameter in self._parameters]
        self.weights = [0] * len(self.groups)
        for group, parameter in self._parameters:
            self.weights[group] += parameter.numel()

    @torch.no_grad()
    def before_step(self) -> None:
        for before, (_, parameter) in zip(self._before, self._parameters, strict=True):
            before.copy_(parameter)

    @torch.no_grad()
    def after_step(self) -> torch.Tensor:
        """One row per group, in the order of `columns`."""
        device = self._parameters[0][1].device
        sums = torch.zeros(len(self.groups), len(self.columns), dtype=EXACT, device=device)
        for before, base, (group, after) in zip(self._before, self._base, self._parameters, strict=True):
            seen = _bits(after)
            update = after - before
            sums[group] += torch.stack(
                [
                    (seen != _bits(before)).sum().to(EXACT),
                    predicted_changes(before, update),
                    (seen != _bits(base)).sum().to(EXACT),
                    _norm_squared(update),
                    _norm_squared(after - base),
                    _norm_squared(after),
                ]
            )
        return sums


@torch.no_grad()
def predicted_changes(weights: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
    """Expected number of weights whose bf16 value an update moves: Σ min(1, |u| / ulp).

    bf16 has 8 significant bits, so ulp = 2^(e-7) for 2^e ≤ |w| < 2^(e+1); a master weight lies anywhere in its cell.
    """
    exponent = (_bits(weights).to(torch.int32) >> 7) & 0xFF  # biased, as in float32
    spacing = ((exponent.clamp_(min=8) - 7) << 23).view(torch.float32)  # the float32 whose value is 2^(e-7)
    return (update.abs().float() / spacing).clamp_(max=1.0).sum(dtype=EXACT)


def _bits(weights: torch.Tensor) -> torch.Tensor:
    return weights.detach().to(torch.bfloat16).view(torch.int16)


def _norm_squared(tensor: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(tensor.detach(), dtype=EXACT) ** 2


def _smallest_exact(weights: torch.Tensor) -> torch.Tensor:
    """A copy of the base, in bf16 when it loses nothing by it (as when the model came in bf16): half the memory."""
    short = weights.to(torch.bfloat16)
    return short.clone() if torch.equal(short.to(weights.dtype), weights) else weights.clone()
