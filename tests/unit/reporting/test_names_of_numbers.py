"""What a number is called: on the page as in the list, told apart from all others, and safe in a shell and on a page."""

import re
from pathlib import Path

import pytest
from markupsafe import Markup

from selfdistill.reporting.numbers.index import MORE, NOT_REDONE, TABLES, Number
from selfdistill.reporting.numbers.names import TOLD_BY, Numbered, name_of, numbered
from selfdistill.reporting.page import TEMPLATES, templates_in
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words
from selfdistill.tables.places import PLACES

LEVEL = {
    "estimand": "accuracy", "model_id": "ssd/seed-0/at-100", "decode_id": "t07", "budget": "full", "split": "test",
    "training_seed": 0, "training_seeds": 1, "leads": False, "estimate": 0.5,
}  # fmt: skip


def test_every_table_of_the_analysis_has_names_or_a_reason_for_none() -> None:
    tables = {Path(place.file).stem for place in PLACES if place.file.startswith("analysis/")}
    assert tables == set(TABLES) | set(NOT_REDONE)
    assert not set(TABLES) & set(NOT_REDONE)
    assert set(TOLD_BY) | {"verdicts"} == set(TABLES) and set(MORE) <= set(TABLES)


@pytest.mark.parametrize(
    ("table", "row", "name"),
    [
        ("levels", {}, "accuracy:ssd/seed-0/at-100:t07"),
        ("levels", {"budget": "quick", "split": "all"}, "accuracy:ssd/seed-0/at-100:t07:quick:all"),
        ("comparisons", {"against": "base"}, "accuracy:ssd/seed-0/at-100-base:t07"),
        ("comparisons", {"against": "base", "comparison": words.FAIR}, "accuracy:ssd/seed-0/at-100-base:fair"),
        ("comparisons", {"against": "keep-cut"}, "accuracy:ssd/seed-0/at-100-keep-cut/seed-0:t07"),
        ("comparisons", {"against": "keep-cut", "training_seed": None, "leads": True}, "accuracy:ssd/seed-0/at-100-keep-cut:t07"),
        (
            "comparisons",
            {"model_id": "base", "against": "base", "comparison": words.DECODING_ALONE, "against_decode_id": "t15", "training_seeds": 0},
            "accuracy:base-base:t07-t15",
        ),
        (
            "comparisons",
            {"model_id": "ssd/all-seeds/at-100", "against": "base", "training_seed": None, "training_seeds": 2},
            "accuracy:ssd/all-seeds/at-100-base:t07:checkpoints",
        ),
        ("truncation", {"estimand": "gain where the base", "base_answer": "was cut", "against": "base"},
         "truncation/gain-where-the-base:was-cut:ssd/seed-0/at-100-base:t07"),
        ("ladder", {"measure": "mean_tokens", "word": None, "model_id": "base", "context": "guided", "against": None}, "ladder/mean_tokens:base:guided"),
        (
            "ladder",
            {"measure": words.DOUBTS, "word": "wait", "model_id": "base", "context": "guided", "against": "unguided"},
            "ladder/doubts-per-answer:wait:base:guided-unguided",
        ),
        *(
            ("doubt", {"estimand": words.DOUBTS, "marker": marker, "without": None}, f"doubt/doubts-per-answer:{name}:ssd/seed-0/at-100:t07")
            for marker, name in {"hold on": "hold-on", "hold-on": "hold%2Don", "wait": "wait", "wait,": "wait%2C"}.items()
        ),
        ("practice", {"measure": "reward", "arm": "grpo", "generation": 3}, "practice/reward:grpo/seed-0:generation-3"),
        (
            "practice_changes",
            {"measure": "reward", "arm": "grpo", "training_seed": None, "claim": words.METHOD},
            "practice_changes/reward:grpo/all-seeds:method",
        ),
        ("context_kl", {"grouping": words.BY_TOKEN, "name": words.EVERY_TOKEN, "place": words.WHOLE_WORD, "reader": "base/in-guided"},
         "context_kl/by-token:every-token:base/in-guided"),
        ("context_kl", {"grouping": words.BY_WORD, "name": "wait", "place": words.FIRST_TOKEN, "reader": "base/in-guided"},
         "context_kl/by-word:wait:first-token:base/in-guided"),
        ("coherence", {"run": "ssd/seed-0", "first_step": 1, "last_step": 8, "group": words.TOTAL}, "coherence/ssd/seed-0:steps-1-8"),
        ("branches", {"estimand": "held-out loss", "batch": 8, "examples": 64, "seed": None}, "branches/held-out-loss:batch-8:examples-64"),
        ("difficulty", {"grouping": "by source", "group": "<b>a; rm -rf $HOME</b>", "against": "base"},
         "difficulty/by-source:b-a-rm--rf-HOME-/b:ssd/seed-0/at-100-base:t07"),
    ],
)  # fmt: skip
def test_a_name_says_what_of_whom_and_where(table: str, row: dict[str, object], name: str) -> None:
    assert name_of(table, LEVEL | row) == name


def test_tokens_that_differ_in_a_space_or_a_sign_have_names_of_their_own_without_either() -> None:
    pieces = ["wait", " wait", "\nwait", ",", ", ", "every token", "every-token", "<b>", '"; rm -rf $HOME', "%20", "ν"]
    row = {"grouping": words.BY_TOKEN, "place": words.WHOLE_WORD, "reader": "base/in-guided"}
    found = [name_of("context_kl", row | {"name": piece}) for piece in pieces]
    assert len(set(found)) == len(pieces)
    assert all(re.fullmatch(r"[\w:/.%-]+", name) for name in found)


def test_what_is_not_there_has_no_name() -> None:
    assert not isinstance(numbered("–", "levels", {}), Numbered)
    assert not isinstance(numbered("–", "levels", LEVEL | {"estimate": None}), Numbered)
    assert numbered("50 %", "levels", LEVEL) == "50 %"


def test_a_name_is_text_on_the_page() -> None:
    cell = numbered("50 %", "levels", LEVEL | {"model_id": 'x" onclick="alert(1)'})
    content = Table(
        "caption", ["model", "accuracy"], [Group([Row(["<i>", cell])], "at t07: settings")], "levels.parquet"
    )
    assert content.redone == {"<i>, at t07": [("accuracy", 'accuracy:x" onclick="alert(1):t07')]}
    environment = templates_in(TEMPLATES)
    page = environment.from_string('{% from "parts.html.j2" import table with context %}{{ table(content) }}').render(
        content=content, results="", figures={}, safe_svg=Markup, strip_classes={}
    )
    assert "onclick=&#34;" in page and 'onclick="' not in page and "<i>" not in page


def test_of_a_study_with_looks_the_answer_alone_is_made_again() -> None:
    """Its interval is that of all looks together."""
    row = LEVEL | {"hypothesis": "ssd-at-0-7", "low": 0.4, "high": 0.6, "p_value": 0.3}
    assert Number("ssd-at-0-7", "verdicts", row, "estimate").columns == ["estimate", "low", "high"]
    assert Number("ssd-at-0-7", "verdicts", row, "estimate", looked=True).columns == ["estimate"]
    assert Number("accuracy", "comparisons", row, "estimate").columns == ["estimate", "low", "high", "p_value"]
