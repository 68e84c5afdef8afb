"""Doubt of whole studies: what the lab's grammar wrote, counted by hand, planted ratios, and who is compared with whom."""

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tokenizers import Tokenizer

from conftest import ROOT
from lab import grammar
from lab.chains import generate
from selfdistill.analysis.doubt import comparisons_of, doubt_levels, doubt_ratios
from selfdistill.analysis.doubt_counts import Reader, with_doubts
from selfdistill.analysis.doubt_measures import Doubted
from selfdistill.analysis.word_shift import shifts_asked, word_shift, words_used
from selfdistill.doubt.counting import Markers
from selfdistill.models.pieces import pieces, tokenizer_of
from selfdistill.study.doubt import Doubt
from selfdistill.study.evaluation import Decoded, Evaluation, Hypothesis
from selfdistill.tables import words
from selfdistill.tables.doubt import DOUBT, DOUBT_RATIOS, WORD_SHIFT

EVALUATION = Evaluation(
    budgets={"quick": 20, "full": 40}, decodes=Decoded(base=["t07", "t10"], final=["t07"], earlier=["t07"])
)
SOON = Hypothesis(arm="ssd", against="keep-cut", comparison="matched", decode="t07", margin=0.03)
MARKERS = Markers()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tokenizer_of(ROOT / "resources/lab/model")


