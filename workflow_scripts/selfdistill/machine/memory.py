"""How much memory is in use: the GPU's and this process's own."""

import os
import sys

GIB = 2**30


def gpu_memory_gib() -> float | None:
    """What is in use on this process's GPU, by whomever; None where it uses none."""
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return None
        free, total = torch.cuda.mem_get_info()
    except (AttributeError, RuntimeError):  # torch is being imported; CUDA has failed
        return None
    return round((total - free) / GIB, 2)


def memory_gib() -> float | None:
    """Resident memory of this process."""
    try:
        with open("/proc/self/statm") as statm:
            return round(int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / GIB, 3)
    except (OSError, ValueError, IndexError):
        return None
