"""Which files hold a model's weights, and their headers: names, types and places of the tensors, without the tensors.

A safetensors file is eight bytes that give the header's length, the header as JSON, and the data.
"""

import json
from pathlib import Path
from typing import NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.models.reading import read_json, refuse_pointer

SINGLE_FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_HEADER = 100_000_000  # bytes; safetensors reads no larger one


class StoredTensor(NamedTuple):
    dtype: str  # as safetensors calls it: F32, BF16, …
    shape: list[int]
    begin: int  # first byte, counted from the end of the header
    end: int


class Header(NamedTuple):
    raw: bytes  # all that stands before the data
    tensors: dict[str, StoredTensor]  # in the order in which they lie there


def weight_files(folder: Path) -> list[Path]:
    """Those that transformers loads; a folder may hold the same weights once more in another layout."""
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    return [folder / name for name in sorted(tensors_by_file(folder / INDEX))]


def tensors_by_file(index: Path) -> dict[str, set[str]]:
    """What an index says: the names of the tensors that each file holds."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: has no weight_map; download it again.")
    files: dict[str, set[str]] = {}
    for tensor, name in weight_map.items():
        files.setdefault(str(name), set()).add(tensor)
    return files


def read_header(path: Path) -> Header:
    """A file that was cut short is found by its header, which says where the data end."""
    size = path.stat().st_size
    with open(path, "rb") as handle:
        start = handle.read(8)
        refuse_pointer(path, start)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, LARGEST_HEADER):
            raise UserError(f"{path}: is empty or cut short ({size} bytes) and no safetensors file; download it again.")
        raw = start + handle.read(length)
    try:
        entries = json.loads(raw[8:])
        entries.pop("__metadata__", None)
        stored = {
            name: StoredTensor(entry["dtype"], entry["shape"], *map(int, entry["data_offsets"]))
            for name, entry in entries.items()
        }
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise UserError(f"{path}: is no safetensors file, for its header cannot be read; download it again.") from error
    end = len(raw) + max((tensor.end for tensor in stored.values()), default=0)
    if end != size:
        raise UserError(f"{path}: has {size} bytes where its header tells of {end}; download it again.")
    return Header(raw, dict(sorted(stored.items(), key=lambda item: (item[1].begin, item[1].end))))
