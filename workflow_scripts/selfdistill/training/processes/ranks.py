"""The processes that train one model together: which of them this is, and how they agree. Alone, all of it is trivial.

The launcher starts them (`launcher.py`). Only the first touches the work folder and talks; what it finds, or refuses,
it tells the others, so that all go on or end together. Weights, gradients and moments are spread over them by FSDP2.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from selfdistill.foundation.errors import UserError

if TYPE_CHECKING:
    import torch

SHARDING = Path(__file__).resolve().parents[4] / "profiles" / "fsdp2.yaml"
PATIENCE = timedelta(hours=1)  # the first may read large models while the others wait
Result = TypeVar("Result")

_rank, _world = 0, 1


def join(device: str, patience: timedelta | None = None) -> None:
    """Meet the others that the launcher started; the environment says how many and where, as torchrun's does."""
    global _rank, _world
    import torch
    import torch.distributed as dist

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=patience or PATIENCE)
    _rank, _world = dist.get_rank(), dist.get_world_size()


def leave() -> None:
    import torch.distributed as dist

    dist.destroy_process_group()


def rank() -> int:
    return _rank


def world() -> int:
    return _world


def is_first() -> bool:
    return _rank == 0


def by_first(work: Callable[[], Result]) -> Result:
    """What the work of the first returns, on every rank. A user's mistake that it finds is raised on every rank."""
    if _world == 1:
        return work()
    import torch.distributed as dist

    told: list[Any] = [None, None]
    if is_first():
        try:
            told = [work(), None]
        except UserError as error:
            told = [None, error]
    dist.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    return told[0]


def gather(value: Result) -> list[Result]:
    """The value of every rank, in their order, on every rank. Nobody goes on before all have come here."""
    if _world == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * _world
    dist.all_gather_object(values, value)
    return values


def taking_turns(mine: list[Result]) -> list[Result]:
    """Micro-batches in the order of the data: the trainer deals them out to the ranks like cards."""
    return [each for turn in zip(*gather(mine), strict=True) for each in turn]


def summed(parts: "torch.Tensor") -> "torch.Tensor":
    """The sum over the ranks of what each measured on its part of the weights."""
    if _world == 1:
        return parts
    import torch.distributed as dist

    total = parts.to("cuda" if dist.get_backend() == "nccl" else "cpu", copy=True)
    dist.all_reduce(total)
    return total.to(parts.device)


def is_spread(tensor: "torch.Tensor") -> bool:
    """Whether the tensor lies in parts on the ranks (a DTensor)."""
    return hasattr(tensor, "to_local")


def part(tensor: "torch.Tensor") -> "torch.Tensor":
    """What of a tensor lies on this rank."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def whole(tensor: "torch.Tensor") -> "torch.Tensor":
    """The tensor with the parts of all ranks; all must ask."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def first_index(tensor: "torch.Tensor") -> int:
    """Where in the flattened whole the part of this rank begins. FSDP2 cuts along the rows, in equal pieces from the first."""
    if not is_spread(tensor):
        return 0
    rows = -(-tensor.shape[0] // _world)
    return min(_rank * rows, tensor.shape[0]) * (tensor.numel() // max(1, tensor.shape[0]))


class Leaf(NamedTuple):
    parameter: "torch.nn.Parameter"
    reached: "torch.Tensor"  # by a backward pass


def leaves(model: "torch.nn.Module") -> Iterator[Leaf]:
    """Every parameter that learns, and what of it a backward pass reaches.

    Where weights are spread, that is the gathered parameter. FSDP2 makes it once and fills it anew for every use, so that
    a hook on it stays; a hook on the part would never fire.
    """
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if _world == 1:
        yield from (Leaf(parameter, parameter) for parameter in parameters.values())
        return
    from torch.distributed.fsdp import FSDPModule

    met: set[str] = set()
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.unshard()
            gathered = {name: leaf for name, leaf in model.named_parameters() if not is_spread(leaf)}
            module.reshard()
            for name, leaf in gathered.items():
                if name in parameters and name not in met:
                    yield Leaf(parameters[name], leaf)
            met |= gathered.keys()
    assert met >= parameters.keys(), f"not spread by FSDP2: {sorted(parameters.keys() - met)}"


def sharding() -> dict[str, Any]:
    """What the trainer is told about FSDP2."""
    import yaml

    settings = yaml.safe_load(SHARDING.read_text())["fsdp_config"]
    return {name.removeprefix("fsdp_"): value for name, value in settings.items()}
