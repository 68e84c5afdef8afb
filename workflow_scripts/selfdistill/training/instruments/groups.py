"""The layer groups by which everything in training is measured: a norm² of the whole is the sum of its groups'."""

import re

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


def grouped_parameters(model: torch.nn.Module) -> tuple[list[str], list[tuple[int, torch.nn.Parameter]]]:
    """Names of the groups, and every trained parameter (tied ones once) with the index of its group."""
    named = [(layer_group(name), parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = list(dict.fromkeys(group for group, _ in named))
    return groups, [(groups.index(group), parameter) for group, parameter in named]
