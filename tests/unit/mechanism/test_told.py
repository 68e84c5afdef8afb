"""What a context tells in nats: known of planted laws and of the lab's grammar, and nothing where nothing is told."""

import json
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import ROOT
from selfdistill.analysis.information import information, share_of_few
from selfdistill.mechanism.prober import ProberSettings
from selfdistill.mechanism.reading import Job, given_texts, in_pieces, read_texts
from selfdistill.mechanism.told import Mouth, Texts, closed_thought, information_texts
from selfdistill.models.tokens import load_tokenizer
from selfdistill.sampling.requests import NextTokens, Probed
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT, WRONG
from selfdistill.tables.ladder import LOGPROBS, READINGS
from selfdistill.tables.whole import read_table, write_table

sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "resources")]

from contexts_information import AGAIN, KNOWN, weighed  # noqa: E402

from lab.search import NOTHING, Knows, generate_search, nats_of_trace, write_search  # noqa: E402

MODEL = ROOT / "resources/lab/model"
SENTENCE = "The answer is \\boxed{{answer}}."

# Planted laws: one token of four is written. Prompts are [0] without a context and [1] with it.
UNTOLD, TOLD = np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.70, 0.15, 0.10, 0.05])


def mouth() -> Mouth:
    return Mouth(load_tokenizer(MODEL), SENTENCE, True, {"guided": True})


def answers(prompt: list[int], texts: list[list[int]], verdict: str = CORRECT) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "problem_id": [f"p{place}" for place in range(len(texts))],
            "family": [None] * len(texts),
            "request_id": [f"{prompt[0]}-{place}" for place in range(len(texts))],
            "verdict": [verdict] * len(texts),
            "prompt_ids": [prompt] * len(texts),
            "token_ids": texts,
        },
        schema_overrides={"family": pl.String, "prompt_ids": pl.List(pl.Int32), "token_ids": pl.List(pl.Int32)},
    )


class Planted(Mouth):
    """No tokenizer: the right answer is token 0."""

    def __init__(self) -> None:
        super().__init__(None, SENTENCE, True, {"guided": True})

    def tokens(self, prompt_ids: list[int], answer: str, thinks: bool) -> tuple[list[int], int]:
        return [3, 0], 1


def logprobs(texts: Texts) -> pl.DataFrame:
    """What the planted laws say of every reading."""
    rows = []
    for reading_id, prompt, completion, first in texts.readings.iter_rows():
        law = TOLD if prompt[0] else UNTOLD
        nats = float(np.log(law[completion[first:]]).sum())
        rows.append({"probe_id": reading_id, "logprob": nats, "engine": "planted", "engine_version": "1"})
    return pl.DataFrame(rows, schema=LOGPROBS)


def measured(seed: int, texts: int = 60) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    told, untold = ([[int(token)] for token in generator.choice(4, texts, p=law)] for law in (TOLD, UNTOLD))
    golds = {f"p{place}": "0" for place in range(texts)}
    found = information_texts("base", answers([0], untold), {"guided": answers([1], told)}, golds, Planted(), 9)
    return information([(found.texts, logprobs(found))], ["unguided", "guided"])


def test_the_three_measures_of_planted_laws_are_their_divergences() -> None:
    """KL(told, untold), its counterpart KL(untold, told), and the log-odds of the answer; the first two by intervals that hold."""
    divergence, counterpart = float(TOLD @ np.log(TOLD / UNTOLD)), float(UNTOLD @ np.log(UNTOLD / TOLD))
    held: dict[str, list[bool]] = {words.TOLD_INFORMATION: [], words.STYLE_COST: []}
    for seed in range(120):
        rows = {row["measure"]: row for row in measured(seed).iter_rows(named=True)}
        for measure, true in ((words.TOLD_INFORMATION, divergence), (words.STYLE_COST, counterpart)):
            held[measure].append(rows[measure]["low"] <= true <= rows[measure]["high"])
        assert rows[words.ANSWER_PROBE]["estimate"] == pytest.approx(np.log(0.70 / 0.25))
        assert rows[words.ANSWER_PROBE]["untold"] == pytest.approx(np.log(4))
    assert all(0.88 <= np.mean(found) <= 0.99 for found in held.values())


