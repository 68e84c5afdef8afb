"""Which GPUs a process may take: those that Slurm gave, that the user chose, or all of this machine. Indices are those of
nvidia-smi, names those that CUDA_VISIBLE_DEVICES takes.
"""

import os
import re
from dataclasses import dataclass

from selfdistill.foundation.errors import UserError
from selfdistill.machine.gpus import Gpu, gpus_in_words, list_gpus

VISIBLE = "CUDA_VISIBLE_DEVICES"
HIDDEN = ("", "-1", "NoDevFiles")  # where CUDA stops reading it
KEYS = "sampling.gpus or training.gpus"
SHARED = "FORKLOCK_PROCESSES_PER_GPU"  # for models so small that one process leaves a card idle


@dataclass(frozen=True)
class Device:
    name: str  # in CUDA_VISIBLE_DEVICES
    lock: str | None  # the lock's file; None when a scheduler sees to it


def given_by_slurm() -> list[str] | None:
    """The entries of the CUDA_VISIBLE_DEVICES that Slurm set; None where Slurm has no say."""
    if "SLURM_JOB_ID" not in os.environ:
        return None
    if VISIBLE in os.environ:
        return _entries(os.environ[VISIBLE])
    if any(os.environ.get(f"SLURM_{name}") for name in ("JOB_GPUS", "STEP_GPUS", "GPUS_ON_NODE")):
        return None  # given, and confined by control groups alone: what can be seen is ours
    return []


def scoped_to_the_step(given: list[str], count: int) -> list[Device]:
    """Slurm's GPUs are the job's alone and need no lock. Indices could not name one: where control groups hide the other
    cards, index 0 of two jobs is two cards. Only when the step has more GPUs than one process asks for (a whole
    workflow inside one allocation) do its processes lease among them, by locks that are the step's own."""
    job = os.environ["SLURM_JOB_ID"]
    if len(given) < count:
        raise UserError(
            f"Slurm gave job {job} {gpus_in_words(len(given))} and {gpus_in_words(count)} are asked for: ask Slurm for {count} (the "
            f"rule's resource gpu, or --gres=gpu:{count}), or lower {KEYS}."
        )
    if len(given) == count:
        return [Device(name, None) for name in given]
    step = os.environ.get("SLURM_STEP_ID", "batch")
    return [Device(name, _as_file_name(f"slurm-{job}-{step}-{name}")) for name in given]


def of_this_machine(count: int) -> list[Device]:
    gpus, complaint = list_gpus()
    visible = os.environ.get(VISIBLE)
    if visible is None:
        devices, shown_by = [device for gpu in gpus for device in _devices_of(gpu)], "this machine"
    else:
        devices, shown_by = _chosen_by_user(_entries(visible), gpus), f"{VISIBLE}={visible}"
        complaint = f"{VISIBLE}={visible!r} hides them"
    if not devices:
        raise UserError(
            f"No GPU can be used ({complaint}) and {gpus_in_words(count)} are asked for: run on a machine with GPUs, or set "
            f"{KEYS} to 0."
        )
    if count > 1:  # CUDA opens one MIG slice in a process
        whole = [device for device in devices if not device.name.startswith("MIG-")]
        shown_by += "" if len(whole) == len(devices) else ", without MIG slices, of which a process can use but one,"
        devices = whole
    if len(devices) < count:
        raise UserError(
            f"{gpus_in_words(count)} are asked for and {shown_by} shows {gpus_in_words(len(devices))}: lower {KEYS}."
        )
    return _places_on(devices) if count == 1 else devices


def _places_on(devices: list[Device]) -> list[Device]:
    """Each card as often as processes may share it, one lock for each: the first place of every card before any second."""
    said = os.environ.get(SHARED) or "1"
    if not said.isdecimal() or int(said) < 1:
        raise UserError(
            f"{SHARED}={said!r}: how many processes may share a GPU is a number from 1; correct or unset it."
        )
    more = [Device(device.name, f"{place}-{device.lock}") for place in range(2, int(said) + 1) for device in devices]
    return devices + more


def _chosen_by_user(entries: list[str], gpus: list[Gpu]) -> list[Device]:
    """Indices, UUIDs or beginnings of UUIDs, as CUDA reads them. Where GPUs cannot be listed the user is believed."""
    chosen: dict[Device, None] = {}  # a set that keeps the order
    for entry in entries:
        devices = _named(entry, gpus) if gpus else [Device(entry, _as_file_name(entry))]
        if not devices:
            raise UserError(
                f"{VISIBLE} names {entry!r}, which nvidia-smi -L does not list; give indices or UUIDs that it lists."
            )
        chosen.update(dict.fromkeys(devices))
    return list(chosen)


def _named(entry: str, gpus: list[Gpu]) -> list[Device]:
    for gpu in gpus:
        if entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry)):
            return _devices_of(gpu)
        if entry in gpu.slices:
            return [Device(entry, _as_file_name(entry))]
    return []


def _devices_of(gpu: Gpu) -> list[Device]:
    """By index, because vLLM has stumbled over UUIDs; slices have no index."""
    if gpu.slices:
        return [Device(name, _as_file_name(name)) for name in gpu.slices]
    return [Device(str(gpu.index), _as_file_name(gpu.uuid))]


def _entries(visible: str) -> list[str]:
    entries = [entry.strip() for entry in visible.split(",")]
    hidden_from = next((place for place, entry in enumerate(entries) if entry in HIDDEN), len(entries))
    return entries[:hidden_from]


def _as_file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "-", name) + ".lock"
