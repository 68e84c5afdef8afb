"""Tensors of models' folders, one at a time, as bfloat16 sees them and as float32; without torch, and never a whole model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from selfdistill.foundation.errors import UserError
from selfdistill.models.headers import StoredTensor, read_header, weight_files

Array = np.ndarray[Any, Any]
STORED = {"BF16": np.uint16, "F32": np.uint32, "F16": np.float16}


class Place(NamedTuple):
    file: Path
    start: int  # of the data, in bytes
    tensor: StoredTensor


class StoredWeights:
    """Where the floating-point tensors of a model lie."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.places = folder, {}
        for file in weight_files(folder):
            header = read_header(file)
            for name, tensor in header.tensors.items():
                if tensor.dtype in STORED and tensor.end > tensor.begin:
                    self.places[name] = Place(file, len(header.raw) + tensor.begin, tensor)

    def names(self) -> Iterator[str]:
        return iter(self.places)

    def matrix(self, name: str) -> Array:
        """The numbers as they are stored, read where they lie: rows, and whatever a row holds. A vector is one row."""
        if name not in self.places:
            raise UserError(f"{self.folder}: has no tensor {name}, which the base has; was it made from this base?")
        file, start, tensor = self.places[name]
        dtype = STORED[tensor.dtype]
        flat = np.memmap(file, dtype, "r", start, ((tensor.end - tensor.begin) // np.dtype(dtype).itemsize,))
        rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
        return flat.reshape(rows, -1)


def as_bf16(stored: Array) -> Array:
    """The bits of the nearest bfloat16, ties to even."""
    if stored.dtype == np.uint16:
        return stored
    wide = stored if stored.dtype == np.uint32 else stored.astype(np.float32).view(np.uint32)
    return ((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16).astype(np.uint16)


def as_float32(stored: Array) -> Array:
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.view(np.float32) if stored.dtype == np.uint32 else stored.astype(np.float32)
