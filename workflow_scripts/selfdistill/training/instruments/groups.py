"""The layer groups by which everything in training is measured: a norm² of the whole is the sum of its groups'."""

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


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


class Grouped(NamedTuple):
    names: list[str]  # of the groups
    parameters: list[
        tuple[int, "torch.nn.Parameter"]
    ]  # every trained one (tied ones once), with the index of its group


def grouped_parameters(model: "torch.nn.Module") -> Grouped:
    named = [(layer_group(name), parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = list(dict.fromkeys(group for group, _ in named))
    return Grouped(groups, [(groups.index(group), parameter) for group, parameter in named])