class Counting(grammar.RandomPen):
    """The grammar's pen, that notes where it chose to doubt."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.doubts: list[int] = []

    def choose(self, options: list[tuple[float, str]]) -> int:
        at = self.length
        chosen = super().choose(options)
        if options[chosen][1] == " Wait, check: ":
            self.doubts.append(at + 1)
        return chosen


def test_doubts_are_those_that_the_grammar_chose_and_stand_at_their_tokens(tokenizer: Tokenizer) -> None:
    reader, seen = Reader(MARKERS, tokenizer, thinks=True), 0
    for seed in range(60):
        pen = Counting(random.Random(seed))
        try:
            grammar.reason(generate(random.Random(seed), 5), pen)
        except grammar.Cut:
            continue
        text = "".join(pen.pieces)
        tokens = tokenizer.encode(text, add_special_tokens=False).ids
        marks, places, later, of_thought, substrings = reader.read(text, tokens)
        assert [MARKERS.names[mark] for mark in marks] == ["wait", "check"] * len(pen.doubts)
        assert (later, substrings) == (0, len(marks))
        wrote = pieces(tokenizer, tokens)
        for place, begins in zip(places[::2], pen.doubts, strict=True):
            assert len("".join(wrote[:place])) <= begins < len("".join(wrote[: place + 1]))
        assert "".join(wrote[:of_thought]).endswith("</think>")
        seen += len(pen.doubts)
    assert seen > 20


TEXTS = {
    "Wait, so it is.\n</think>\n\nPerhaps 4.": (2, 1),
    "So it is 4.\n</think>\n\nThe answer is 4.": (0, 0),
    "Wait, wait, wait": (3, 0),
    "<think>Hmm.</think>": (1, 0),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("closes_by_one_token", [True, False])
def test_tokens_of_the_thought_are_told_by_its_closing_token_or_by_the_text(
    tokenizer: Tokenizer, text: str, closes_by_one_token: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not closes_by_one_token:
        monkeypatch.setattr(Reader, "closing", None)
    tokens = tokenizer.encode(text, add_special_tokens=False).ids
    marks, _, later, of_thought, _ = Reader(MARKERS, tokenizer, thinks=True).read(text, tokens)
    assert (len(marks), later) == TEXTS[text]
    thought = tokenizer.decode(tokens[:of_thought], skip_special_tokens=False)
    assert thought == (text[: text.index("</think>") + 8] if "</think>" in text else text)
    assert Reader(MARKERS, tokenizer, thinks=False).read(text, tokens)[2:4] == (len(marks), 0)


def graded(
    tokenizer: Tokenizer, model: str, texts: Sequence[Sequence[str]], decode: str = "t07", families: int = 1
) -> pl.DataFrame:
    """Graded rows of texts by problem and draw."""
    rows = []
    for problem, drawn in enumerate(texts):
        for draw, text in enumerate(drawn):
            tokens = tokenizer.encode(text, add_special_tokens=False).ids
            rows.append({
                "model_id": model, "decode_id": decode, "problem_id": f"p{problem:03d}", "family": f"f{problem // families}",
                "split": "dev" if problem % 5 == 4 else "test", "rank": problem, "purpose": "eval", "draw": draw,
                "n_tokens": len(tokens), "finish_class": "answered", "think_closed": "</think>" in text, "boxed": True,
                "verdict": "correct", "text": text, "token_ids": tokens,
            })  # fmt: skip
    return pl.DataFrame(rows)


def worded(doubts: int, others: int, later: int = 0) -> str:
    return "Wait. " * doubts + "So. " * others + "</think>" + "perhaps " * later + "4"


def one(frame: pl.DataFrame, **wanted: Any) -> Mapping[str, Any]:
    for column, value in wanted.items():
        frame = frame.filter(pl.col(column).is_null() if value is None else pl.col(column) == value)
    assert frame.height == 1, frame
    return frame.row(0, named=True)


TWO = {"marker": None, "without": None}


def test_levels_are_counted_by_hand(tokenizer: Tokenizer) -> None:
    texts = [[worded(1, 2), worded(2, 0, later=3)], [worded(0, 5), worded(0, 1, later=1)], [worded(3, 3), worded(0, 0)]]
    answers = with_doubts(graded(tokenizer, "base", texts), MARKERS, tokenizer, thinks=True)
    levels = doubt_levels(Doubted.of(answers, MARKERS, EVALUATION))
    assert levels.schema == pl.Schema(DOUBT)
    tokens = int(answers["n_tokens"].sum())
    of = {row["estimand"]: row["estimate"] for row in levels.filter(pl.col("marker").is_null()).to_dicts()}
    assert of[words.DOUBTS] == of[words.SUBSTRINGS] == pytest.approx(10 / 6)
    assert of[words.DOUBT_RATE] == of[words.SUBSTRING_RATE] == pytest.approx(1000 * 10 / tokens)
    thought = int(answers["thought_tokens"].sum())
    assert of[words.THOUGHT_DOUBT_RATE] == pytest.approx(1000 * 6 / thought)
    assert of[words.LATER_DOUBT_RATE] == pytest.approx(1000 * 4 / (tokens - thought))
    alone = {row["marker"]: row["estimate"] for row in levels.filter(pl.col("marker").is_not_null()).to_dicts()}
    assert alone.keys() == set(MARKERS.names)
    assert alone["wait"] + alone["perhaps"] == pytest.approx(of[words.DOUBT_RATE]) and alone["hmm"] == 0


@pytest.fixture(scope="module")
def study(tokenizer: Tokenizer) -> pl.DataFrame:
    """The base doubts 6 times where an arm doubts 3 times; both say perhaps as often. Earlier checkpoints,
    a second arm of two trainings, a twin, a second decode of the base."""
    chance = np.random.default_rng(0)

    def texts(doubts: int, problems: int = 40, draws: int = 2) -> list[list[str]]:
        each = chance.poisson(doubts, (problems, draws))
        return [[worded(count, 12 - min(count, 12), later=1) for count in drawn] for drawn in each]

    parts = [graded(tokenizer, "base", texts(6), decode) for decode in ("t07", "t10")]
    parts += [graded(tokenizer, "aa", texts(6)), graded(tokenizer, "ssd/seed-0/at-050", texts(4, problems=20))]
    parts += [graded(tokenizer, "ssd/seed-0/at-100", texts(3))]
    parts += [graded(tokenizer, f"keep-cut/seed-{seed}/at-100", texts(6 + seed)) for seed in (0, 1)]
    return pl.concat(parts)


@pytest.fixture(scope="module")
def doubted(study: pl.DataFrame, tokenizer: Tokenizer) -> Doubted:
    return Doubted.of(with_doubts(study, MARKERS, tokenizer, thinks=True), MARKERS, EVALUATION)


@pytest.fixture(scope="module")
def ratios(doubted: Doubted) -> pl.DataFrame:
    return doubt_ratios(doubted, EVALUATION, {"soon": SOON})


def test_every_comparison_of_a_study_is_made_once_at_its_widest_budget(doubted: Doubted) -> None:
    made = comparisons_of(doubted.evaluations, EVALUATION, {"soon": SOON})
    named = [
        (each.side.model_id, each.against.model_id, each.against.decode_id, each.kind, each.budget) for each in made
    ]
    assert len(named) == len(set(named))
    assert {each[:2] for each in named if each[3] == words.MATCHED} == {
        ("aa", "base"), ("ssd/seed-0/at-050", "base"), ("ssd/seed-0/at-100", "base"), ("keep-cut/all-seeds/at-100", "base"),
        ("ssd/seed-0/at-100", "keep-cut/all-seeds/at-100"),
    }  # fmt: skip
    assert {each[4] for each in named if "at-050" in each[0]} == {"quick"}
    assert {each[4] for each in named if "at-050" not in each[0]} == {"full"}
    assert {each.kind for each in made} == {words.MATCHED, words.FAIR, words.DECODING_ALONE}


SSD = {"arm": "ssd", "against": "base", "comparison": words.MATCHED, "percent": 100, "training_seed": None}


def rate_in(study: pl.DataFrame, model: str, *spelt: str) -> float:
    """How often per token of a model's test answers at t07 these are written, from the texts themselves."""
    here = study.filter(pl.col("model_id") == model, pl.col("decode_id") == "t07", pl.col("split") == "test")
    return sum(text.count(word) for text in here["text"] for word in spelt) / int(here["n_tokens"].sum())


