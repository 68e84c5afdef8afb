"""Where a carrier is probed. Texts are made so that the spots are known: by hand, in a tokenizer of bytes and merges."""

import random
import re
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from law_examination import MODEL
from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.positions import (
    doubt_pattern,
    heuristic,
    in_turn,
    kinds_of,
    probe_ids,
    probe_plan,
    regular,
    strips_of,
)
from selfdistill.models.pieces import pieces, spans, tokenizer_of
from selfdistill.study.doubt import MARKERS
from selfdistill.study.mechanism import Mechanism
from selfdistill.tables import words

DOUBTS = doubt_pattern(MARKERS)


@pytest.fixture(scope="module")
def by_bytes() -> Tokenizer:
    """Every byte is a token: characters beyond ASCII are several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def test_pieces_make_up_the_text_and_a_split_character_is_its_last_tokens(by_bytes: Tokenizer) -> None:
    text = "αβ 🙂 = \\boxed{7}\n"
    ids = by_bytes.encode(text).ids
    assert len(ids) == len(text.encode())
    found = pieces(by_bytes, ids)
    assert "".join(found) == text
    assert found[:5] == ["", "α", "", "β", " "] and found[5:9] == ["", "", "", "🙂"]
    for (begin, end), piece in zip(spans(found), found, strict=True):
        assert text[begin:end] == piece


def test_pieces_of_the_labs_tokens_are_its_text() -> None:
    tokenizer = tokenizer_of(MODEL)
    text = "Then 69+43=112.\n</think>\n\nThe answer is \\boxed{112}.<|im_end|>"
    assert "".join(pieces(tokenizer, tokenizer.encode(text).ids)) == text


def test_an_unreadable_tokenizer_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="tokenizer.json: cannot be read"):
        tokenizer_of(tmp_path)


# Tokens, and the kinds of spots that begin at each: a box, line starts, and words of doubt.
TEXT: list[tuple[str, list[str]]] = [
    ("Wait", [words.BEFORE_DOUBT]),
    (",", [words.AFTER_DOUBT]),
    (" may", []),
    (" be", []),
    ("\n\n", []),
    ("Hm", [words.LINE_START, words.BEFORE_DOUBT]),
    ("m", []),
    (" so", [words.AFTER_DOUBT]),
    (" awaited", []),  # no word of doubt
    (" 2", []),
    ("\n", []),
    ("\n", []),
    ("x", [words.LINE_START]),
    ("\\bo", []),
    ("xed{", []),
    ("4", [words.BEFORE_BOX]),
    ("}", []),
    ("\n ", []),  # begins before the line does
    ("CHECK", [words.BEFORE_DOUBT]),
    ("", [words.AFTER_DOUBT]),  # the first part of a character
    ("✓", []),
]


def test_spots_are_where_a_thought_may_turn() -> None:
    found = heuristic([text for text, _ in TEXT], DOUBTS)
    assert set(found) == {words.BEFORE_BOX, words.LINE_START, words.BEFORE_DOUBT, words.AFTER_DOUBT}
    for kind, positions in found.items():
        assert positions == [place for place, (_, kinds) in enumerate(TEXT) if kind in kinds], kind


def test_a_spot_at_the_very_end_has_no_token_to_be_asked_for() -> None:
    found = heuristic(["so", " wait"], DOUBTS)
    assert found[words.BEFORE_DOUBT] == [1] and found[words.AFTER_DOUBT] == []
    assert heuristic(["\\boxed{"], DOUBTS)[words.BEFORE_BOX] == []


def test_spots_are_found_through_split_characters(by_bytes: Tokenizer) -> None:
    text = "é wait 🙂\n\\boxed{1}"
    ids = by_bytes.encode(text).ids
    found = heuristic(pieces(by_bytes, ids), DOUBTS)
    starts = {kind: [by_bytes.decode(ids[place:])[:1] for place in places] for kind, places in found.items()}
    assert starts[words.BEFORE_BOX] == ["1"] and starts[words.LINE_START] == ["\\"]
    assert starts[words.BEFORE_DOUBT] == ["w"] and starts[words.AFTER_DOUBT] == [" "]


def test_words_of_doubt_are_whole_words_and_taken_as_they_are_written() -> None:
    assert [match.group() for match in doubt_pattern(["c++", "no"]).finditer("C++ not No c+ noon")] == ["C++", "No"]


def test_regular_positions_are_the_middles_of_equal_parts() -> None:
    assert regular(100, 4) == [12, 37, 62, 87]
    assert regular(3, 16) == [0, 1, 2] and regular(0, 4) == [] and regular(10, 0) == []


def test_no_frequent_kind_crowds_out_a_rare_one() -> None:
    found = {words.BEFORE_BOX: [90], words.LINE_START: list(range(50)), words.BEFORE_DOUBT: [60, 61, 62]}
    chosen = in_turn(found, 9, random.Random(0))
    counts = Counter(kind for kind, _ in chosen)
    assert counts == {words.BEFORE_BOX: 1, words.LINE_START: 5, words.BEFORE_DOUBT: 3}
    assert in_turn(found, 0, random.Random(0)) == []


def test_a_position_of_several_kinds_is_one_probe() -> None:
    tokenizer = tokenizer_of(MODEL)
    ids = tokenizer.encode("Then 69+43=112.\n</think>\n\nThe answer is \\boxed{112}.<|im_end|>").ids
    kinds = kinds_of(ids, Mechanism(decode="t07"), tokenizer, DOUBTS, is_strip=True, seed="1")
    assert sorted(kinds) == list(range(len(ids))), "a strip has every token"
    assert all(words.STRIP in its for its in kinds.values())
    for its in kinds.values():
        assert its == sorted(set(its), key=words.POSITION_KINDS.index)
    assert max(map(len, kinds.values())) > 2
    counts = Counter(kind for its in kinds.values() for kind in its)
    assert counts[words.RANDOM] == 16 and counts[words.BEFORE_BOX] == 1 and counts[words.LINE_START] == 2


def test_a_probe_is_named_by_the_carrier_its_beginning_and_the_token_there() -> None:
    keys = probe_ids("a", [1, 2], [3, 4, 5], [0, 2])
    assert keys == probe_ids("a", [1, 2], [3, 4, 5, 6], [2, 0]), "what follows does not matter"
    others = [
        probe_ids("b", [1, 2], [3, 4, 5], [2]), probe_ids("a", [1, 7], [3, 4, 5], [2]), probe_ids("a", [1, 2], [3, 7, 5], [2]),
        probe_ids("a", [1, 2], [3, 4, 7], [2]), probe_ids("a", [1, 2, 3], [4, 5], [1]),
    ]  # fmt: skip
    assert len({keys[2], keys[0], *(key for its in others for key in its.values())}) == 7
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys.values())


def carriers() -> pl.DataFrame:
    tokenizer = tokenizer_of(MODEL)
    ids = tokenizer.encode("Then 69+43=112.\n</think>\n\nThe answer is \\boxed{112}.<|im_end|>").ids
    writers = ["base"] * 3 + ["ssd/seed-0/at-100"] * 3 + ["aa"] * 3
    rows = [
        {"carrier_id": f"c{n}", "model_id": model, "prompt_ids": [n], "token_ids": ids}
        for n, model in enumerate(writers)
    ]
    return pl.DataFrame(rows)


def test_a_plan_has_one_row_a_position_and_follows_from_the_seed() -> None:
    asked = Mechanism.model_validate(
        {"decode": "t07", "strips": 1, "positions": {"regular": 4, "random": 4, "heuristic": 3}}
    )
    plan = probe_plan(carriers(), asked, tokenizer_of(MODEL), seed=5)
    assert plan["probe_id"].n_unique() == plan.height == plan.select("carrier_id", "position").n_unique()
    assert plan.equals(probe_plan(carriers(), asked, tokenizer_of(MODEL), seed=5))
    assert not plan.equals(probe_plan(carriers(), asked, tokenizer_of(MODEL), seed=6))
    texts = dict(carriers().select("carrier_id", "token_ids").iter_rows())
    assert all(texts[carrier][place] == token for _, carrier, place, token, _ in plan.iter_rows())
    counts = plan.explode("kinds").group_by("carrier_id", "kinds").len()
    assert counts.filter(pl.col("kinds") == words.STRIP)["carrier_id"].sort().to_list() == ["c0", "c3"]
    assert counts.filter(pl.col("kinds") == words.RANDOM)["len"].to_list() == [4] * 9


def test_strips_are_of_the_base_and_of_trained_models() -> None:
    assert strips_of(carriers(), 2) == {"c0", "c1", "c3", "c4"} and strips_of(carriers(), 0) == set()
