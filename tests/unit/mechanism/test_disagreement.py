"""Where two laws part: KL against brute force, words by hand, and a planted disagreement that comes out."""

import math
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from conftest import ROOT
from selfdistill.doubt.counting import Markers
from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.disagreement import (
    POSITIONS_TOGETHER,
    _together,
    disagreements,
    kl_of,
    planned,
    words_of,
)
from selfdistill.mechanism.prober import Job, ProberSettings, probe_model
from selfdistill.mechanism.probes import NOBODY, Probes
from selfdistill.mechanism.read_again import choose_texts, shown_in, under
from selfdistill.mechanism.where import where, where_of_each
from selfdistill.models.pieces import tokenizer_of
from selfdistill.tables import words
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.mechanism import CARRIERS, CONTEXT_KL, DISAGREEMENTS, PROBE_PLAN
from selfdistill.tables.schema import conform, empty_table
from selfdistill.tables.whole import write_table

MODEL = ROOT / "resources/lab/model"


def law(logits: np.ndarray, top: int) -> Probes:
    """As an engine keeps it: the likeliest in falling order, in float32."""
    log_p = torch.tensor(logits).log_softmax(-1)
    best = log_p.topk(top)
    return Probes("base", best.indices.int().numpy(), best.values.float().numpy(), np.zeros(len(logits)))


def brute(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    p, q = (torch.tensor(logits, dtype=torch.float64).log_softmax(-1) for logits in (one, other))
    return (p.exp() * (p - q)).sum(-1).numpy()


def logits(seed: int, spread: float, positions: int = 300, vocabulary: int = 512) -> np.ndarray:
    return spread * np.random.default_rng(seed).standard_normal((positions, vocabulary))


def test_with_the_whole_vocabulary_it_is_kl_itself() -> None:
    one = logits(1, 3.0)
    other = one + logits(2, 1.0)
    kl, rest = kl_of(law(one, 512), law(other, 512))
    assert np.abs(kl - brute(one, other)).max() < 1e-5 and (rest == 0).all()


def test_the_same_law_is_no_distance_away() -> None:
    one = logits(1, 3.0)
    for top in (512, 64):
        kl, _ = kl_of(law(one, top), law(one, top))
        assert np.abs(kl).max() <= 1e-7


@pytest.mark.parametrize("top", [20, 100, 256])
def test_with_a_part_of_it_it_is_a_lower_bound_that_tokens_beyond_make_tighter(top: int) -> None:
    one = logits(3, 2.5)
    other = one + logits(4, 1.5)
    exact = brute(one, other)
    kl, rest = kl_of(law(one, top), law(other, top))
    assert (kl <= exact + 1e-5).all() and (kl >= -1e-6).all() and (rest > 0).any()
    wider, less = kl_of(law(one, 400), law(other, 400))
    assert wider.mean() >= kl.mean() and less.mean() < rest.mean()


def test_a_law_of_fewer_tokens_is_compared_on_those_that_it_has() -> None:
    p = Probes("base", np.array([[4, 2]], np.int32), np.log([[0.75, 0.25]]).astype(np.float32), np.zeros(1))
    q = Probes("x", np.array([[2, NOBODY]], np.int32), np.array([[math.log(0.5), -np.inf]], np.float32), np.zeros(1))
    kl, rest = kl_of(p, q)
    assert kl[0] == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(0.75 / 0.5)) and rest[0] == pytest.approx(0.75)


def test_words_and_words_of_doubt_are_told_token_by_token() -> None:
    texts = ["Per", "haps", " ", "4", "95", ":", " Wait", ",", " un", "likely", "", ".\n"]
    told = list(words_of(texts, Markers()))
    assert [each["word"] for each in told] == [
        "perhaps", "perhaps", " ", words.NUMBER, words.NUMBER, ":", "wait", ",", "unlikely", "unlikely", "unlikely", ".",
    ]  # fmt: skip
    assert [each["first"] for each in told] == [
        True,
        False,
        True,
        True,
        False,
        True,
        True,
        True,
        True,
        False,
        False,
        True,
    ]
    assert [each["marker"] for each in told] == ["perhaps", "perhaps", *[None] * 4, "wait", *[None] * 5]
    assert [each["first_of_marker"] for each in told] == [True, *[False] * 5, True, *[False] * 5]


def test_each_command_of_latex_is_a_word_of_its_own() -> None:
    texts = ["($", "\\frac", "12", "{\\", "sqrt", "3", "}", " \\\\", "\\Alpha", "_", "1", ",\\", ","]
    told = list(words_of(texts, Markers()))
    assert [each["word"] for each in told] == [
        "($", "\\frac", words.NUMBER, "{", "\\sqrt", words.NUMBER, "}", "\\\\", "\\alpha", "_1", "_1", ",\\,", ",\\,",
    ]  # fmt: skip