def test_a_planted_ratio_is_found_and_its_marker_is_behind_it(ratios: pl.DataFrame, study: pl.DataFrame) -> None:
    assert ratios.schema == pl.Schema(DOUBT_RATIOS)
    ssd = {**SSD, "scale": words.RATIO}

    def planted(*spelt: str) -> float:
        return rate_in(study, "ssd/seed-0/at-100", *spelt) / rate_in(study, "base", *spelt)

    found = one(ratios, **ssd, **TWO, estimand=words.DOUBT_RATE)
    assert found["low"] < found["estimate"] < found["high"] < 0.8 and found["p_adjusted"] < 0.001
    assert found["estimate"] == pytest.approx(found["level"] / found["against_level"])
    assert found["estimate"] == pytest.approx(planted("Wait", "perhaps"))
    wait = one(ratios, **ssd, estimand=words.DOUBT_RATE, marker="wait", without=None)
    assert wait["estimate"] == pytest.approx(planted("Wait")) and wait["high"] < found["high"]
    rest = one(ratios, **ssd, estimand=words.DOUBT_RATE, marker=None, without="wait")
    perhaps = one(ratios, **ssd, estimand=words.DOUBT_RATE, marker="perhaps", without=None)
    assert [rest[key] for key in ("estimate", "low", "level")] == pytest.approx(
        [perhaps[key] for key in ("estimate", "low", "level")]
    )
    assert one(ratios, **ssd, estimand=words.DOUBT_RATE, marker="hmm", without=None)["method"].startswith("no interval")


def test_thought_and_answer_are_told_apart(ratios: pl.DataFrame) -> None:
    ssd = {**SSD, "scale": words.RATIO, **TWO}
    assert one(ratios, **ssd, estimand=words.THOUGHT_DOUBT_RATE)["high"] < 0.8
    later = one(ratios, **ssd, estimand=words.LATER_DOUBT_RATE)
    assert later["estimate"] == pytest.approx(1.0) and later["level"] == later["against_level"]


def test_the_difference_per_answer_is_paired(ratios: pl.DataFrame, doubted: Doubted) -> None:
    found = one(ratios, **SSD, **TWO, scale=words.DIFFERENCE)
    assert found["estimand"] == words.DOUBTS and found["high"] < -2
    assert found["estimate"] == pytest.approx(found["level"] - found["against_level"])
    level = one(doubt_levels(doubted), model_id="ssd/seed-0/at-100", estimand=words.DOUBTS)
    assert level["estimate"] == pytest.approx(found["level"])


