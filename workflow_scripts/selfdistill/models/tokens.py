"""Where completions end, whether the tokenizer knows it, and the chat template that a problem is put into."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.models.configuration import text_part
from selfdistill.models.reading import CONFIG, GENERATION, TOKENIZER, read_json, refuse_pointer


def end_tokens(model: Path) -> list[int]:
    """The ids at which a completion ends, from the generation configuration or else the configuration."""
    for name in (GENERATION, CONFIG):
        content = read_json(model / name) if (model / name).is_file() else {}
        for part in (content, text_part(content)):
            found = part.get("eos_token_id")
            if found is None or found == []:
                continue
            ids = found if isinstance(found, list) else [found]
            if not all(type(number) is int for number in ids):
                raise UserError(f"{model / name}: eos_token_id is {found!r}; give a number or a list of numbers.")
            return list(dict.fromkeys(ids))
    raise UserError(f"{model}: neither {GENERATION} nor {CONFIG} names an eos_token_id; add one to {GENERATION}.")


def load_tokenizer(folder: Path, trust_remote_code: bool = False) -> Any:
    """The tokenizer as tokenizer.json has it. transformers 5 builds those of some classes (GPT2Tokenizer, SmolLM2's in
    transformers 4) from the vocabulary alone, and loses how the file splits a text: a number behind two line ends becomes
    other tokens than the model was trained on."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    given = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    loaded = AutoTokenizer.from_pretrained(str(folder), **given)
    file = folder / "tokenizer.json"
    if not file.is_file() or not getattr(loaded, "backend_tokenizer", None):
        return loaded
    written, built = read_json(file), json.loads(loaded.backend_tokenizer.to_str())
    if all(written.get(part) == built.get(part) for part in ("normalizer", "pre_tokenizer")):
        return loaded
    print(
        f"{folder}: transformers reads its tokenizer as a {type(loaded).__name__}, which splits texts otherwise than "
        f"{file.name} says; the file is believed.",
        file=sys.stderr,
    )
    return PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)


def check_tokens(folder: Path, config: dict[str, Any], stop_ids: list[int]) -> Iterator[str]:
    tokenizer = _tokenizer(folder)
    size = text_part(config).get("vocab_size")
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
    refuse_pointer(path)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise UserError(f"{path}: cannot be read ({str(error)[:200]}); download it again.") from error


def _end_of_turn(folder: Path) -> str | None:
    for name in (TOKENIZER, "special_tokens_map.json"):
        named = read_json(folder / name).get("eos_token") if (folder / name).is_file() else None
        text = named.get("content") if isinstance(named, dict) else named
        if text:
            return str(text)
    return None


def closing_token(tokenizer: Any, stop_ids: Collection[int], folder: Path, chat: Mapping[str, Any] = {}) -> int:
    """The token with which the chat template closes the model's turn; a completion ends with it."""
    said = "closing"
    turns = [{"role": "user", "content": "asked"}, {"role": "assistant", "content": said}]
    text = str(tokenizer.apply_chat_template(turns, tokenize=False, **chat))
    _, found, rest = text.rpartition(said)
    ids = tokenizer(rest.lstrip(), add_special_tokens=False)["input_ids"] if found else []
    if not ids or ids[0] not in stop_ids:
        names = ", ".join(
            f"{name} ({number})" for number in stop_ids for name in tokenizer.convert_ids_to_tokens([number])
        )
        raise UserError(
            f"{folder}: its chat template closes the model's turn with {rest.strip()[:40]!r} and not with one of the end tokens "
            f"{names}, so a model that learns solutions would not learn to end; mend the template or eos_token_id in "
            f"{GENERATION}."
        )
    return int(ids[0])


def check_chat_template(folder: Path) -> None:
    """Of named templates transformers takes the one called default. Files outdo what tokenizer_config.json holds."""
    names = {path.stem for path in folder.glob("additional_chat_templates/*.jinja")}
    if _has_text(folder / "chat_template.jinja"):
        names.add("default")
    if not names and (folder / TOKENIZER).is_file():
        template = read_json(folder / TOKENIZER).get("chat_template")
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


def token_texts(folder: Path, ids: Iterable[int]) -> dict[int, str]:
    """What each token writes within a text, its leading space kept. Part of a character is U+FFFD, and what the tokenizer
    does not know is empty: a model may have more rows than it has tokens."""
    tokenizer = _tokenizer(folder)
    before = tokenizer.encode("a", add_special_tokens=False).ids
    known = tokenizer.decode(before, skip_special_tokens=False)

    def text(number: int) -> str:
        whole = str(tokenizer.decode([*before, number], skip_special_tokens=False))
        return (
            whole[len(known) :]
            if whole.startswith(known)
            else str(tokenizer.decode([number], skip_special_tokens=False))
        )

    return {number: text(number) for number in ids}
