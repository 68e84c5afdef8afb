"""GPU leases: Snakemake counts the GPUs of one machine but assigns none, so each process takes its own.

Call `lease_gpus` before anything touches CUDA: what is leased becomes CUDA_VISIBLE_DEVICES.
"""

import os
import sys
from pathlib import Path
from types import TracebackType

from selfdistill.foundation.errors import UserError
from selfdistill.machine.devices import VISIBLE, given_by_slurm, of_this_machine, scoped_to_the_step
from selfdistill.machine.gpu_locks import wait_for

ORDER = "CUDA_DEVICE_ORDER"
LEASES, LEASES_BY_DEFAULT = "FORKLOCK_LEASES", "/tmp/forklock-gpus"  # not TMPDIR, which may be each job's own


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
    by_slurm = given_by_slurm()
    candidates = scoped_to_the_step(by_slurm, count) if by_slurm is not None else of_this_machine(count)
    if candidates[0].lock is None:
        return Lease([device.name for device in candidates], [])
    folder = Path(os.environ.get(LEASES) or LEASES_BY_DEFAULT)
    try:
        leased = wait_for(count, candidates, folder, timeout)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: GPU leases cannot be kept there ({error.strerror}); set {LEASES} to a folder "
            "on a local disk that every user of this machine may write to."
        ) from error
    return Lease([device.name for device in leased], list(leased.values()), None if by_slurm else "PCI_BUS_ID")