def test_texts_of_any_length_are_compared_a_part_at_a_time() -> None:
    lengths = [100, POSITIONS_TOGETHER - 100, 1, 40_000, 5, 6]
    carriers = pl.DataFrame({"token_ids": [[1] * length for length in lengths]})
    parts = [part["token_ids"].list.len().to_list() for part in _together(carriers)]
    assert parts == [[100, POSITIONS_TOGETHER - 100], [1], [40_000], [5, 6]]


def table(rows: list[tuple[str, str, str | None, float]], reader: str = "base/in-guided") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"reader": reader, "carrier_id": family, "position": place, "token_id": 0, "family": family, "piece": word,
             "word": word.strip().lower(), "first": True, "marker": marker, "first_of_marker": marker is not None, "kl": kl,
             "rest": 0.0}
            for place, (family, word, marker, kl) in enumerate(rows)
        ],
        schema=DISAGREEMENTS,
    )  # fmt: skip


def test_a_planted_disagreement_comes_out_with_its_share() -> None:
    """Each text has one "Perhaps" of 3 nats (2 and 4) and six other tokens of 1/6 (each half of them in sum 1)."""
    rows = [
        (f"f{text}", word, marker, kl)
        for text in range(20)
        for word, marker, kl in [("Perhaps", "perhaps", 2.0 + 2 * (text % 2)), *[(" 4", None, 1 / 6)] * 6]
    ]
    found = conform(where(table(rows), Markers().names, 5), CONTEXT_KL, "context_kl")

    def row(grouping: str, name: str, place: str = words.WHOLE_WORD) -> dict[str, float]:
        return found.filter(grouping=grouping, name=name, place=place).row(0, named=True)

    every = row(words.BY_TOKEN, words.EVERY_TOKEN)
    assert every["estimate"] == pytest.approx(4 / 7) and every["share"] == 1 and every["positions"] == 140
    perhaps = row(words.BY_DOUBT, "perhaps")
    assert perhaps["estimate"] == pytest.approx(3) and perhaps["share"] == pytest.approx(0.75)
    assert perhaps["times_mean"] == pytest.approx(3 / (4 / 7)) and perhaps["low"] < 3 < perhaps["high"]
    assert perhaps["share_low"] < 0.75 < perhaps["share_high"] < 1
    assert row(words.BY_DOUBT, words.EVERY_DOUBT)["share"] == perhaps["share"]
    assert row(words.BY_DOUBT, words.NO_DOUBT)["share"] == pytest.approx(0.25)
    assert row(words.BY_TOKEN, " 4")["positions"] == 120 and row(words.BY_WORD, "perhaps", words.FIRST_TOKEN)["n"] == 20


def test_memory_holds_the_tokens_of_one_reader_and_the_means_are_those_of_all_at_once() -> None:
    rows: list[tuple[str, str, str | None, float]] = [
        (f"f{text}", word, None, 0.1 + text % 3) for text in range(6) for word in ("so", " 4")
    ]
    names, there = ["base/in-guided", "base/in-hint", "ssd/seed-0/at-100"], list[weakref.ref[pl.DataFrame]]()

    def pieces(reader: str) -> Iterator[pl.DataFrame]:
        assert not [one for one in there if one() is not None]
        for some in (rows[:6], rows[6:]):
            there.append(weakref.ref(piece := table(some, reader)))
            yield piece

    found = where_of_each(map(pieces, names), ["wait"], 5)
    assert len(there) == 6
    assert found.equals(where(pl.concat(table(rows, name) for name in names), ["wait"], 5))


def test_laws_that_never_part_have_no_shares_and_no_interval() -> None:
    found = where(table([(f"f{text}", "a", None, 0.0) for text in range(5)]), ["wait"], 3)
    assert (
        set(found["grouping"]) == {words.BY_TOKEN, words.BY_DOUBT} and found["name"].to_list()[0] == words.EVERY_TOKEN
    )
    row = found.row(0, named=True)
    assert (row["estimate"], row["share"], row["times_mean"], row["low"]) == (0.0, None, None, None)