def test_only_right_texts_of_the_first_rung_count_for_style_and_a_text_that_does_not_fit_is_counted() -> None:
    told, right = (
        answers([1], [[0], [1]]),
        answers([0], [[2], [3]]).with_columns(pl.Series("verdict", [CORRECT, WRONG])),
    )
    long = answers([1] * 7, [[0], [1]])
    golds = {"p0": "0", "p1": "0"}
    found = information_texts("base", right, {"guided": told}, golds, Planted(), 9)
    assert found.texts.filter(pl.col("measure") == words.STYLE_COST)["problem_id"].to_list() == ["p0"]
    assert found.readings.height == 2 * (2 + 1 + 1)  # two told texts, one right one and one answer, behind two prompts
    short = information_texts("base", right, {"guided": long}, golds, Planted(), 9)
    table = information([(short.texts, logprobs(short))], ["unguided", "guided"])
    assert dict(table.select("measure", "left_out").iter_rows()) == {words.TOLD_INFORMATION: 0, words.STYLE_COST: 0}
    none = information_texts("base", right, {"guided": answers([1] * 9, [[0], [1]])}, golds, Planted(), 9)
    assert information([(none.texts, logprobs(none))], ["unguided", "guided"]).is_empty()


def test_problems_that_lack_a_rung_are_read_on_none() -> None:
    told = answers([1], [[0], [1], [2]])
    found = information_texts("base", answers([0], [[0], [1]]), {"guided": told}, {"p0": "0", "p1": "0"}, Planted(), 9)
    assert set(found.texts["problem_id"]) == {"p0", "p1"}


def test_a_thought_is_closed_as_the_prompt_left_it() -> None:
    assert closed_thought("<|im_start|>assistant\n<think>\n", True) == "</think>\n\n"
    assert closed_thought("Correct solution: so it is</think>\n\n5\n<think>\n", True) == "</think>\n\n"
    assert closed_thought("<|im_start|>assistant\n", True) == "<think>\n\n</think>\n\n"
    assert closed_thought("assistant\n<think>\n\n</think>\n\n", True) == ""
    assert closed_thought("assistant\n", False) == ""


def test_the_answer_that_is_put_into_a_models_mouth_counts_from_its_first_digit() -> None:
    tokenizer, asked = load_tokenizer(MODEL), mouth()
    prompt = tokenizer("<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n<think>\n")["input_ids"]
    ids, first = asked.tokens(prompt, "531", True)
    assert tokenizer.decode(ids) == "</think>\n\nThe answer is \\boxed{531}."
    assert tokenizer.decode(ids[first:]) == "531}."


def read(tmp_path: Path, readings: pl.DataFrame) -> pl.DataFrame:
    write_table(readings, tmp_path / "readings.parquet", READINGS)
    settings = ProberSettings("torch", "float32", 320, top=1)
    read_texts(Job(MODEL, tmp_path / "readings.parquet", tmp_path / "work", tmp_path / "logprobs.parquet"), settings)
    return read_table(tmp_path / "logprobs.parquet", LOGPROBS)


def test_a_context_that_tells_nothing_tells_nothing(tmp_path: Path) -> None:
    """The lab's own model reads: the same prompt with and without such a context is one reading, and the measure is 0."""
    tokenizer = load_tokenizer(MODEL)
    problems = [json.loads(line) for line in (ROOT / "resources/lab/problems/quiz.jsonl").read_text().splitlines()[:4]]
    prompts = [tokenizer(f"<|im_start|>user\n{row['problem']}<|im_end|>\n<think>\n")["input_ids"] for row in problems]
    texts = [
        tokenizer(f"So 4.\n</think>\n\nThe answer is \\boxed{{{row['answer']}}}.")["input_ids"] for row in problems
    ]
    rows = answers([0], texts).with_columns(pl.Series("prompt_ids", prompts, dtype=pl.List(pl.Int32)))
    golds = {f"p{place}": row["answer"] for place, row in enumerate(problems)}
    found = information_texts("base", rows, {"guided": rows}, golds, mouth(), 320)
    assert found.readings.height == 8  # four texts and four answers, each once
    table = information([(found.texts, read(tmp_path, found.readings))], ["unguided", "guided"])
    assert table.height == 3 and np.abs(table["estimate"].to_numpy()).max() <= 1e-7
    assert (table["untold"] > 0).all()


