"""GPU leases: Snakemake counts the GPUs of one machine but assigns none, so each process takes its own.

A lease is a lock on one file per GPU, held by the process: however it dies, the kernel gives the GPU back. Locks are named
by UUID, so that an index and a UUID mean the same card, and lie in one folder for all users of the machine. Call
`lease_gpus` before anything touches CUDA: what is leased becomes CUDA_VISIBLE_DEVICES. Indices are those of nvidia-smi.
"""

import fcntl
import os
import random
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from selfdistill.foundation.errors import UserError

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
HIDDEN = ("", "-1", "NoDevFiles")  # where CUDA stops reading CUDA_VISIBLE_DEVICES
LEASES, LEASES_BY_DEFAULT = "FORKLOCK_LEASES", "/tmp/forklock-gpus"  # not TMPDIR, which may be each job's own
DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")
POLL_SECONDS = 1.0
KEYS = "sampling.gpus or training.gpus"


@dataclass(frozen=True)
class Gpu:
    """A card. One that is divided by MIG is used slice by slice."""

    index: int
    uuid: str
    slices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    name: str  # in CUDA_VISIBLE_DEVICES
    lock: str | None  # the lock's file; None when a scheduler sees to it


class Lease:
    """The GPUs that are this process's own until it ends, or until the lease is released. Children that are forked share
    it: the cards are free when the last of them is gone."""

    def __init__(self, devices: list[str], locks: list[int], order: str | None = None) -> None:
        self.devices, self._locks = devices, locks
        self._before = {name: os.environ.get(name) for name in (VISIBLE, ORDER)}
        os.environ[VISIBLE] = ",".join(devices)
        if order:
            os.environ[ORDER] = order

    def release(self) -> None:
        for lock in self._locks:
            os.close(lock)
        self._locks = []
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before = {}

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lease_gpus(count: int, timeout: float | None = None) -> Lease:
    """Waits until `count` GPUs are free (for `timeout` seconds, or as long as it takes) and leases them all at once."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise RuntimeError("CUDA runs in this process already: lease the GPUs first")
    if count == 0:
        return Lease([], [])
    by_slurm = _given_by_slurm()
    candidates = _scoped_to_the_step(by_slurm, count) if by_slurm is not None else _of_this_machine(count)
    if candidates[0].lock is None:
        return Lease([device.name for device in candidates], [])
    folder = Path(os.environ.get(LEASES) or LEASES_BY_DEFAULT)
    try:
        leased = _wait_for(count, candidates, folder, timeout)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: GPU leases cannot be kept there ({error.strerror}); set {LEASES} to a folder "
            "on a local disk that every user of this machine may write to."
        ) from error
    return Lease([device.name for device in leased], list(leased.values()), None if by_slurm else "PCI_BUS_ID")


# Which GPUs may be taken


def _given_by_slurm() -> list[str] | None:
    """The entries of the CUDA_VISIBLE_DEVICES that Slurm set; None where Slurm has no say."""
    if "SLURM_JOB_ID" not in os.environ:
        return None
    if VISIBLE in os.environ:
        return _entries(os.environ[VISIBLE])
    if any(os.environ.get(f"SLURM_{name}") for name in ("JOB_GPUS", "STEP_GPUS", "GPUS_ON_NODE")):
        return None  # given, and confined by control groups alone: what can be seen is ours
    return []


def _scoped_to_the_step(given: list[str], count: int) -> list[Device]:
    """Slurm's GPUs are the job's alone and need no lock. Indices could not name one: where control groups hide the other
    cards, index 0 of two jobs is two cards. Only when the step has more GPUs than one process asks for (a whole
    workflow inside one allocation) do its processes lease among them, by locks that are the step's own."""
    job = os.environ["SLURM_JOB_ID"]
    if len(given) < count:
        raise UserError(
            f"Slurm gave job {job} {_gpus(len(given))} and {_gpus(count)} are asked for: ask Slurm for {count} (the "
            f"rule's resource gpu, or --gres=gpu:{count}), or lower {KEYS}."
        )
    if len(given) == count:
        return [Device(name, None) for name in given]
    step = os.environ.get("SLURM_STEP_ID", "batch")
    return [Device(name, _as_file_name(f"slurm-{job}-{step}-{name}")) for name in given]


def _of_this_machine(count: int) -> list[Device]:
    gpus, complaint = list_gpus()
    visible = os.environ.get(VISIBLE)
    if visible is None:
        devices, shown_by = [device for gpu in gpus for device in _devices_of(gpu)], "this machine"
    else:
        devices, shown_by = _chosen_by_user(_entries(visible), gpus), f"{VISIBLE}={visible}"
        complaint = f"{VISIBLE}={visible!r} hides them"
    if not devices:
        raise UserError(
            f"No GPU can be used ({complaint}) and {_gpus(count)} are asked for: run on a machine with GPUs, or set "
            f"{KEYS} to 0."
        )
    if count > 1:  # CUDA opens one MIG slice in a process
        whole = [device for device in devices if not device.name.startswith("MIG-")]
        shown_by += "" if len(whole) == len(devices) else ", without MIG slices, of which a process can use but one,"
        devices = whole
    if len(devices) < count:
        raise UserError(f"{_gpus(count)} are asked for and {shown_by} shows {_gpus(len(devices))}: lower {KEYS}.")
    return devices


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


