"""How the weights move: what bf16 sees of every update, what rounding alone predicts, and how far the path leads.

The update of a step is read from the optimiser's state after it, as AdamW computed it and before any rounding, so
that no second copy of the float32 weights is kept. Around the step only their bf16 view is held.
"""

from collections.abc import Iterator, Mapping
from math import gcd
from typing import Any

import torch

from selfdistill.training.bf16 import EXACT, TOGETHER, bits, exponents, spacing
from selfdistill.training.gradient_meter import steps_taken
from selfdistill.training.groups import grouped_parameters

EVERY_STEP = ("changed", "predicted_changed", "changed_on_grid", "update_norm_squared", "kept_on_grid", "norm_squared")
NOW_AND_THEN = ("changed_since_start", "distance_norm_squared")
HISTOGRAMS = ("update", "update_in_ulps", "distance")
SAMPLED = 1 << 22  # weights of all that the path is followed by; of smaller models it is followed by all weights


class WeightMeter:
    """Sums by layer group: of each step in the order of EVERY_STEP, and of the way from the start in NOW_AND_THEN."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.groups, self.parameters = grouped_parameters(model)
        self.device = self.parameters[0][1].device
        self._base = [_kept_apart(parameter.detach()) for _, parameter in self.parameters]
        self._before: list[torch.Tensor] = []
        self.weights = [0] * len(self.groups)
        for group, parameter in self.parameters:
            self.weights[group] += parameter.numel()

    @torch.no_grad()
    def before_step(self) -> None:
        """Remember the view. It lives for the length of the optimiser's step, when activations need no memory."""
        views = [(bits(parameter), parameter) for _, parameter in self.parameters]
        self._before = [view.clone() if parameter.dtype == torch.bfloat16 else view for view, parameter in views]

    @torch.no_grad()
    def after_step(self, optimizer: Any) -> torch.Tensor:
        """One row per group, in the order of EVERY_STEP."""
        sums = torch.zeros(len(self.groups), len(EVERY_STEP), dtype=EXACT, device=self.device)
        if self.device.type == "cuda":
            return self._fused(optimizer, sums)
        for group, after, before, update in self._updates(optimizer):
            sums[group] += change_sums(after, before, update)
        return sums

    def _fused(self, optimizer: Any, sums: torch.Tensor) -> torch.Tensor:
        from selfdistill.training.fused import fused_sums

        settings = {id(parameter): of for of in optimizer.param_groups for parameter in of["params"]}
        counts = steps_taken(optimizer)
        for (group, parameter), before in zip(self.parameters, self._before, strict=True):
            if count := counts.get(id(parameter)):
                state, of = optimizer.state[parameter], settings[id(parameter)]
                sums[group] += fused_sums(parameter, before, state["exp_avg"], state["exp_avg_sq"], count, of)
        return sums

    @torch.no_grad()
    def since_start(self, optimizer: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The way from the base (group × NOW_AND_THEN), and histograms of sizes (group × HISTOGRAMS × exponent).

        Ask after `after_step` and before `forget`.
        """
        sums = torch.zeros(len(self.groups), len(NOW_AND_THEN), dtype=EXACT, device=self.device)
        counts = torch.zeros(len(self.groups), len(HISTOGRAMS), 256, dtype=torch.int64, device=self.device)
        for group, _, before, update in self._updates(optimizer):
            counts[group, 0] += exponents(update)
            counts[group, 1] += exponents(update / spacing(before))
        for (group, parameter), base in zip(self.parameters, self._base, strict=True):
            for after, start in zip(_parts(parameter.detach()), _parts(base), strict=True):
                start = start.to(self.device, non_blocking=True)
                distance = after.float() - start.float()
                changed = (bits(after) != bits(start)).sum().to(EXACT)
                sums[group] += torch.stack([changed, (distance * distance).sum(dtype=EXACT)])
                counts[group, 2] += exponents(distance)
        return sums, counts

    def forget(self) -> None:
        self._before = []

    def _updates(self, optimizer: Any) -> Iterator[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Of every piece of every parameter: its group, the weights, their view before the step, and the update."""
        settings = {id(parameter): of for of in optimizer.param_groups for parameter in of["params"]}
        counts = steps_taken(optimizer)
        for (group, parameter), before in zip(self.parameters, self._before, strict=True):
            count = counts.get(id(parameter))
            if count is None:  # no gradient ever reached it, and the optimiser left it alone
                for after, view in zip(_parts(parameter.detach()), _parts(before), strict=True):
                    yield group, after, view, torch.zeros_like(after, dtype=torch.float32)
                continue
            state, of = optimizer.state[parameter], settings[id(parameter)]
            tensors = (parameter.detach(), before, state["exp_avg"], state["exp_avg_sq"])
            for after, view, mean, square in zip(*(_parts(tensor) for tensor in tensors), strict=True):
                yield group, after, view, adam_update(view, mean, square, count, of)


def adam_update(
    before: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, step: float, of: Mapping[str, Any]
) -> torch.Tensor:
    """What AdamW added to the weights in the step that left this state."""
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


class PathMeter:
    """Whether the steps add up: |θ_{t+N} - θ_t|² against Σ |Δθ|², for windows of N, 2N, 4N, … steps.

    It follows an equally spaced sample of the float32 weights (all weights of a small model). Its state goes into the
    checkpoints, so that a window survives a crash.
    """

    def __init__(self, model: torch.nn.Module, window: int) -> None:
        self.groups, self.parameters = grouped_parameters(model)
        self.window = window
        total = sum(parameter.numel() for _, parameter in self.parameters)
        self._strides = [_stride(parameter, -(-total // SAMPLED)) for _, parameter in self.parameters]
        sizes = [len(sample) for sample in self._sample()]
        self.weights = [0] * len(self.groups)
        for (group, _), size in zip(self.parameters, sizes, strict=True):
            self.weights[group] += size
        self.state: dict[str, torch.Tensor] = {}
        self._remember(0, torch.zeros(len(self.groups), dtype=EXACT))

    def _sample(self) -> list[torch.Tensor]:
        strides = zip(self.parameters, self._strides, strict=True)
        return [parameter.detach().flatten()[::stride].float() for (_, parameter), stride in strides]

    def _remember(self, step: int, path: torch.Tensor) -> None:
        weights = torch.cat([sample.cpu() for sample in self._sample()])
        self.state |= {"last": weights, f"weights-{step}": weights.clone(), f"path-{step}": path.clone(), "path": path}
        for number in range(1, step // self.window):
            longest = number & -number  # windows from here that begin at this one: the power of two in its number
            if (number + longest) * self.window <= step:
                self.state.pop(f"weights-{number * self.window}", None)
                self.state.pop(f"path-{number * self.window}", None)

    @torch.no_grad()
    def after_step(self, step: int) -> list[dict[str, Any]]:
        """Add the step; at the end of a window, what the windows that end here measured."""
        current = torch.cat([sample.cpu() for sample in self._sample()])
        path = self.state["path"] + self._by_group(current - self.state["last"])
        self.state |= {"last": current, "path": path}
        if step % self.window:
            return []
        rows = []
        length = self.window
        while length <= step and step % length == 0:
            first = step - length
            if f"weights-{first}" not in self.state:
                break
            distance = self._by_group(current - self.state[f"weights-{first}"])
            travelled = path - self.state[f"path-{first}"]
            rows.append({"first_step": first + 1, "distance": distance.tolist(), "path": travelled.tolist()})
            length *= 2
        self._remember(step, path)
        return rows

    def _by_group(self, difference: torch.Tensor) -> torch.Tensor:
        sums = torch.zeros(len(self.groups), dtype=EXACT)
        sizes = [
            -(-parameter.numel() // stride)
            for (_, parameter), stride in zip(self.parameters, self._strides, strict=True)
        ]
        for (group, _), part in zip(self.parameters, difference.split(sizes), strict=True):
            sums[group] += torch.linalg.vector_norm(part, dtype=EXACT) ** 2
        return sums


def _parts(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tensor.flatten().split(TOGETHER)


def _kept_apart(weights: torch.Tensor) -> torch.Tensor:
    """A copy of the base in main memory, in bf16 when it loses nothing by it (as when the model came in bf16)."""
    short = weights.to(torch.bfloat16)
    kept = short if torch.equal(short.to(weights.dtype), weights) else weights
    return kept.cpu().pin_memory() if weights.is_cuda else kept.clone()


def _stride(parameter: torch.Tensor, wanted: int) -> int:
    """A step through a flattened parameter that visits all its columns, not always the same ones."""
    columns = parameter.shape[-1] if parameter.ndim else 1
    return next(stride for stride in range(max(1, wanted), wanted + columns + 2) if gcd(stride, columns) == 1)