def test_within_the_first_tokens_all_are_looked_at_for_as_long(ratios: pl.DataFrame, doubted: Doubted) -> None:
    first = one(ratios, **SSD, estimand=words.FIRST_TOKENS_RATE)
    assert first["tokens"] in doubted.firsts and 16 <= first["tokens"] <= 64
    assert first["level"] < 1000 and first["estimate"] < 0.9


def test_answers_of_the_same_lengths_are_matched(ratios: pl.DataFrame) -> None:
    same = one(ratios, **SSD, estimand=words.SAME_LENGTHS_RATE)
    plain = one(ratios, **SSD, **TWO, estimand=words.DOUBT_RATE, scale=words.RATIO)
    assert 0.5 < same["matched"] <= 1 and same["estimate"] == pytest.approx(plain["estimate"], abs=0.1)


def test_single_trainings_never_lead_and_the_method_needs_two(ratios: pl.DataFrame) -> None:
    one_by_one = ratios.filter(pl.col("training_seed").is_not_null())
    assert one_by_one.height and not one_by_one["leads"].any()
    methods = ratios.filter(pl.col("claim") == words.METHOD)
    assert set(methods["arm"]) == {"keep-cut"} and methods["leads"].all()
    key = [
        "arm",
        "against",
        "decode_id",
        "against_decode_id",
        "comparison",
        "percent",
        "estimand",
        "scale",
        "marker",
        "without",
    ]
    assert not ratios.filter(pl.col("leads")).select(key).is_duplicated().any()
    pair = {"arm": "keep-cut", "against": "base", "comparison": words.MATCHED, "estimand": words.DOUBT_RATE, **TWO}
    rows = ratios.filter(pl.col("training_seed").is_null())
    of_both, of_method = (one(rows, **pair, claim=claim) for claim in (words.CHECKPOINTS, words.METHOD))
    assert of_both["estimate"] == of_method["estimate"] and of_both["standard_error"] <= of_method["standard_error"]


def test_checkpoints_on_the_way_have_the_main_measures(ratios: pl.DataFrame) -> None:
    on_the_way = ratios.filter(pl.col("percent") == 50)
    assert set(on_the_way["estimand"]) == {words.DOUBTS, words.DOUBT_RATE} and on_the_way["marker"].is_null().all()


def test_the_twin_of_the_base_is_silent(ratios: pl.DataFrame) -> None:
    twin = one(ratios, arm="aa", comparison=words.MATCHED, estimand=words.DOUBT_RATE, scale=words.RATIO, **TWO)
    assert twin["low"] < 1 < twin["high"]


def shifted(tokenizer: Tokenizer, folder: Path, base: str, arm: str, markers: Markers = MARKERS) -> pl.DataFrame:
    """Two models that say the same at every problem."""
    paths: dict[str, str] = {}
    parts: list[pl.DataFrame] = []
    for model, text in (("base", base), ("ssd/seed-0/at-100", arm)):
        parts.append(graded(tokenizer, model, [[text] * 2] * 40))
        paths[model] = str(folder / f"{len(paths)}.parquet")
        parts[-1].write_parquet(paths[model])
    doubted = Doubted.of(with_doubts(pl.concat(parts), markers, tokenizer, thinks=True), markers, EVALUATION)
    asked = shifts_asked(doubted, EVALUATION)
    found = word_shift(doubted, words_used(paths, asked), asked)
    assert found.schema == pl.Schema(WORD_SHIFT)
    return found


