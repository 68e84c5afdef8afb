"""Whether a folder's weights are there and whole."""

from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.models.headers import INDEX, SINGLE_FILE, read_header, tensors_by_file

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def check_weights(folder: Path) -> None:
    if not (folder / SINGLE_FILE).is_file() and not (folder / INDEX).is_file():
        raise UserError(f"{folder}: {_why_no_weights(folder)}")
    if (folder / SINGLE_FILE).is_file():
        read_header(folder / SINGLE_FILE)
    if (folder / INDEX).is_file():
        for name, expected in tensors_by_file(folder / INDEX).items():
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / INDEX}: names {name}, which is not there; download or copy the model again."
                )
            lacking = sorted(expected - read_header(folder / name).tensors.keys())
            if lacking:
                raise UserError(f"{folder / name}: lacks {lacking[0]}, which {INDEX} says it holds; download it again.")


def _why_no_weights(folder: Path) -> str:
    def found(*patterns: str) -> str:
        return next((path.name for pattern in patterns for path in sorted(folder.glob(pattern))), "")

    if found("adapter_model.*"):
        return (
            "holds an adapter and not a model; merge it into its base model (merge_and_unload of peft) and save that."
        )
    if name := found("*.safetensors"):
        return f"has {name} but neither {SINGLE_FILE} nor {INDEX}, so what belongs to the model is unknown; download it whole."
    if name := found(*PICKLES):
        return (
            f"has only pickled weights ({name}), which are never read because a pickle can run code; where you trust "
            'it, convert it with transformers: AutoModelForCausalLM.from_pretrained("OLD").save_pretrained("NEW").'
        )
    return f"has no weights; it needs {SINGLE_FILE}, or {INDEX} and the files that it names."