def samples() -> pl.DataFrame:
    """Two draws of each of six problems, each problem a family."""
    rows = [
        {"request_id": f"p{problem}-{draw}", "problem_id": f"p{problem}", "family": f"f{problem}", "draw": draw, "n_tokens": 10,
         "prompt_ids": [1, 2, 3], "model_id": "samples-plain", "source": "s", "decode_id": "plain", "verdict": "correct",
         "finish_class": "answered"}
        for problem in range(6)
        for draw in (0, 1)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def prompts(shown: dict[str, str], length: int = 20, **skipped: str) -> pl.DataFrame:
    rows = [
        {"problem_id": problem, "outcome": skipped.get(problem, words.GIVEN), "solution_request_id": solution,
         "prompt_tokens": length, "prompt_ids": [9] * length}
        for problem, solution in shown.items()
    ]  # fmt: skip
    return pl.concat([empty_table(CONTEXT_PROMPTS), pl.DataFrame(rows)], how="diagonal_relaxed").cast(
        pl.Schema(CONTEXT_PROMPTS)
    )


def test_a_text_is_never_read_by_who_was_told_that_very_text() -> None:
    told = {"guided": prompts({f"p{n}": f"p{n}-{n % 2}" for n in range(6)}, p5=words.NO_CORRECT_SAMPLE)}
    chosen = choose_texts(samples(), told, shown_in(told.values()), 48, 320, 7)
    assert set(chosen["carrier_id"]) == {f"p{n}-{1 - n % 2}" for n in range(5)}
    assert choose_texts(samples(), told, shown_in(told.values()), 3, 320, 7).equals(chosen.head(3))
    assert choose_texts(samples(), told, shown_in(told.values()), 48, 31, 7).height == 5
    with pytest.raises(UserError, match="no sample is left to read"):
        choose_texts(samples(), told, shown_in(told.values()), 48, 30, 7)
    assert choose_texts(samples(), {}, set(), 48, 320, 7).height == 6


def carriers(count: int = 3) -> pl.DataFrame:
    tokenizer = tokenizer_of(MODEL)
    begin = tokenizer.encode("<|im_start|>user\nWhat is 3 + 4?<|im_end|>\n<|im_start|>assistant\n<think>\n").ids
    rows = []
    for number in range(count):
        ids = tokenizer.encode(
            f"3 + 4 = 7. Wait, is it {number}? Perhaps 7.\n</think>\n\nThe answer is \\boxed{{7}}."
        ).ids
        rows.append({"carrier_id": f"c{number}", "family": f"f{number}", "problem_id": f"p{number}", "model_id": "samples-plain",
                     "prompt_ids": begin, "token_ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False), "n_tokens": len(ids)})  # fmt: skip
    return pl.concat([empty_table(CARRIERS), pl.DataFrame(rows)], how="diagonal_relaxed").cast(pl.Schema(CARRIERS))


def read(folder: Path, name: str, asked: pl.DataFrame, top: int) -> tuple[pl.DataFrame, Path]:
    plan = planned(asked)
    write_table(asked, folder / f"{name}-carriers.parquet", CARRIERS)
    write_table(plan, folder / f"{name}-plan.parquet", PROBE_PLAN)
    job = Job(
        "base",
        MODEL,
        folder / f"{name}-carriers.parquet",
        folder / f"{name}-plan.parquet",
        folder / name,
        folder / f"{name}.parquet",
    )
    probe_model(job, ProberSettings("torch", "float32", 512, top=top))
    return plan, folder / f"{name}.parquet"


def test_through_an_engine_an_empty_context_changes_nothing_and_another_what_transformers_says(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    texts = carriers()
    begin = texts["prompt_ids"][0].to_list()
    hint = prompts({f"p{n}": "" for n in range(3)}).with_columns(
        pl.Series("prompt_ids", [begin + tokenizer_of(MODEL).encode("It is 7.").ids] * 3)
    )
    told, empty = under(texts, hint), under(texts, hint.with_columns(pl.Series("prompt_ids", [begin] * 3)))
    bare_plan, bare = read(tmp_path, "bare", texts, 512)
    found = {}
    for name, asked in (("empty", empty), ("told", told)):
        plan, laws = read(tmp_path, name, asked, 512)
        rows = disagreements(name, texts, (bare_plan, plan), (bare, laws), tokenizer_of(MODEL), Markers())
        found[name] = conform(pl.concat(rows), DISAGREEMENTS, name)
    assert np.abs(found["empty"]["kl"].to_numpy()).max() <= 1e-7
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    for row, other in zip(texts.iter_rows(named=True), told.iter_rows(named=True), strict=True):
        with torch.no_grad():
            p, q = (
                model(input_ids=torch.tensor([ids + row["token_ids"]])).logits[0, len(ids) - 1 : -1].double().numpy()
                for ids in (row["prompt_ids"], other["prompt_ids"])
            )
        mine = found["told"].filter(carrier_id=row["carrier_id"]).sort("position")
        assert np.abs(mine["kl"].to_numpy() - brute(p, q)).max() < 1e-3 and mine["kl"].sum() > 1
        assert "".join(mine["piece"]) == row["text"] and set(mine["marker"].drop_nulls()) == {"wait", "perhaps"}
    shorter = read(tmp_path, "short", told, 40)
    less = pl.concat(
        disagreements("told", texts, (bare_plan, shorter[0]), (bare, shorter[1]), tokenizer_of(MODEL), Markers())
    )
    assert (less["kl"] <= found["told"]["kl"] + 1e-5).all()


def test_another_context_is_another_question_and_finds_no_old_answer() -> None:
    texts = carriers()
    longer = texts.with_columns(pl.col("prompt_ids").list.concat(pl.lit([5])))
    assert not set(planned(texts)["probe_id"]) & set(planned(longer)["probe_id"])