def test_words_shift_by_what_was_planted(tokenizer: Tokenizer, tmp_path: Path) -> None:
    base = "Wait, wait. So it is four. Let me verify it. </think> frac 4"
    arm = "Wait, four. So it is four. It is four so it is </think> frac 4"
    found = shifted(tokenizer, tmp_path, base, arm)
    tokens = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in (base, arm)]
    assert set(found["word"].drop_nulls()) == {
        "wait", "so", "it", "is", "four", "let", "me", "verify", "think", "frac",
    }  # fmt: skip
    uses = {"wait": (2, 1), "four": (1, 3), "is": (1, 3), "frac": (1, 1), "verify": (1, 0)}
    answers = 2 * 32
    for word, (before, after) in uses.items():
        row = one(found, word=word)
        assert row["against_uses"] == pytest.approx(1000 * before / tokens[0])
        assert row["uses"] == pytest.approx(1000 * after / tokens[1])
        ratio = (after * answers + 0.5) / (before * answers + 0.5) * tokens[0] / tokens[1]
        assert row["shift"] == pytest.approx(math.log2(ratio))
        assert row["kind"] == (words.MARKER if word == "wait" else words.OTHER_WORD)
    assert one(found, word="verify")["low"] is None
    assert one(found, word="wait")["place"] == pytest.approx(3 / 9)  # let, me and verify are gone
    markers = one(found, kind=words.ALL_MARKERS)
    assert markers["shift"] == pytest.approx(math.log2(1 / 2 * tokens[0] / tokens[1])) and markers["words"] == 1
    others = one(found, kind=words.ALL_OTHERS)
    against = one(found, kind=words.MARKERS_AGAINST_OTHERS)
    assert against["shift"] == pytest.approx(markers["shift"] - others["shift"])


def test_a_marker_of_several_words_shifts_too(tokenizer: Tokenizer, tmp_path: Path) -> None:
    own = Markers(Doubt(markers=["let me verify"], patterns={"four": "fours?"}))
    found = shifted(tokenizer, tmp_path, "Let me verify. Four. So </think> 4", "So so. Fours. </think> 4", own)
    assert set(found.filter(pl.col("kind") == words.MARKER)["word"]) == {"let me verify", "four"}


def test_a_pattern_named_like_a_word_is_not_that_word(tokenizer: Tokenizer, tmp_path: Path) -> None:
    own = Markers(Doubt(markers=["Wait"], patterns={"rethink": "let me (?:see|verify)"}))
    base = "Wait. Let me verify. Let me see. We rethink rethink rethink. </think> 4"
    found = shifted(tokenizer, tmp_path, base, "Wait. Let me see. We rethink. </think> 4", own)
    assert set(found.filter(pl.col("kind") == words.MARKER)["word"]) == {"wait", "rethink"}
    tokens = len(tokenizer.encode(base, add_special_tokens=False).ids)
    for kind, uses in ((words.MARKER, 2), (words.OTHER_WORD, 3)):
        assert one(found, word="rethink", kind=kind)["against_uses"] == pytest.approx(1000 * uses / tokens)
    assert one(found, kind=words.ALL_MARKERS)["against_uses"] == pytest.approx(1000 * 3 / tokens)


def test_lengths_that_never_meet_are_named_as_the_reason(tokenizer: Tokenizer) -> None:
    texts = {"base": worded(2, 2), "ssd/seed-0/at-100": worded(3, 60)}
    answers = pl.concat([graded(tokenizer, model, [[text] * 2] * 40) for model, text in texts.items()])
    doubted = Doubted.of(with_doubts(answers, MARKERS, tokenizer, thinks=True), MARKERS, EVALUATION)
    row = one(doubt_ratios(doubted, EVALUATION, {}), **SSD, estimand=words.SAME_LENGTHS_RATE)
    assert (row["matched"], row["low"], row["method"]) == (0, None, words.NO_SHARED_LENGTH)


def test_a_study_without_any_doubt_has_rows_and_no_interval(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = [[worded(0, 3)] * 2] * 40
    answers = pl.concat([graded(tokenizer, model, texts) for model in ("base", "ssd/seed-0/at-100")])
    doubted = Doubted.of(with_doubts(answers, MARKERS, tokenizer, thinks=True), MARKERS, EVALUATION)
    ratios = doubt_ratios(doubted, EVALUATION, {})
    assert ratios.height and ratios["low"].is_null().all()
    assert one(doubt_levels(doubted), model_id="base", estimand=words.DOUBTS)["estimate"] == 0