def list_gpus() -> tuple[list[Gpu], str]:
    """The GPUs of this machine, found without starting CUDA; or none, and why."""
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
        complaint = f"nvidia-smi -L: {' '.join((listing.stdout + listing.stderr).split())[:200] or 'lists none'}"
        gpus = parse_listing(listing.stdout) if listing.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = "does not answer" if isinstance(error, subprocess.TimeoutExpired) else "is not installed"
        gpus, complaint = [], f"nvidia-smi {reason}"
    return gpus or _known_to_the_driver(), complaint


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


def _entries(visible: str) -> list[str]:
    entries = [entry.strip() for entry in visible.split(",")]
    hidden_from = next((place for place, entry in enumerate(entries) if entry in HIDDEN), len(entries))
    return entries[:hidden_from]


# Locks


def _wait_for(count: int, candidates: list[Device], folder: Path, timeout: float | None) -> dict[Device, int]:
    """All or nothing: who waits holds no GPU, so no two wait for each other."""
    until = None if timeout is None else time.monotonic() + timeout
    told = False
    with _shared_folder(folder) as shared:
        while True:
            leased, busy = _take(count, candidates, shared)
            if leased:
                return leased
            if until is not None and time.monotonic() >= until:
                raise UserError(
                    f"{_gpus(count)} did not become free within {timeout:g} s: {_holders(busy, shared)}. Wait for them or "
                    "stop them, and run again; with Snakemake, --resources gpu=N keeps jobs from waiting so."
                )
            if not told:
                print(f"waiting for {_gpus(count)}: {_holders(busy, shared)}", file=sys.stderr, flush=True)
                told = True
            time.sleep(random.uniform(0.5, 1.5) * POLL_SECONDS)  # uneven, so that two never chase each other


def _take(count: int, candidates: list[Device], shared: int) -> tuple[dict[Device, int], list[Device]]:
    held: dict[Device, int] = {}
    busy = []
    try:
        for device in candidates:
            lock = _locked(str(device.lock), shared)
            if lock is None:
                busy.append(device)
                continue
            held[device] = lock
            if len(held) == count:
                return held, busy
    except BaseException:
        _give_back(held)
        raise
    _give_back(held)
    return {}, busy


def _give_back(held: dict[Device, int]) -> None:
    for lock in held.values():
        os.close(lock)


def _locked(name: str, shared: int) -> int | None:
    """The lock, as an open file with our process id in it; None when another process has it."""
    lock = _open_lock(name, shared)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        raise
    if not _still_there(name, lock, shared):  # a cleaner of old files came between
        os.close(lock)
        return _locked(name, shared)
    with suppress(OSError):  # a full disk: the lock counts, not the note
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _open_lock(name: str, shared: int) -> int:
    """Opened without O_CREAT when it exists: the kernel forbids that for other users' files in a sticky folder. A link or a
    special file that someone put there is refused, for we write into it."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        lock = os.open(name, flags, dir_fd=shared)
    except FileNotFoundError:
        try:
            with _writable_by_all():
                lock = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=shared)
        except FileExistsError:
            return _open_lock(name, shared)
    about = os.fstat(lock)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(lock)
        raise OSError(0, "not a plain file; remove it", name)
    return lock


def _still_there(name: str, lock: int, shared: int) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=shared, follow_symlinks=False), os.fstat(lock))
    except FileNotFoundError:
        return False


@contextmanager
def _shared_folder(folder: Path) -> Iterator[int]:
    """Everybody may add locks, and remove none but their own. A link in the folder's place is not followed."""
    with suppress(FileExistsError), _writable_by_all():
        os.mkdir(folder, 0o1777)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _writable_by_all() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def _holders(busy: list[Device], shared: int) -> str:
    return ", ".join(f"GPU {device.name} is held by {_holder(str(device.lock), shared)}" for device in busy)


def _holder(name: str, shared: int) -> str:
    """What the lock's file says, which anybody could have written: believed only when it is a number."""
    with suppress(OSError):
        lock = _open_lock(name, shared)
        try:
            said = os.pread(lock, 20, 0).strip()
        finally:
            os.close(lock)
        if said.isdigit():
            return f"process {said.decode()}"
    return "a process that left no id"


def _as_file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "-", name) + ".lock"


def _gpus(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"
