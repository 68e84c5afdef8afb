"""Which files make a model sample as it does, and the digest that stands for them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from selfdistill.foundation.errors import UserError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)

CODE = "*.py"  # run only where a study trusts it by name

WEIGHT_PATTERNS = ("*.safetensors", "*.safetensors.index.json")


def model_files(folder: Path) -> Iterator[Path]:
    """What makes a model sample as it does: configuration, end tokens, tokenizer and weights, by name."""
    found = {folder / "config.json", folder / "generation_config.json", *tokenizer_files(folder)}
    found |= {path for pattern in (*WEIGHT_PATTERNS, CODE) for path in folder.glob(pattern)}
    return iter(sorted((path for path in found if path.is_file()), key=lambda path: path.name))


def tokenizer_files(folder: Path) -> list[Path]:
    """What decides how a text becomes tokens, the chat template included."""
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]


def model_digest(folder: str | Path) -> str:
    """SHA-256 over the names and bytes of the model's files. Cards and notes do not count."""
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: is not a model folder: it needs config.json and safetensors weights.")
    total = hashlib.sha256()
    for path in model_files(folder):
        total.update(f"{path.name}\0{file_digest(path)}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
