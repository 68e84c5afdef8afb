"""Claims about strips: every token of a shown carrier, asked of the base and of one trained model, with its candidates' texts."""

import math
from collections.abc import Collection

import polars as pl
import pytest

from selfdistill.mechanism.strips import CANDIDATES, models_asked, strips
from selfdistill.tables import words
from selfdistill.tables.mechanism import STRIPS
from selfdistill.tables.schema import conform

SSD, OTHER = "ssd/seed-0/at-100", "keep-cut/seed-0/at-100"
LAW = [0.5, 0.2, 0.15, 0.1, 0.04, 0.01]


def texts(ids: Collection[int]) -> dict[int, str]:
    return {number: f"<{number}>" for number in ids}


def carriers() -> pl.DataFrame:
    return pl.DataFrame([
        {"carrier_id": name, "decode_id": "t10", "verdict": "correct", "finish_class": "answered"} for name in "abc"
    ])  # fmt: skip


def classes() -> pl.DataFrame:
    rows = [
        (writer, carrier, position)
        for carrier, writer in (("b", SSD), ("a", "base"), ("c", "keep-cut/seed-9/at-100"))
        for position in (1, 0)
    ]
    shown = [
        {"probe_id": f"{carrier}{position}", "carrier_id": carrier, "position": position, "token_id": 7, "kinds": [words.STRIP],
         "problem_id": "p", "written_by": writer, "token_class": words.LOCK}
        for writer, carrier, position in rows
    ]  # fmt: skip
    return pl.DataFrame([*shown, {**shown[0], "probe_id": "elsewhere", "position": 5, "kinds": [words.RANDOM]}])


def probes(model: str) -> pl.DataFrame:
    ids = [9, 8, 7, 6, 5, 4] if model == SSD else [7, 8, 9, 6, 5, 4]
    return pl.DataFrame([
        {"probe_id": f"{carrier}{position}", "model_id": model, "ids": ids, "logprobs": [math.log(p) for p in LAW],
         "rank": 1 + ids.index(7), "logprob": math.log(LAW[ids.index(7)])}
        for carrier in "abc" for position in range(6)
    ])  # fmt: skip


def found(*models: str) -> pl.DataFrame:
    return conform(strips(carriers(), classes(), {model: probes(model) for model in models}, texts), STRIPS, "strips")


def test_a_carrier_is_asked_of_the_base_and_of_its_writer_or_the_first_trained_model() -> None:
    asked = found("base", OTHER, SSD)
    by_writer = {writer: rows["model_id"].unique().sort().to_list() for (writer,), rows in asked.group_by("written_by")}
    assert by_writer == {"base": ["base", OTHER], SSD: ["base", SSD], "keep-cut/seed-9/at-100": ["base", OTHER]}
    assert models_asked("base", []) == ["base"]


def test_tokens_stand_in_their_order_and_those_of_the_base_first() -> None:
    asked = found("base", SSD)
    assert asked.select("carrier_id", "position", "model_id").rows()[:4] == [
        ("a", 0, "base"), ("a", 0, SSD), ("a", 1, "base"), ("a", 1, SSD),
    ]  # fmt: skip
    assert asked["carrier_id"].unique(maintain_order=True).to_list() == ["a", "b", "c"]
    assert asked.height == 12, "only positions that are probed for a strip"


def test_candidates_are_the_likeliest_with_their_probabilities_and_texts() -> None:
    base, trained = found("base", SSD).head(2).to_dicts()
    assert base["candidates"] == ["<7>", "<8>", "<9>", "<6>", "<5>"] and len(base["candidates"]) == CANDIDATES
    assert base["probabilities"] == pytest.approx(LAW[:CANDIDATES])
    assert (base["text"], base["rank"], trained["rank"]) == ("<7>", 1, 3)
    assert trained["probability"] == pytest.approx(LAW[2])


def test_a_study_without_strips_has_an_empty_table() -> None:
    none = classes().with_columns(kinds=pl.lit([words.RANDOM]))
    assert strips(carriers(), none, {"base": probes("base")}, texts).schema == pl.Schema(STRIPS)
