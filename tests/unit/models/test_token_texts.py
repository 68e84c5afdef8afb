"""Claims about the text of a single token: its space is kept, and part of a character is seen as such."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from selfdistill.foundation.errors import UserError
from selfdistill.models.tokens import token_texts

PART = "\ufffd"


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def byte_level(folder: Path) -> Path:
    vocabulary = {letter: place for place, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE({**vocabulary, "ĠLet": 300}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    return saved(tokenizer, folder)


def sentence_piece(folder: Path) -> Path:
    vocabulary = {"<unk>": 0, "<0xE2>": 1, "a": 2, "▁a": 3, "▁Let": 4, "<0x0A>": 5}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0),
    ])  # fmt: skip
    return saved(tokenizer, folder)


def test_a_byte_of_a_longer_character_is_marked_and_others_are_themselves(tmp_path: Path) -> None:
    folder = byte_level(tmp_path)
    known = Tokenizer.from_file(str(folder / "tokenizer.json"))
    halves = known.encode("€").ids
    assert len(halves) == 3
    others = [known.token_to_id(name) or 0 for name in ("Ċ", "ĠLet", "<|end|>")]
    found = token_texts(folder, [*halves, *others])
    assert list(found.values()) == [PART, PART, PART, "\n", " Let", "<|end|>"]


def test_a_leading_space_is_kept_where_a_whole_text_would_lose_it(tmp_path: Path) -> None:
    assert token_texts(sentence_piece(tmp_path), [4, 2, 1, 5]) == {4: " Let", 2: "a", 1: PART, 5: "\n"}


def test_a_row_of_the_model_without_a_token_has_no_text(tmp_path: Path) -> None:
    assert token_texts(byte_level(tmp_path), [9999]) == {9999: ""}


def test_a_folder_without_a_tokenizer_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no tokenizer\.json"):
        token_texts(tmp_path, [1])
