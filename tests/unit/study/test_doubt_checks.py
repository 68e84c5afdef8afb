"""The section `doubt`: what is wrong with it is one sentence, and a study without it is as it was."""

from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.doubt import MARKERS, Doubt
from selfdistill.study.load import load_study

LAB = yaml.safe_load((ROOT / "config.yaml").read_text())

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no marker": ({"markers": []}, "doubt: lists no marker, so that no answer could show doubt; name some"),
    "an empty word": ({"markers": ["wait", " "]}, "doubt.markers: holds an empty word"),
    "a word twice": ({"markers": ["wait", "Wait"]}, "doubt: names 'wait' 2 times"),
    "a word that is a pattern, too": ({"patterns": {"wait": "wait+"}}, "doubt: names 'wait' 2 times"),
    "no expression": ({"patterns": {"own": "wait("}}, "doubt.patterns.own: 'wait(' is no regular expression"),
    "a group": ({"patterns": {"own": "(wait)"}}, "doubt.patterns.own: '(wait)' holds a group"),
    "nothing": ({"patterns": {"own": "(?:wait)?"}}, "doubt.patterns.own: '(?:wait)?' matches where nothing stands"),
    "an empty pattern": ({"patterns": {"own": ""}}, "doubt.patterns.own: '' matches where nothing stands"),
    "everything": ({"patterns": {"own": ".+"}}, "doubt.patterns.own: '.+' matches any word"),
    "any word": ({"patterns": {"own": "[a-z]+"}}, "doubt.patterns.own: '[a-z]+' matches any word"),
    "all but one word": ({"patterns": {"own": r"(?!so)\w+"}}, "matches any word"),
    "any character": ({"patterns": {"own": "."}}, "doubt.patterns.own: '.' matches a space alone"),
    "any space": ({"patterns": {"own": r"\s+"}}, "matches a space alone"),
    "any sign or space": ({"patterns": {"own": r"\W"}}, "matches a space alone"),
    "a new line": ({"patterns": {"own": r"\n+"}}, "matches a space alone"),
    "any one letter": ({"patterns": {"own": r"\w"}}, "matches any single letter, digit or sign"),
    "any digit": ({"patterns": {"own": r"\d+"}}, "matches any single letter, digit or sign"),
    "any sign": ({"patterns": {"own": r"[^\w\s]"}}, "matches any single letter, digit or sign"),
    "a misspelt key": ({"marker": ["wait"]}, "doubt.marker: there is no such key; did you mean 'markers'?"),
    "a pattern's bad name": ({"patterns": {"Let us": "let us"}}, "doubt.patterns"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence_with_its_key(name: str) -> None:
    section, sentence = WRONG[name]
    with pytest.raises(UserError, match="(?s).*") as refused:
        load_study(LAB | {"doubt": section}, ROOT)
    assert sentence in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "pattern", ["wait+", "let(?: me|'s) (?:re)?check", r"hm+", r"\?", "[?!]", r"\.\.\.|…", "seem(?:s|ed)?", "no,? wait"]
)
def test_an_own_pattern_is_taken(pattern: str) -> None:
    assert load_study(LAB | {"doubt": {"patterns": {"own": pattern}}}, ROOT).doubt.names == [*MARKERS, "own"]


def test_a_study_without_the_key_has_the_markers_of_the_paper_and_its_record_is_as_it_was() -> None:
    study = load_study(LAB, ROOT)
    assert study.doubt == Doubt() and study.doubt.markers == MARKERS
    assert "doubt" not in study.as_param()
    assert load_study(LAB | {"doubt": {"markers": ["well"]}}, ROOT).as_param()["doubt"]["markers"] == ["well"]
