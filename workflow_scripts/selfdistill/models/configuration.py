"""What a model's config.json says of it: its architecture, and how long a text may be."""

from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.models.reading import CONFIG, read_json

TEXT_PARTS = ("text_config", "llm_config", "language_config")  # where composite models keep what concerns text
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")


def read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UserError(f"{folder}: is not there; model.path must name a model's folder on this machine.")
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder}: is not a model folder, for it has no {CONFIG}; give the folder that has, as model.path."
        )
    return read_json(folder / CONFIG)


def architecture_of(folder: Path, config: dict[str, Any]) -> str:
    named = config.get("architectures")
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        raise UserError(
            f'{folder / CONFIG}: names no architecture; add "architectures", as the model\'s authors call it.'
        )
    return named[0]


def text_part(config: dict[str, Any]) -> dict[str, Any]:
    return next((config[name] for name in TEXT_PARTS if isinstance(config.get(name), dict)), config)


def check_context(folder: Path, config: dict[str, Any], context: int) -> int | None:
    text = text_part(config)
    stated = [text[name] for name in POSITIONS if isinstance(text.get(name), int)]
    if not stated:
        return None
    limit, further = min(stated), max(_scaled_lengths(text, ("yarn",)), default=0)
    if "gemma3" not in str(config.get("model_type")):  # scaled already, although linear
        limit = max([limit, *_scaled_lengths(text, ("linear", "dynamic"))])
    if context > limit:
        mend = (
            f", or set max_position_embeddings to the {further} that its rope scaling reaches"
            if further > limit
            else ""
        )
        raise UserError(
            f"{folder / CONFIG}: the model has positions for {limit} tokens and model.context is {context}: lower "
            f"model.context{mend}."
        )
    return limit


def _scaled_lengths(text: dict[str, Any], kinds: tuple[str, ...]) -> list[int]:
    """What rope scaling of these kinds reaches. vLLM and transformers let linear and dynamic scaling go beyond
    max_position_embeddings; with llama3, yarn and longrope they expect it to be the scaled length already."""
    rope = text.get("rope_parameters") or text.get("rope_scaling")
    ropes = [rope, *rope.values()] if isinstance(rope, dict) else []  # one, or one for each kind of layer
    lengths = []
    for each in ropes:
        if isinstance(each, dict) and each.get("rope_type", each.get("type")) in kinds:
            original = each.get("original_max_position_embeddings") or text.get("max_position_embeddings")
            if isinstance(original, int) and isinstance(each.get("factor"), int | float):
                lengths.append(int(original * each["factor"]))
    return lengths
