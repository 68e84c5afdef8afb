"""The GPUs of this machine, found without starting CUDA."""

import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Gpu:
    """A card. One that is divided by MIG is used slice by slice."""

    index: int
    uuid: str
    slices: tuple[str, ...] = ()


class Listed(NamedTuple):
    gpus: list[Gpu]
    complaint: str  # why there are none


def list_gpus() -> Listed:
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
        complaint = f"nvidia-smi -L: {' '.join((listing.stdout + listing.stderr).split())[:200] or 'lists none'}"
        gpus = parse_listing(listing.stdout) if listing.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = "does not answer" if isinstance(error, subprocess.TimeoutExpired) else "is not installed"
        gpus, complaint = [], f"nvidia-smi {reason}"
    return Listed(gpus or _known_to_the_driver(), complaint)


def parse_listing(text: str) -> list[Gpu]:
    """Lines like `GPU 0: NVIDIA H200 (UUID: GPU-…)`, each followed by its slices: `  MIG 1g.18gb  Device 0: (UUID: MIG-…)`."""
    gpus: list[Gpu] = []
    for line in text.splitlines():
        uuid = re.search(r"\(UUID: ([^)]+)\)", line)
        card = re.match(r"GPU (\d+):", line)
        if card and uuid:
            gpus.append(Gpu(int(card[1]), uuid[1]))
        elif uuid and gpus and line.lstrip().startswith("MIG"):
            gpus[-1] = Gpu(gpus[-1].index, gpus[-1].uuid, (*gpus[-1].slices, uuid[1]))
    return gpus


def _known_to_the_driver() -> list[Gpu]:
    """One folder per card, named by PCI address, in whose order indices count."""
    gpus = []
    for index, folder in enumerate(sorted(DRIVER_GPUS.glob("*"))):
        with suppress(OSError):
            said = re.search(r"GPU UUID:\s*(GPU-[0-9a-f-]+)\s", (folder / "information").read_text())
            gpus.append(Gpu(index, said[1] if said else folder.name))  # a sleeping card's UUID is question marks
    return gpus


def gpus_in_words(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"
