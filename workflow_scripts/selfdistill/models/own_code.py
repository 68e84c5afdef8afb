"""Whether the Python code that comes in a model's folder is run: where transformers has none and the study trusts it by name."""

from pathlib import Path
from typing import Any, NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.models.reading import TOKENIZER, read_json


class OwnCode(NamedTuple):
    is_run: bool
    notes: list[str]


def trusted_code(folder: Path, config: dict[str, Any], architecture: str, trusted: str | None) -> OwnCode:
    """Whether the folder's code is to be run. transformers' own is taken where it has any, even for a trusted folder."""
    if trusted is not None and trusted != architecture:
        raise UserError(
            f"model.trust_remote_code: trusts {trusted}, but {folder} is a {architecture}; name that if you trust its code, "
            "or remove the key."
        )
    tokenizer = read_json(folder / TOKENIZER) if (folder / TOKENIZER).is_file() else {}
    carries_code = bool(config.get("auto_map") or tokenizer.get("auto_map"))
    import transformers

    version = transformers.__version__
    if _known_to_transformers(config.get("model_type"), architecture):
        note = (
            f"{folder}: the code that comes with it is not run, for transformers {version} has its own {architecture}."
        )
        return OwnCode(False, [note] if carries_code else [])
    if not carries_code:
        raise UserError(
            f"{folder}: transformers {version} knows no {architecture} (model_type {config.get('model_type')}) and the folder "
            "brings no code for it; take a model that it knows, or the architecture's usual name if only that differs."
        )
    if trusted is None:
        raise UserError(
            f"{folder}: a {architecture} cannot be loaded without running the Python code in that folder, which could do "
            f"anything; read its .py files and, if you trust them, set model.trust_remote_code: {architecture}."
        )
    note = f"{folder}: its own Python code is run, because model.trust_remote_code trusts {architecture}."
    return OwnCode(True, [note])


def _known_to_transformers(model_type: Any, architecture: str) -> bool:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES and architecture in dir(transformers)
