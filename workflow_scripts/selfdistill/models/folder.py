"""A model folder, looked at before anything heavy starts: facts about the model, or one sentence that says what is wrong.

Only JSON files, the tokenizer and the headers of the weights are read. No code of the folder is run here, and later only
where transformers has none of its own for the model and the study trusts the architecture by name.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError

CONFIG, GENERATION, TOKENIZER = "config.json", "generation_config.json", "tokenizer_config.json"
SINGLE_FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TEXT_PARTS = ("text_config", "llm_config", "language_config")  # where composite models keep what concerns text
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")
LARGEST_HEADER = 100_000_000  # bytes; safetensors reads no larger one


@dataclass(frozen=True)
class ModelFacts:
    architecture: str
    stop_ids: list[int]
    max_positions: int | None  # prompt and completion together; None where the model does not say
    trust_remote_code: bool
    notes: list[str]  # sentences worth a line in the log


def inspect_model(folder: Path, context: int, trusted: str | None = None) -> ModelFacts:
    """`context` and `trusted` are the study's model.context and model.trust_remote_code."""
    try:
        return _inspect(folder, context, trusted)
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be read ({error.strerror}); make the model's files readable."
        ) from error


def _inspect(folder: Path, context: int, trusted: str | None) -> ModelFacts:
    config = _config(folder)
    architecture = _architecture(folder, config)
    _check_weights(folder)
    stop_ids = end_tokens(folder)
    notes = list(_check_tokens(folder, config, stop_ids))
    _check_chat_template(folder)
    positions = _check_context(folder, config, context)
    if positions is None:
        notes.append(f"{folder}: {CONFIG} does not say how long a text may be; model.context is believed.")
    if config.get("quantization_config"):
        notes.append(f"{folder}: the weights are quantised; training and some engines may not take them.")
    trust_remote_code, about_code = _remote_code(folder, config, architecture, trusted)
    return ModelFacts(architecture, stop_ids, positions, trust_remote_code, notes + about_code)


def end_tokens(model: Path) -> list[int]:
    """The ids at which a completion ends, from the generation configuration or else the configuration."""
    for name in (GENERATION, CONFIG):
        content = _json(model / name) if (model / name).is_file() else {}
        for part in (content, _text_part(content)):
            found = part.get("eos_token_id")
            if found is None or found == []:
                continue
            ids = found if isinstance(found, list) else [found]
            if not all(type(number) is int for number in ids):
                raise UserError(f"{model / name}: eos_token_id is {found!r}; give a number or a list of numbers.")
            return list(dict.fromkeys(ids))
    raise UserError(f"{model}: neither {GENERATION} nor {CONFIG} names an eos_token_id; add one to {GENERATION}.")


# Configuration


def _config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UserError(f"{folder}: is not there; model.path must name a model's folder on this machine.")
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder}: is not a model folder, for it has no {CONFIG}; give the folder that has, as model.path."
        )
    return _json(folder / CONFIG)


def _architecture(folder: Path, config: dict[str, Any]) -> str:
    named = config.get("architectures")
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        raise UserError(
            f'{folder / CONFIG}: names no architecture; add "architectures", as the model\'s authors call it.'
        )
    return named[0]


def _text_part(config: dict[str, Any]) -> dict[str, Any]:
    return next((config[name] for name in TEXT_PARTS if isinstance(config.get(name), dict)), config)


def _check_context(folder: Path, config: dict[str, Any], context: int) -> int | None:
    text = _text_part(config)
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


# Weights


def _check_weights(folder: Path) -> None:
    if not (folder / SINGLE_FILE).is_file() and not (folder / INDEX).is_file():
        raise UserError(f"{folder}: {_why_no_weights(folder)}")
    if (folder / SINGLE_FILE).is_file():
        _tensors(folder / SINGLE_FILE)
    if (folder / INDEX).is_file():
        for name, expected in _by_file(folder / INDEX).items():
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / INDEX}: names {name}, which is not there; download or copy the model again."
                )
            lacking = sorted(expected - _tensors(folder / name))
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


def _by_file(index: Path) -> dict[str, set[str]]:
    weight_map = _json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: has no weight_map; download it again.")
    files: dict[str, set[str]] = {}
    for tensor, name in weight_map.items():
        files.setdefault(str(name), set()).add(tensor)
    return files


def _tensors(path: Path) -> set[str]:
    """The names of a file's tensors. A file that was cut short is found by its header, which says where the data end."""
    size = path.stat().st_size
    with open(path, "rb") as handle:
        start = handle.read(8)
        _refuse_pointer(path, start)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, LARGEST_HEADER):
            raise UserError(f"{path}: is empty or cut short ({size} bytes) and no safetensors file; download it again.")
        try:
            header = json.loads(handle.read(length))
            header.pop("__metadata__", None)
            end = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
        except (ValueError, AttributeError, TypeError, LookupError) as error:
            raise UserError(
                f"{path}: is no safetensors file, for its header cannot be read; download it again."
            ) from error
    if end != size:
        raise UserError(f"{path}: has {size} bytes where its header tells of {end}; download it again.")
    return set(header)


