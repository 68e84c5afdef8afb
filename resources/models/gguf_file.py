"""Reads a GGUF file: what it says of the model, and its tensors as float32, dequantised.

A file is a header of typed keys, a list of tensors, and their data (the format's description: ggml-org/ggml,
docs/gguf.md). Quantised data are blocks of 32 numbers, each block with its own scale.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from selfdistill.foundation.errors import UserError

BLOCK = 32
# Type of a value in the header → its form; strings and lists are read by themselves.
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, LIST = 8, 9


def of_floats(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda data: data.view(dtype).astype(np.float32)


def of_q8_0(data: np.ndarray) -> np.ndarray:
    """Scale (float16), then 32 signed bytes: scale · byte."""
    blocks = data.reshape(-1, 2 + BLOCK)
    return blocks[:, :2].view("<f2").astype(np.float32) * blocks[:, 2:].view(np.int8).astype(np.float32)


def of_q4_1(data: np.ndarray) -> np.ndarray:
    """Scale and least value (float16), then 16 bytes: low halves are the first 16 numbers, high halves the last;
    scale · half + least."""
    blocks = data.reshape(-1, 4 + BLOCK // 2)
    scale, least = (blocks[:, at : at + 2].view("<f2").astype(np.float32) for at in (0, 2))
    halves = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return scale * halves.astype(np.float32) + least


class Storage(NamedTuple):
    name: str
    block: int  # numbers that share a scale
    size: int  # bytes of a block
    numbers: Callable[[np.ndarray], np.ndarray]


STORAGES = {
    0: Storage("F32", 1, 4, of_floats("<f4")),
    1: Storage("F16", 1, 2, of_floats("<f2")),
    3: Storage("Q4_1", BLOCK, 4 + BLOCK // 2, of_q4_1),
    8: Storage("Q8_0", BLOCK, 2 + BLOCK, of_q8_0),
}


class Stored(NamedTuple):
    shape: tuple[int, ...]  # rows first, as numpy has it
    storage: Storage
    begin: int  # first byte, counted from the start of the data


class GgufFile:
    """`said` are the header's keys; `stored` the tensors by name; `tensor` gives one as float32."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        self.at = 0
        if bytes(self.content[:4]) != b"GGUF":
            raise UserError(f"{path}: is no GGUF file; download it again.")
        self.at = 4
        version = self._number("<I")
        if version not in (2, 3):
            raise UserError(
                f"{path}: is GGUF of version {version}, and only versions 2 and 3 are read; take another file."
            )
        tensors, keys = self._number("<Q"), self._number("<Q")
        self.said: dict[str, Any] = {self._text(): self._value(self._number("<I")) for _ in range(keys)}
        self.stored: dict[str, Stored] = dict(self._entry() for _ in range(tensors))
        alignment = int(self.said.get("general.alignment", 32))
        self.begin = -(-self.at // alignment) * alignment
        for name, entry in self.stored.items():
            if self.begin + entry.begin + self._size(entry) > len(self.content):
                raise UserError(f"{path}: ends before the data of {name}; download it again.")

    def tensor(self, name: str) -> np.ndarray:
        entry = self.stored[name]
        begin = self.begin + entry.begin
        return entry.storage.numbers(self.content[begin : begin + self._size(entry)]).reshape(entry.shape)

    def _size(self, entry: Stored) -> int:
        return int(np.prod(entry.shape)) // entry.storage.block * entry.storage.size

    def _entry(self) -> tuple[str, Stored]:
        name = self._text()
        shape = tuple(self._number("<Q") for _ in range(self._number("<I")))[::-1]
        kind, begin = self._number("<I"), self._number("<Q")
        if kind not in STORAGES:
            known = ", ".join(storage.name for storage in STORAGES.values())
            raise UserError(
                f"{self.path}: {name} is stored in GGUF's type {kind}, and only {known} are read; take a file of those."
            )
        return name, Stored(shape, STORAGES[kind], begin)

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._text()
        if kind == LIST:
            of, length = self._number("<I"), self._number("<Q")
            return [self._value(of) for _ in range(length)]
        if kind not in SCALARS:
            raise UserError(f"{self.path}: its header has a value of the unknown type {kind}; download it again.")
        return self._number(SCALARS[kind])

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _text(self) -> str:
        return self._bytes(self._number("<Q")).decode()

    def _bytes(self, length: int) -> bytes:
        if self.at + length > len(self.content):
            raise UserError(f"{self.path}: is cut short within its header; download it again.")
        self.at += length
        return self.content[self.at - length : self.at].tobytes()
