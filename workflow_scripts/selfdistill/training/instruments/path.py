"""How far the steps lead: the way from the base, and whether the steps of a window add up, followed on a sample.

The sample is equally spaced over every parameter and holds float32 weights: all of a small model, about four million
of a large one, whose counts and norms are scaled up. Its state goes into the checkpoints, so that a crash in the middle
of a window loses nothing. On several ranks each follows what lies on it, the same weights together as one rank would.
"""

from collections.abc import Iterable
from math import gcd
from typing import Any

import torch

from selfdistill.training.instruments.bf16 import EXACT, bits, exponents, segment_sums, spacing
from selfdistill.training.instruments.gradients import steps_taken
from selfdistill.training.instruments.groups import grouped_parameters
from selfdistill.training.instruments.weights import adam_update, moments_of
from selfdistill.training.processes import ranks

SINCE_START = ("changed_since_start", "distance_norm_squared")
QUANTITIES = ("update", "update_in_ulps", "distance")
FOLLOWED = 1 << 22  # weights of a large model


class PathMeter:
    def __init__(self, model: torch.nn.Module, window: int) -> None:
        self.groups, self.parameters = grouped_parameters(model)
        self._names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.window = window
        self.device = self.parameters[0][1].device
        total = sum(parameter.numel() for _, parameter in self.parameters)
        self._strides = [_stride(parameter, -(-total // FOLLOWED)) for _, parameter in self.parameters]
        self._firsts = [
            -ranks.first_index(parameter) % stride
            for (_, parameter), stride in zip(self.parameters, self._strides, strict=True)
        ]
        self._sizes = [len(part) for part in self._sampled([parameter for _, parameter in self.parameters])]
        sizes = torch.tensor(self._sizes)
        self._ends = sizes.cumsum(0).to(self.device)
        of_parameters = torch.tensor([group for group, _ in self.parameters])
        self._group = of_parameters.to(self.device)
        self._group_of_each = of_parameters.repeat_interleave(sizes).to(self.device)
        whole = torch.tensor([parameter.numel() for _, parameter in self.parameters], dtype=EXACT)
        self._scale = (whole / ranks.summed(sizes)).to(self.device)
        self.state: dict[str, torch.Tensor] = {}
        self._remember(0, self.sample(), torch.zeros(len(self.groups), dtype=EXACT, device=self.device))

    def sample(self) -> torch.Tensor:
        return torch.cat(self._sampled([parameter.detach() for _, parameter in self.parameters])).float()

    def _sampled(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """Of each tensor, every so manieth element of the whole, as far as they lie on this rank."""
        places = zip(tensors, self._firsts, self._strides, strict=True)
        return [ranks.part(tensor).flatten()[first::stride] for tensor, first, stride in places]

    def _by_group(self, values: torch.Tensor) -> torch.Tensor:
        """Sums over the followed weights, scaled up to all weights of each group."""
        sums = segment_sums(values, self._ends) * self._scale
        total = torch.zeros(len(self.groups), dtype=EXACT, device=self.device).index_add_(0, self._group, sums)
        return ranks.summed(total)

    @torch.no_grad()
    def after_step(self, step: int) -> list[dict[str, Any]]:
        """Add the step; at the end of a window, what the windows that end here measured: N, 2N, 4N, … steps long."""
        current = self.sample()
        path = self.state["path"] + self._by_group((current - self.state["last"]).square_())
        self.state |= {"last": current, "path": path}
        if step % self.window:
            return []
        rows = []
        length = self.window
        while length <= step and step % length == 0:
            first = step - length
            distance = self._by_group((current - self.state[f"weights-{first}"]).square_())
            travelled = path - self.state[f"path-{first}"]
            rows.append({"first_step": first + 1, "distance": distance.tolist(), "path": travelled.tolist()})
            length *= 2
        self._remember(step, current, path)
        return rows

    def _remember(self, step: int, weights: torch.Tensor, path: torch.Tensor) -> None:
        self.state |= {"last": weights, f"weights-{step}": weights.clone(), "path": path, f"path-{step}": path.clone()}
        for number in range(1, step // self.window):
            longest = number & -number  # windows from here that begin at this one: the power of two in its number
            if (number + longest) * self.window <= step:
                self.state.pop(f"weights-{number * self.window}", None)
                self.state.pop(f"path-{number * self.window}", None)

    @torch.no_grad()
    def since_start(self) -> list[list[float]]:
        """By group, in the order of SINCE_START."""
        current, base = self.state["last"], self.state["weights-0"]
        columns = ((bits(current) != bits(base)).float(), (current - base).square_())
        return torch.stack([self._by_group(column) for column in columns], 1).tolist()

    @torch.no_grad()
    def relative_distance(self, other: torch.nn.Module) -> float:
        """How far another model's weights lie from the base's, over the norm of the base's."""
        theirs = dict(other.named_parameters())
        sample, base = torch.cat(self._sampled(theirs[name].detach() for name in self._names)), self.state["weights-0"]
        apart, whole = (self._by_group(each.square()).sum() for each in (sample.float() - base, base))
        return float((apart / whole).sqrt())

    @torch.no_grad()
    def histograms(self, before: torch.Tensor, optimizer: Any) -> list[list[int]]:
        """Counts of sizes among the followed weights: group, quantity, biased exponent, number, where it is not 0.

        `before` is the sample as it was before the step.
        """
        view = bits(before)
        update = self._update(view, optimizer)
        distance = self.state["last"] - self.state["weights-0"]
        shape = len(QUANTITIES), len(self.groups), 256
        counts = torch.stack([
            torch.bincount(self._group_of_each * 256 + exponents(values), minlength=shape[1] * 256)
            for values in (update, update / spacing(view), distance)
        ]).view(shape)  # fmt: skip
        counts = ranks.summed(counts).cpu()
        found = zip(counts.nonzero().tolist(), counts[counts > 0].tolist(), strict=True)
        return [[group, quantity, exponent, count] for (quantity, group, exponent), count in found]

    def _update(self, view: torch.Tensor, optimizer: Any) -> torch.Tensor:
        settings = {id(parameter): of for of in optimizer.param_groups for parameter in of["params"]}
        counts = steps_taken(optimizer)
        updates = []
        places = zip(self.parameters, self._firsts, self._strides, view.split(self._sizes), strict=True)
        for (_, parameter), first, stride, old in places:
            if id(parameter) not in counts:
                updates.append(torch.zeros(len(old), device=self.device))
                continue
            mean, square = (part.flatten()[first::stride] for part in moments_of(optimizer, parameter))
            updates.append(adam_update(old, mean, square, counts[id(parameter)], settings[id(parameter)]))
        return torch.cat(updates)


def _stride(parameter: torch.Tensor, wanted: int) -> int:
    """A step through a flattened parameter that visits all its columns, not always the same ones."""
    columns = parameter.shape[-1] if parameter.ndim else 1
    return next(stride for stride in range(max(1, wanted), wanted + columns + 2) if gcd(stride, columns) == 1)
