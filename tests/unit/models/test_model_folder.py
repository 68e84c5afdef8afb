"""What is wrong with a model folder is one sentence before anything starts; what is only odd is a note."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from selfdistill.foundation.errors import UserError
from selfdistill.models.folder import ModelFacts, inspect_model
from selfdistill.models.tokens import end_tokens

ROOT = Path(__file__).resolve().parents[3]
LAB = ROOT / "resources/lab/model"
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LAB, tmp_path / "lab"))


def change(path: Path, **changes: Any) -> None:
    """None removes a key."""
    content = json.loads(path.read_text()) if path.is_file() else {}
    content.update(changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def refused(folder: Path, sentence: str, context: int = 320, trusted: str | None = None) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        inspect_model(folder, context, trusted)
    said = str(caught.value)
    assert (str(folder) in said or "model.trust_remote_code" in said) and "\n" not in said and said.endswith(".")


def weights(path: Path, *names: str) -> None:
    """A safetensors file as the format's description says: the header's length, the header, the data."""
    tensors = {name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i, name in enumerate(names)}
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4 * len(names))


def model(folder: Path, tokens: dict[str, int], **files: Any) -> Path:
    """A folder of the shape of a published model: its JSON files, a token or two of its tokenizer, hardly any weights."""
    folder.mkdir()
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    Tokenizer(WordLevel({"[UNK]": 0, **tokens}, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    weights(folder / "model.safetensors", "model.embed_tokens.weight")
    return folder


def test_the_lab_model_is_no_surprise() -> None:
    assert inspect_model(LAB, 512) == ModelFacts("Qwen3ForCausalLM", [420], 512, False, [])
    assert end_tokens(LAB) == [420]


# Models as they are published


QWEN3 = {
    "config": {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "bos_token_id": 151643, "eos_token_id": 151645,
        "max_position_embeddings": 40960, "rope_scaling": None, "rope_theta": 1000000, "vocab_size": 151936,
    },
    "generation_config": {"bos_token_id": 151643, "eos_token_id": [151645, 151643], "temperature": 0.6, "top_k": 20},
    "tokenizer_config": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "chat_template": TEMPLATE},
}  # fmt: skip
QWEN3_TOKENS = {"<|endoftext|>": 151643, "<|im_end|>": 151645}

LLAMA = {
    "config": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "eos_token_id": [128001, 128008, 128009],
        "max_position_embeddings": 131072, "vocab_size": 128256,
        "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                         "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    },
    "generation_config": {"do_sample": True, "eos_token_id": [128001, 128008, 128009], "temperature": 0.6},
    "tokenizer_config": {"eos_token": "<|eot_id|>", "chat_template": TEMPLATE, "model_max_length": 131072},
}  # fmt: skip
LLAMA_TOKENS = {"<|end_of_text|>": 128001, "<|eom_id|>": 128008, "<|eot_id|>": 128009}

QWEN35 = {  # no generation_config.json, and the text part names the end of a document only
    "config": {
        "architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5", "image_token_id": 248056,
        "text_config": {"model_type": "qwen3_5_text", "eos_token_id": 248044, "max_position_embeddings": 262144,
                        "rope_parameters": {"mrope_section": [11, 11, 10], "rope_type": "default", "rope_theta": 1e7},
                        "vocab_size": 248320},
        "vision_config": {"model_type": "qwen3_5", "depth": 24},
    },
    "tokenizer_config": {"eos_token": {"__type": "AddedToken", "content": "<|im_end|>"}},
}  # fmt: skip
QWEN35_TOKENS = {"<|endoftext|>": 248044, "<|im_end|>": 248046}


def test_a_model_like_qwen3_4b(tmp_path: Path) -> None:
    facts = inspect_model(model(tmp_path / "m", QWEN3_TOKENS, **QWEN3), 40960)
    assert (facts.architecture, facts.stop_ids, facts.max_positions) == ("Qwen3ForCausalLM", [151645, 151643], 40960)
    assert facts.notes == [
        f"{tmp_path / 'm'}: a completion ends at any of 2 tokens: <|im_end|> (151645), <|endoftext|> (151643)."
    ]


def test_a_model_like_llama_31_whose_positions_are_scaled_already(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", LLAMA_TOKENS, **LLAMA)
    facts = inspect_model(folder, 131072)
    assert facts.stop_ids == [128001, 128008, 128009] and facts.max_positions == 131072
    refused(folder, "positions for 131072 tokens and model.context is 131073", context=131073)


def test_a_composite_model_like_qwen35_4b_needs_the_end_of_its_turns(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", QWEN35_TOKENS, **QWEN35)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    refused(folder, r'Put \{"eos_token_id": \[248046, 248044\]\} into generation_config.json')
    (folder / "generation_config.json").write_text('{"eos_token_id": [248046, 248044]}')
    facts = inspect_model(folder, 49152)
    assert facts.architecture == "Qwen3_5ForConditionalGeneration" and facts.max_positions == 262144
    assert facts.stop_ids == [248046, 248044] and not facts.trust_remote_code
    refused(folder, "positions for 262144 tokens and model.context is 262145", context=262145)


# Configuration and context


def test_no_folder_no_configuration_no_architecture(lab: Path) -> None:
    refused(lab / "nowhere", "model.path must name")
    change(lab / "config.json", architectures=None)
    refused(lab, "names no architecture")
    (lab / "config.json").write_text("{")
    refused(lab, "cannot be read as JSON")
    (lab / "config.json").write_text("[]")
    refused(lab, "holds no JSON object")
    (lab / "config.json").unlink()
    refused(lab, "has no config.json")


def test_a_context_beyond_the_positions_is_refused_unless_scaling_reaches_it(lab: Path) -> None:
    refused(lab, "positions for 512 tokens and model.context is 513: lower model.context.$", context=513)
    for kind in ("linear", "dynamic"):
        change(lab / "config.json", rope_parameters=None, rope_scaling={"type": kind, "factor": 4.0})
        assert inspect_model(lab, 2048).max_positions == 2048
        refused(lab, "positions for 2048 tokens", context=2049)
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
    change(lab / "config.json", rope_scaling=yarn)
    refused(lab, "lower model.context, or set max_position_embeddings to the 2048 that its rope scaling", context=2048)
    change(lab / "config.json", rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8}, "other": None})
    assert inspect_model(lab, 4096).max_positions == 4096
    change(lab / "config.json", max_position_embeddings=None, max_seq_len=1024, rope_parameters=None, rope_scaling=None)
    assert inspect_model(lab, 1024).max_positions == 1024


def test_a_model_that_states_no_positions_is_noted(lab: Path) -> None:
    change(lab / "config.json", max_position_embeddings=None)
    facts = inspect_model(lab, 10**6)
    assert facts.max_positions is None and "model.context is believed" in facts.notes[0]


def test_quantised_weights_are_noted(lab: Path) -> None:
    change(lab / "config.json", quantization_config={"quant_method": "fp8"})
    assert "quantised" in inspect_model(lab, 320).notes[0]


# Weights


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_never_read(lab: Path, name: str) -> None:
    (lab / "model.safetensors").rename(lab / name)
    refused(lab, rf"only pickled weights \({name}\).*convert")


def test_weights_that_are_missing_or_something_else(lab: Path) -> None:
    (lab / "model.safetensors").rename(lab / "model-00001-of-00002.safetensors")
    refused(lab, "neither model.safetensors nor model.safetensors.index.json")
    (lab / "model-00001-of-00002.safetensors").rename(lab / "adapter_model.safetensors")
    refused(lab, "holds an adapter")
    (lab / "adapter_model.safetensors").unlink()
    refused(lab, "has no weights")


def test_every_file_of_an_index_is_there_and_holds_what_the_index_says(lab: Path) -> None:
    (lab / "model.safetensors").unlink()
    weights(lab / "one.safetensors", "a", "b")
    weights(lab / "two.safetensors", "c")
    change(lab / "model.safetensors.index.json", weight_map={"a": "one.safetensors", "c": "two.safetensors"})
    inspect_model(lab, 320)
    weights(lab / "two.safetensors", "d")
    refused(lab, "two.safetensors: lacks c")
    (lab / "two.safetensors").unlink()
    refused(lab, "names two.safetensors, which is not there")
    change(lab / "model.safetensors.index.json", weight_map={})
    refused(lab, "has no weight_map")


def test_a_file_that_was_cut_short_is_found_by_its_header(lab: Path) -> None:
    path = lab / "model.safetensors"
    whole = path.read_bytes()
    for length in (0, 5, 8, 300, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(lab, "model.safetensors: (is empty or cut short|has .* bytes where its header tells of)")
    path.write_bytes(whole + b"\0")
    refused(lab, "where its header tells of")
    path.write_bytes((5).to_bytes(8, "little") + b"{a: 1")
    refused(lab, "its header cannot be read")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3287280\n")
    refused(lab, "git lfs pull")


# Tokenizer


def test_several_end_tokens_all_end_a_completion_and_are_noted(lab: Path) -> None:
    change(lab / "generation_config.json", eos_token_id=[420, 418, 420])
    facts = inspect_model(lab, 320)
    assert facts.stop_ids == [420, 418]
    assert facts.notes == [f"{lab}: a completion ends at any of 2 tokens: <|im_end|> (420), <|endoftext|> (418)."]


def test_end_tokens_come_from_the_generation_configuration_first(lab: Path) -> None:
    change(lab / "config.json", eos_token_id=418)
    assert end_tokens(lab) == [420]
    change(lab / "generation_config.json", eos_token_id=None)
    assert end_tokens(lab) == [418]
    change(lab / "config.json", eos_token_id=None, text_config={"eos_token_id": 420})
    assert end_tokens(lab) == [420]
    change(lab / "config.json", text_config=None)
    refused(lab, "neither generation_config.json nor config.json names an eos_token_id")
    change(lab / "generation_config.json", eos_token_id="<|im_end|>")
    refused(lab, "give a number or a list of numbers")


@pytest.mark.parametrize("number", [512, -1, 10**6])
def test_an_end_token_outside_the_vocabulary_is_refused(lab: Path, number: int) -> None:
    change(lab / "generation_config.json", eos_token_id=[420, number])
    refused(lab, f"end token {number} is no token of the model")


def test_a_turns_end_that_ends_no_completion_is_refused(lab: Path) -> None:
    change(lab / "generation_config.json", eos_token_id=418)
    sentence = r'ends with <\|im_end\|> \(420\).*cap. Put \{"eos_token_id": \[420, 418\]\} into generation_config.json'
    refused(lab, sentence)
    change(lab / "tokenizer_config.json", eos_token={"content": "<|im_end|>"})
    refused(lab, sentence)
    change(lab / "tokenizer_config.json", eos_token=None)
    assert "names no eos_token" in inspect_model(lab, 320).notes[0]
    change(lab / "special_tokens_map.json", eos_token={"content": "<|im_end|>"})  # where older tokenizers say it
    refused(lab, sentence)
    change(lab / "tokenizer_config.json", eos_token="</s>")
    refused(lab, "its eos_token </s> is no token")


def test_a_tokenizer_that_cannot_be_read(lab: Path) -> None:
    (lab / "tokenizer.json").write_text('{"version": "1.0"}')
    refused(lab, "tokenizer.json: cannot be read")
    (lab / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    refused(lab, "git lfs pull")
    (lab / "tokenizer.json").unlink()
    refused(lab, "has no tokenizer.json; make one")


def test_a_chat_template_is_found_where_transformers_finds_it(lab: Path) -> None:
    from transformers import AutoTokenizer

    def found() -> bool:
        """As transformers sees it; and we agree."""
        try:
            AutoTokenizer.from_pretrained(lab).get_chat_template()
        except ValueError:
            return False
        inspect_model(lab, 320)
        return True

    template = json.loads((lab / "tokenizer_config.json").read_text())["chat_template"]
    named = [{"name": "default", "template": template}, {"name": "tool_use", "template": template}]
    assert found()
    change(lab / "tokenizer_config.json", chat_template=named)
    assert found()
    change(lab / "tokenizer_config.json", chat_template=named[1:])
    assert not found()
    refused(lab, "has chat templates for tool_use and none by default")
    change(lab / "tokenizer_config.json", chat_template=None)
    assert not found()
    refused(lab, "has no chat template, as base models have none")
    (lab / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert not found()
    refused(lab, "chat_template.json, where tokenizers do not look")
    (lab / "additional_chat_templates").mkdir()
    (lab / "additional_chat_templates/tool_use.jinja").write_text(template)
    assert not found()
    refused(lab, "none by default; put the one to use into chat_template.jinja")
    change(lab / "tokenizer_config.json", chat_template=template)  # the files outdo it
    assert not found()
    refused(lab, "none by default")
    (lab / "chat_template.jinja").write_text(template)
    assert found()


# Code in the folder


def test_code_in_the_folder_is_run_only_for_an_architecture_that_is_trusted_by_name(lab: Path) -> None:
    change(lab / "config.json", architectures=["OwnForCausalLM"], model_type="own")
    refused(lab, r"knows no OwnForCausalLM \(model_type own\) and the folder brings no code")
    for name in ("config.json", "tokenizer_config.json"):
        change(lab / name, auto_map={"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"})
        refused(lab, "set model.trust_remote_code: OwnForCausalLM")
        refused(lab, f"trusts Own, but {lab} is a OwnForCausalLM", trusted="Own")
        facts = inspect_model(lab, 320, "OwnForCausalLM")
        assert facts.trust_remote_code and "its own Python code is run" in facts.notes[0]
        change(lab / name, auto_map=None)


def test_a_known_model_type_does_not_make_an_unknown_architecture_known(lab: Path) -> None:
    change(lab / "config.json", architectures=["OwnForCausalLM"], auto_map={"AutoModelForCausalLM": "own.Own"})
    refused(lab, "set model.trust_remote_code: OwnForCausalLM")


def test_code_for_what_transformers_knows_is_never_run_trusted_or_not(lab: Path) -> None:
    change(lab / "config.json", auto_map={"AutoModelForCausalLM": "modeling_evil.Evil"})
    for trusted in (None, "Qwen3ForCausalLM"):
        facts = inspect_model(lab, 320, trusted)
        assert not facts.trust_remote_code
        assert "is not run, for transformers" in facts.notes[0]
    refused(lab, "trusts LlamaForCausalLM, but", trusted="LlamaForCausalLM")