# Tokenizer


def _check_tokens(folder: Path, config: dict[str, Any], stop_ids: list[int]) -> Iterator[str]:
    tokenizer = _tokenizer(folder)
    size = _text_part(config).get("vocab_size")
    text_of, id_of = tokenizer.id_to_token, tokenizer.token_to_id
    source = GENERATION if (folder / GENERATION).is_file() else CONFIG
    for number in stop_ids:
        if number < 0 or (isinstance(size, int) and number >= size) or text_of(number) is None:
            raise UserError(
                f"{folder}: end token {number} is no token of the model (its vocabulary has {size}, its tokenizer "
                f"{tokenizer.get_vocab_size()}); mend eos_token_id in {source}."
            )
    names = ", ".join(f"{text_of(number)} ({number})" for number in stop_ids)
    text = _end_of_turn(folder)
    if text is None:
        yield f"{folder}: {TOKENIZER} names no eos_token; completions end at {names}."
    elif id_of(text) is None:
        raise UserError(f"{folder / TOKENIZER}: its eos_token {text} is no token of tokenizer.json; make them agree.")
    elif id_of(text) not in stop_ids:
        complete = json.dumps({"eos_token_id": [id_of(text), *stop_ids]})
        raise UserError(
            f"{folder}: a turn ends with {text} ({id_of(text)}), the tokenizer's eos_token, which is not among the end tokens "
            f"{names}: completions would run on to their cap. Put {complete} into {GENERATION}."
        )
    if len(stop_ids) > 1:
        yield f"{folder}: a completion ends at any of {len(stop_ids)} tokens: {names}."


def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(
            f"{folder}: has no tokenizer.json; make one with transformers, in a copy of the folder that you trust: "
            'AutoTokenizer.from_pretrained("FOLDER").save_pretrained("FOLDER").'
        )
    _refuse_pointer(path)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise UserError(f"{path}: cannot be read ({str(error)[:200]}); download it again.") from error


def _end_of_turn(folder: Path) -> str | None:
    for name in (TOKENIZER, "special_tokens_map.json"):
        named = _json(folder / name).get("eos_token") if (folder / name).is_file() else None
        text = named.get("content") if isinstance(named, dict) else named
        if text:
            return str(text)
    return None


def _check_chat_template(folder: Path) -> None:
    """Of named templates transformers takes the one called default. Files outdo what tokenizer_config.json holds."""
    names = {path.stem for path in folder.glob("additional_chat_templates/*.jinja")}
    if _has_text(folder / "chat_template.jinja"):
        names.add("default")
    if not names and (folder / TOKENIZER).is_file():
        template = _json(folder / TOKENIZER).get("chat_template")
        if isinstance(template, list):
            names = {str(entry.get("name")) for entry in template if isinstance(entry, dict)}
        elif template:
            names = {"default"}
    if "default" in names:
        return
    if names:
        raise UserError(
            f"{folder}: has chat templates for {', '.join(sorted(names))} and none by default; put the one to use into "
            "chat_template.jinja."
        )
    if (folder / "chat_template.json").is_file():
        raise UserError(
            f"{folder}: its chat template is in chat_template.json, where tokenizers do not look; put its text into "
            "chat_template.jinja."
        )
    raise UserError(
        f"{folder}: has no chat template, as base models have none, so a problem cannot be put to it; take the model that "
        "was trained to chat, or put a template into chat_template.jinja."
    )


def _has_text(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


# The folder's own code


def _remote_code(
    folder: Path, config: dict[str, Any], architecture: str, trusted: str | None
) -> tuple[bool, list[str]]:
    """Whether the folder's code is to be run. transformers' own is taken where it has any, even for a trusted folder."""
    if trusted is not None and trusted != architecture:
        raise UserError(
            f"model.trust_remote_code: trusts {trusted}, but {folder} is a {architecture}; name that if you trust its code, "
            "or remove the key."
        )
    tokenizer = _json(folder / TOKENIZER) if (folder / TOKENIZER).is_file() else {}
    carries_code = bool(config.get("auto_map") or tokenizer.get("auto_map"))
    version, native = _known_to_transformers(config.get("model_type"), architecture)
    if native:
        note = (
            f"{folder}: the code that comes with it is not run, for transformers {version} has its own {architecture}."
        )
        return False, [note] if carries_code else []
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
    return True, [f"{folder}: its own Python code is run, because model.trust_remote_code trusts {architecture}."]


def _known_to_transformers(model_type: Any, architecture: str) -> tuple[str, bool]:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return transformers.__version__, model_type in CONFIG_MAPPING_NAMES and architecture in dir(transformers)


# Files


def _json(path: Path) -> dict[str, Any]:
    _refuse_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); mend it or download it again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no JSON object; download it again.")
    return content


def _refuse_pointer(path: Path, start: bytes | None = None) -> None:
    """A git clone without LFS has small text files in place of the large ones."""
    if start is None:
        with open(path, "rb") as handle:
            start = handle.read(8)
    if start == b"version ":
        raise UserError(f"{path}: is a Git LFS pointer and not the file itself; run git lfs pull in its folder.")