class Counting:
    """An engine that counts what it was asked, and fails at a piece."""

    name, version = "counting", "1"

    def __init__(self, fails_at: str = "") -> None:
        self.asked: list[str] = []
        self.fails_at = fails_at

    def distributions(self, given: Iterable[Probed], top: int) -> Iterator[NextTokens]:
        for each in given:
            if each.carrier_id == self.fails_at:
                raise KeyboardInterrupt
            self.asked.append(each.carrier_id)
            one, nothing = np.ones(1, np.int32), np.zeros((1, 1))
            given_nats = np.full(len(each.positions), -0.5)
            yield NextTokens(
                each.carrier_id, nothing.astype(np.int32), nothing.astype(np.float32), None, None, one, given_nats
            )


def test_a_reader_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = pl.DataFrame(
        [{"reading_id": f"r{place}", "prompt_ids": [1], "completion_ids": [5, 6, 7], "first": 1} for place in range(6)],
        schema=READINGS,
    )
    monkeypatch.setattr("selfdistill.mechanism.reading.PIECE_TOKENS", 8)
    engines = [Counting(fails_at="r3"), Counting()]
    monkeypatch.setattr("selfdistill.mechanism.reading.open_reader", lambda *_: engines.pop(0))
    killed, whole = engines
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path, readings)
    found = read(tmp_path, readings)
    assert killed.asked == ["r0", "r1", "r2"] and whole.asked == ["r2", "r3", "r4", "r5"]
    assert found["logprob"].to_list() == [-1.0] * 6


def test_a_long_text_is_a_piece_of_its_own() -> None:
    readings = [{"reading_id": f"r{place}", "prompt_ids": [1], "completion_ids": [5] * length, "first": 0} for place, length in enumerate((3, 3, 50, 3))]  # fmt: skip
    pieces = in_pieces(given_texts(pl.DataFrame(readings, schema=READINGS)), tokens=8)
    assert [[each.carrier_id for each in piece] for piece in pieces.values()] == [["r0", "r1"], ["r2"], ["r3"]]


def test_few_texts_that_make_a_mean_are_told() -> None:
    assert share_of_few(np.array([1.0] * 19 + [19.0])) == pytest.approx(0.5)
    assert np.isnan(share_of_few(np.array([-1.0, 0.5])))


@pytest.mark.parametrize("excluded", [1, 2, 3])
def test_what_a_text_takes_from_a_hint_adds_up_to_what_the_lab_says(excluded: int) -> None:
    """The grammar weighs its own texts, word by word; without slips their mean is the closed form."""
    rng, found, kinds = random.Random(excluded), [], []
    for _ in range(500):
        problem = generate_search(rng, 4)
        hinted = Knows(excluded=frozenset(rng.sample([x for x in problem.candidates if x != problem.right], excluded)))
        text, ended = write_search(problem, rng, hinted)
        told, untold = weighed(problem, text, hinted), weighed(problem, text, NOTHING)
        assert told or not ended
        if told:
            kinds.append(KNOWN if untold else AGAIN)
        if told and untold:
            assert len(told.roles) == len(text)
            found.append(told.nats - untold.nats)
    assert kinds.count(AGAIN) < 0.1 * len(kinds)  # a slip sent it round again
    assert np.mean(found) == pytest.approx(nats_of_trace(4, excluded), abs=4 * np.std(found) / len(found) ** 0.5 + 0.02)
