"""An export is the source with trained weights in it: every name, shape, precision and foreign tensor stays."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

import exported_models
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table
from selfdistill.training.handover.exports import (
    EXAMPLE_TOKENS,
    LEAST_TOKENS,
    TRAINED_LOGPROBS_FILE,
    check_examples,
    export_model,
    stored_precisions,
    trained_logprobs,
)
from selfdistill.training.trainer.model import load_model

torch.set_num_threads(1)
MAKERS = [exported_models.composite, exported_models.untied, exported_models.tied_twice, exported_models.experts]
MODELS = [
    pytest.param(maker, sharded, id=f"{maker.__name__}{'-sharded' * sharded}") for maker in MAKERS for sharded in (0, 1)
]
Maker = Callable[[Path], Path]


def made(maker: Maker, sharded: bool, folder: Path) -> Path:
    source = maker(folder / "source")
    return exported_models.in_shards(source) if sharded else source


def stored_as(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


@pytest.mark.parametrize(("maker", "sharded"), MODELS)
def test_an_untrained_export_is_its_source_byte_for_byte(maker: Maker, sharded: bool, tmp_path: Path) -> None:
    source = made(maker, sharded, tmp_path)
    export_model(load_model(source), source, tmp_path / "export")
    assert model_digest(tmp_path / "export") == model_digest(source)
    assert {path.name: path.read_bytes() for path in (tmp_path / "export").iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }


@pytest.mark.parametrize(("maker", "sharded"), MODELS)
def test_a_trained_export_keeps_every_name_shape_and_precision_and_loads_as_what_was_trained(
    maker: Maker, sharded: bool, tmp_path: Path
) -> None:
    source = made(maker, sharded, tmp_path)
    model = load_model(source)
    exported_models.train(model)
    export_model(model, source, tmp_path / "export")
    before, after = exported_models.tensors(source), exported_models.tensors(tmp_path / "export")
    assert {name: stored_as(tensor) for name, tensor in after.items()} == {
        name: stored_as(tensor) for name, tensor in before.items()
    }
    foreign = {name for name in before if name.startswith(("mtp.", "model.visual."))}
    assert {name for name in before if torch.equal(before[name], after[name])} == foreign
    loaded = load_model(tmp_path / "export").state_dict()
    for name, tensor in model.state_dict().items():
        short = tensor.to(torch.bfloat16) if maker is exported_models.composite else tensor
        assert torch.equal(loaded[name], tensor) or torch.equal(loaded[name], short.float()), name


def test_a_composite_model_is_exported_whole(tmp_path: Path) -> None:
    """Not as a text-only stub: with its configuration, vision part, second head, and what its processors read."""
    from transformers import AutoModelForImageTextToText, Qwen3_5ForConditionalGeneration

    source, export = exported_models.composite(tmp_path / "source"), tmp_path / "export"
    model = load_model(source)
    exported_models.train(model)
    export_model(model, source, export)
    before, after = exported_models.tensors(source), exported_models.tensors(export)
    assert sum(name.startswith("model.visual.") for name in after) > 10 and "mtp.fc.weight" in after
    for name in ("config.json", "preprocessor_config.json"):
        assert (export / name).read_bytes() == (source / name).read_bytes()
    assert stored_precisions(export) == stored_precisions(source) == {"float32", "bfloat16"}
    text = [name for name in after if name.startswith("model.language_model.")]
    assert len(text) > 40 and not any(torch.equal(before[name], after[name]) for name in text)
    found: Any = AutoModelForImageTextToText.from_pretrained(export, output_loading_info=True, local_files_only=True)
    loaded, info = found
    assert isinstance(loaded, Qwen3_5ForConditionalGeneration)
    assert not info["missing_keys"] and not info["mismatched_keys"]


def test_a_trained_weight_that_the_files_have_no_place_for_is_never_lost_in_silence(tmp_path: Path) -> None:
    source = exported_models.untied(tmp_path / "source")
    model = load_model(source)
    weights = load_file(source / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lm_head\.weight has no place among the tensors"):
        export_model(model, source, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_weights_that_are_stored_in_another_form_than_they_are_trained_in_are_refused(tmp_path: Path) -> None:
    source = exported_models.untied(tmp_path / "source")
    model = load_model(source)
    weights = load_file(source / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"].to(torch.float8_e4m3fn)
    save_file(weights, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lm_head\.weight is stored as F8_E4M3 .* quantised"):
        export_model(model, source, tmp_path / "export")


def test_other_layouts_of_the_weights_and_what_is_said_about_the_source_are_left_behind(tmp_path: Path) -> None:
    source = exported_models.untied(tmp_path / "source")
    shutil.copyfile(source / "model.safetensors", source / "consolidated.safetensors")
    (source / "README.md").write_text("A card.\n")
    (source / "measured.json").write_text('{"accuracy": 0.7}')
    export_model(load_model(source), source, tmp_path / "export")
    assert {path.name for path in (tmp_path / "export").iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors",
    }  # fmt: skip


# The trainer's log-probabilities


def examples(*lengths: tuple[int, int]) -> pl.DataFrame:
    rows = [
        (f"r{number:02d}", [2 + at % 60 for at in range(prompt)], [2 + (at * number) % 60 for at in range(completion)])
        for number, (prompt, completion) in enumerate(lengths)
    ]
    return pl.DataFrame(rows, schema=["request_id", "prompt_ids", "completion_ids"], orient="row")


def test_few_examples_are_scored_and_long_ones_as_far_as_it_costs_little() -> None:
    dataset = examples((5, 20), (1500, 400), (7, 9000), *[(3, 3)] * 20)
    chosen = check_examples(pl.concat([dataset, dataset]).sample(fraction=1, shuffle=True, seed=1), context=10_000)
    assert chosen["request_id"].to_list() == [f"r{number:02d}" for number in range(8)]
    assert chosen["completion_ids"].list.len().to_list() == [20, LEAST_TOKENS, EXAMPLE_TOKENS - 7, 3, 3, 3, 3, 3]
    assert chosen["completion_ids"][2].to_list() == dataset["completion_ids"][2].to_list()[: EXAMPLE_TOKENS - 7]


def test_prompt_and_completion_are_shorter_than_the_context() -> None:
    chosen = check_examples(examples((5, 15), (19, 1), (18, 2)), context=20)
    assert chosen["request_id"].to_list() == ["r00", "r02"]
    assert chosen["completion_ids"].list.len().to_list() == [14, 1]


def test_log_probabilities_lie_beside_the_weights_and_are_no_part_of_the_model(tmp_path: Path) -> None:
    source, export = exported_models.untied(tmp_path / "source"), tmp_path / "export"
    model = load_model(source).train()
    trained = trained_logprobs(model, examples((4, 9), (1, 30)), "float32")
    export_model(model, source, export, trained)
    assert model.training and model_digest(export) == model_digest(source)
    stored = read_table(export / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    for prompt, completion, found in stored.select("prompt_ids", "completion_ids", "log_probs").iter_rows():
        with torch.no_grad():
            logs = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        expected = [float(logs[len(prompt) + at - 1, token]) for at, token in enumerate(completion)]
        assert found == pytest.approx(expected, abs=1e-5)
