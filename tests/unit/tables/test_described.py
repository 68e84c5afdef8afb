"""Every column says what it is, in what unit, and the page of tables is made of that; every table has its place."""

import json
import re

import pytest

from conftest import ROOT
from selfdistill.tables.columns import SAME_EVERYWHERE
from selfdistill.tables.described import Column, described, schemas
from selfdistill.tables.document import EXAMPLES, page, sentence
from selfdistill.tables.exampleless import WHY
from selfdistill.tables.places import PLACES, WITHOUT_RULE, Place, placed_schemas

OUTPUT = re.compile(r"^ *output:\n(.*?)^ *(?:log|benchmark|params|wildcard_constraints):", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r'"<results>/([^"]+\.parquet)"')
RULES = {file.name: file.read_text() for file in sorted((ROOT / "rules").glob("*.smk"))}


@pytest.mark.parametrize("schema", [*placed_schemas(), *WITHOUT_RULE])
def test_every_column_has_its_words_and_every_number_its_unit(schema: str) -> None:
    table = described(schema)
    assert "ne row" in table.about
    assert [column.name for column in table.columns if not column.meaning] == []
    assert [column.name for column in table.columns if bool(column.unit) != column.is_number] == []


def test_every_schema_is_a_table_or_a_part_of_one() -> None:
    said = schemas()
    assert set(said.words) - said.parts == {*placed_schemas(), *WITHOUT_RULE} - said.parts


def test_what_a_column_means_everywhere_is_said_of_a_column_that_is_there() -> None:
    there = {column.name for schema in schemas().words for column in described(schema).columns}
    assert set(SAME_EVERYWHERE) - there - {"run"} == set()
    used = {text for words in schemas().words.values() for text in words.values()}
    assert [name for name, words in SAME_EVERYWHERE.items() if words not in used] == []


def test_a_column_taken_from_another_schema_has_that_ones_words() -> None:
    graded = {column.name: column for column in described("sampling.GRADED").columns}
    problems = {column.name: column for column in described("problems.PROBLEMS").columns}
    assert graded["rank"] == problems["rank"] and "ranking" in graded["rank"].meaning
    corrected = {column.name: column for column in described("analysis.CORRECTED").columns}
    assert corrected["low"].unit == "share" and corrected["arm"].meaning == SAME_EVERYWHERE["arm"]


def test_what_a_rule_makes_has_its_place() -> None:
    made = {table for text in RULES.values() for block in OUTPUT.findall(text) for table in TABLE.findall(block)}
    assert len(made) > 40
    assert made - {place.file for place in PLACES} == set()


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.file)
def test_a_place_is_one_that_its_rule_makes(place: Place) -> None:
    for rule in place.rule.split(", "):
        text = next(text for text in RULES.values() if re.search(rf"^ *rule {rule}:$", text, re.MULTILINE))
        if place.declared:
            assert f'"<results>/{place.file}"' in text


def test_the_page_is_what_the_schemas_say() -> None:
    assert (ROOT / "docs/tables.md").read_text() == page(), "run make tables"


def test_examples_are_of_columns_that_are_there() -> None:
    examples = json.loads(EXAMPLES.read_text())
    assert set(examples) == set(placed_schemas())
    for schema, row in examples.items():
        assert set(row) - {column.name for column in described(schema).columns} <= {"run"}, schema


@pytest.mark.parametrize(
    ("meaning", "unit", "said"),
    [
        ("of the prompt", "tokens", "Tokens of the prompt."),
        ("of the other side by itself", "the estimand's", "Value of the other side by itself."),
        ("stop | length: why it ended", "", "stop | length: why it ended."),
        ("how it ended: cut | loop", "", "How it ended: cut | loop."),
        ("f = |G|² / mean |g|²", "share", "f = |G|² / mean |g|²."),
    ],
)
def test_a_meaning_is_told_as_a_sentence(meaning: str, unit: str, said: str) -> None:
    assert sentence(meaning, unit) == said


def test_a_comment_is_a_unit_and_a_meaning() -> None:
    assert Column.of("n_tokens", "[tokens] of it")[2:] == ("tokens", "of it")
    assert Column.of("arm", "which arm")[2:] == ("", "which arm")


def test_every_column_has_an_example_or_the_page_says_why_not() -> None:
    examples = json.loads(EXAMPLES.read_text())
    without = {
        (schema, column.name)
        for schema in placed_schemas()
        for column in described(schema).columns
        if examples[schema].get(column.name) is None
    }
    assert without == {(schema, name) for schema, columns in WHY.items() for name in columns}
    said = page()
    assert all(f"`null`: {why} |" in said for columns in WHY.values() for why in columns.values())
