"""The model of both worlds and its card: that it is what its script makes, and that it meets the lab's requirements."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from lab.chains import generate
from lab.grammar import Label, label_completion, write_trace
from lab.lessons import both_worlds
from lab.make_model import SHAPES, make_tokenizer
from lab.search import generate_search, label_search, write_search

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "resources/lab/search-model"


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MODEL / "measured.json").read_text())
    return found


def test_it_is_as_small_as_the_model_of_chains_and_of_the_shape_its_script_says() -> None:
    assert (MODEL / "model.safetensors").stat().st_size <= 3_400_000
    config = json.loads((MODEL / "config.json").read_text())
    assert {key: config[key] for key in SHAPES["both"]} == SHAPES["both"]


def test_its_tokenizer_is_the_one_its_script_makes(tmp_path: Path) -> None:
    training = json.loads((MODEL / "training.json").read_text())
    make_tokenizer(tmp_path, "both", both_worlds(training["chains"]), training["seed"])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_text() == (MODEL / name).read_text()


def labelled(rng: random.Random) -> Iterator[tuple[str, list[Label]]]:
    """Completions of both worlds, each character with its label."""
    for _ in range(100):
        searched, chained = generate_search(rng, 5), generate(rng, 3)
        text, finished = write_search(searched, rng)
        if finished:
            yield text, label_search(searched, text)
        text, finished = write_trace(chained, rng)
        if finished:
            yield text, label_completion(chained, text)


def test_no_token_straddles_two_parts_of_either_grammar() -> None:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    for text, labels in labelled(random.Random(4)):
        encoding = tokenizer.encode(text)
        assert tokenizer.decode(encoding.ids, skip_special_tokens=False) == text
        for start, end in encoding.offsets:
            rest = set(labels[start + 1 : end])
            assert (labels[start] == "fork" and rest <= {"neither"}) or rest <= {labels[start]}, text[start:end]


def test_chains_are_told_with_the_same_requirements_as_by_the_first_model(measured: dict[str, Any]) -> None:
    decodes = measured["chains"]["decodes"]
    assert 0.45 <= decodes["t07"]["accuracy"] <= 0.70
    assert 0.05 <= decodes["t10"]["cut_rate"] <= 0.15
    best = max(row["accuracy"] for row in decodes.values())
    assert decodes["t15"]["accuracy"] <= best - 0.15
    assert decodes["t10"]["loops"] > 0


def test_searching_succeeds_more_often_than_guessing_and_not_always(measured: dict[str, Any]) -> None:
    for source, k in (("search-eval", 4), ("search-hard", 6)):
        decodes = measured["search"]["sources"][source]
        assert 1 / k + 0.2 <= decodes["t10"]["accuracy"] <= 0.97
        assert decodes["t15"]["accuracy"] <= decodes["t07"]["accuracy"] - 0.15


def test_the_ladder_is_strictly_ordered_in_length_and_doubt(measured: dict[str, Any]) -> None:
    rungs = [measured["ladder"][name] for name in ("unguided", "no-thought", "regenerated", "guided")]
    for column in ("mean_tokens", "doubts"):
        values = [rung[column] for rung in rungs]
        assert values == sorted(values, reverse=True) and len(set(values)) == len(values), column
    hints = [measured["ladder"][name]["doubts"] for name in ("unguided", "not-1", "not-2", "not-3")]
    assert hints == sorted(hints, reverse=True)


def test_doubts_under_a_hint_are_those_that_the_grammar_expects(measured: dict[str, Any]) -> None:
    for count in (1, 2, 3):
        rung = measured["ladder"][f"not-{count}"]
        assert abs(rung["doubts"] - rung["grammar"]) <= 0.4


def test_without_thought_it_guesses(measured: dict[str, Any]) -> None:
    rung = measured["ladder"]["thinking-off"]
    assert rung["doubts"] < 0.05 and 0.1 <= rung["accuracy"] <= 0.4


def test_the_card_shows_what_was_measured(measured: dict[str, Any]) -> None:
    card = (MODEL / "README.md").read_text()
    tables = [measured["chains"]["decodes"], *measured["search"]["sources"].values(), measured["ladder"]]
    for row in (row for table in tables for row in table.values()):
        assert f"{row['accuracy']:.1%}" in card
