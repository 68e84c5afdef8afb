"""GPU kernels that a model's layers are written for: whether they are there is asked before a long run, not after it.

transformers takes them from packages that it does not install. Where one is missing or fails to import it says so in one
line and computes the same in plain torch, many times slower. In: a model's folder. Out: nothing, or one sentence that
says what to install.
"""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from selfdistill.foundation.errors import UserError

# Where the module's name and the package's differ.
DISTRIBUTION = {"fla": "flash-linear-attention", "causal_conv1d": "causal-conv1d", "mamba_ssm": "mamba-ssm"}
# Versions whose gradients were compared with plain torch's; transformers itself asks for none.
OLDEST = {"fla": "0.6.0"}
# On Hopper chips the backward pass of gated layers is wrong with Triton 3.4 to 3.7.0, and fla refuses to run there.
OLDEST_TRITON_ON_HOPPER = "3.7.1"
# One depthwise convolution a layer: torch's own costs little, but it cannot keep sequences in one row apart.
CHEAP_WITHOUT = {"causal_conv1d"}
# How transformers' models name the package that a layer's function is taken from.
TAKEN_FROM = re.compile(r'use_kernel_func_from_hub_with_fallback\(\s*"\w+",\s*"(\w+)"')


def refuse_slow_kernels(model_folder: Path, device: str, padding_free: bool = False, accept_slow: bool = False) -> None:
    """Nothing is asked of a CPU, where there is nothing but plain torch. What is accepted is still said."""
    needed = needed_kernels(model_folder) if device == "cuda" else []
    if not needed:
        return
    for package, complaint in complaints(needed, is_hopper()):
        lacking = f"{model_folder}: the model's layers are written for kernels that are not there: {complaint}"
        environment = "install it into the training environment (docs/environments.md says how)"
        if package in CHEAP_WITHOUT and padding_free:
            raise UserError(
                f"{lacking}, without which sequences in one row would see each other; {environment} or set "
                "training.collation: padded."
            )
        if package in CHEAP_WITHOUT or accept_slow:
            print(f"warning: {lacking}; training is correct and slower than it could be.", file=sys.stderr, flush=True)
        else:
            raise UserError(
                f"{lacking}, so that training would be many times slower; {environment}, or "
                "set training.slow_kernels: true."
            )


def needed_kernels(model_folder: Path) -> list[str]:
    """The packages, by the names they are imported by, that transformers' code for this kind of model looks for.

    The code is read and not imported, since importing it is what would settle on the slow functions.
    """
    from transformers.models.auto.configuration_auto import model_type_to_module_name

    model_type = json.loads((model_folder / "config.json").read_text()).get("model_type", "")
    module = model_type_to_module_name(model_type)
    spec = find_spec(f"transformers.models.{module}") if module.isidentifier() else None
    folders = (spec.submodule_search_locations or []) if spec else []
    sources = [file.read_text() for folder in folders for file in Path(folder).glob("modeling_*.py")]
    return sorted({package for source in sources for package in TAKEN_FROM.findall(source)})


class Complaint(NamedTuple):
    package: str  # that will not do
    text: str  # what to install instead, and why


def complaints(needed: list[str], hopper: bool) -> Iterator[Complaint]:
    """Importing is the test that transformers makes, too."""
    for package in needed:
        oldest = OLDEST.get(package)
        wanted = DISTRIBUTION.get(package, package) + (f">={oldest}" if oldest else "")
        if complaint := _complaint(package, oldest):
            yield Complaint(package, f"{wanted} ({complaint})")
        elif package == "fla" and hopper and (complaint := _complaint("triton", OLDEST_TRITON_ON_HOPPER)):
            yield Complaint(package, f"triton>={OLDEST_TRITON_ON_HOPPER} for a Hopper GPU ({complaint})")


def _complaint(package: str, oldest: str | None) -> str | None:
    if find_spec(package) is None:
        return "it is not installed"
    try:
        module: Any = importlib.import_module(package)
    except Exception as error:  # a compiled extension can fail in any way, and transformers would pass over it
        return f"it cannot be imported: {' '.join(str(error).split())[:200]}"
    found = str(getattr(module, "__version__", "none"))
    try:
        enough = oldest is None or Version(found).release >= Version(oldest).release
    except InvalidVersion:
        enough = False
    return None if enough else f"its version is {found}"


def is_hopper() -> bool:
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability()[0] == 9
