"""A judge's reply is read as it was meant, repaired where that changes no number, or refused; nothing is guessed."""

import json

import pytest

from conftest import ROOT
from selfdistill.annotation.replies import read_reply
from selfdistill.annotation.rubric import Rubric, read_rubric
from selfdistill.foundation.errors import UserError
from selfdistill.tables import words

KINDS = ("unsure", "checks")
WELL = '{"unsure": 3, "checks": 1}'


@pytest.mark.parametrize("reply", [WELL, f"  {WELL}\n", '{"checks":1,"unsure":3,"why":"a } in a text"}'])
def test_a_reply_as_asked_is_read(reply: str) -> None:
    assert read_reply(reply, "stop", KINDS) == (words.AS_ASKED, {"unsure": 3, "checks": 1}, None)


REPAIRED = {
    "a fence": (f"```json\n{WELL}\n```", "text around it"),
    "words around it": (f"Here you are: {WELL} That is all.", "text around it"),
    "a thought": (f"<think>It says {{maybe}} thrice.</think>\n{WELL}", "a thought before it"),
    "a thought that the prompt opened": (f"Let me count.</think>{WELL}", "a thought before it"),
    "commas": ('{"unsure": 3, "checks": 1,}', "commas before a closing bracket"),
    "a list's comma": ('{"unsure": 3, "checks": 1, "where": ["a, ]", "b",],}', "commas before a closing bracket"),
    "text for numbers": ('{"unsure": "3", "checks": 1.0}', "whole numbers written otherwise"),
    "the same twice": (f"{WELL}\n{WELL}", "text around it"),
    "other braces before": (f"The set {{1, 2}} is fine. {WELL}", "text around it"),
    "an open brace behind": (f"{WELL} as {{ opens", "text around it"),
    "the form before": (f'{{"unsure": …, "checks": …}} is {WELL}', "text around it"),
    "the form in ASCII before": (f'{{"unsure": ..., "checks": ...}} is {WELL}', "text around it"),
    "a kind in words of other braces": (f"{{the unsure ones}} {WELL}", "text around it"),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_what_changes_no_number_is_repaired_and_told(name: str) -> None:
    reply, detail = REPAIRED[name]
    assert read_reply(reply, "stop", KINDS) == (words.REPAIRED, {"unsure": 3, "checks": 1}, detail)


REFUSED = {
    "nothing": ("", "no JSON object"),
    "words alone": ("I count three.", "no JSON object"),
    "a number alone": ("3", "no JSON object"),
    "not closed": ('{"unsure": 3, "checks": 1', "no JSON object that closes"),
    "the form itself": ('{"unsure": …, "checks": …}', "no JSON"),
    "single quotes": ("{'unsure': 3, 'checks': 1}", "no JSON"),
    "a kind that is missing": ('{"unsure": 3}', "lacks checks"),
    "two different ones": ('{"unsure": 0, "checks": 0} {"unsure": 3, "checks": 1}', "different things"),
    "half a count beside another": (f'{{"unsure": 2.5, "checks": 1}} no: {WELL}', "names a kind and holds no counts"),
    "below nothing beside another": (f'{WELL} {{"unsure": -1, "checks": 1}}', "0 or more"),
    "a kind twice beside another": (f'{{"unsure": 1, "unsure": 3, "checks": 1}} {WELL}', "names a key twice"),
    "one of two kinds beside another": (f'{{"unsure": 9}} {WELL}', "lacks checks"),
    "single quotes beside another": (f"{{'unsure': 9, 'checks': 1}} {WELL}", "no JSON"),
    "one within beside another": (f'{{"counts": {{"unsure": 9, "checks": 1}}}} {WELL}', "lacks unsure, checks"),
    "one that does not close beside another": (f'{WELL} or {{"unsure": 9, "checks": 1', "does not close"),
    "the form half filled beside another": (f'{{"unsure": …, "checks": 4}} {WELL}', "no JSON"),
    "a kind twice": ('{"unsure": 3, "unsure": 2, "checks": 1}', "names a key twice"),
    "a kind twice within": ('{"unsure": 3, "checks": 1, "more": {"a": 1, "a": 2}}', "names a key twice"),
    "half a count": ('{"unsure": 2.5, "checks": 1}', "a count is whole"),
    "below nothing": ('{"unsure": -1, "checks": 1}', "0 or more"),
    "true": ('{"unsure": true, "checks": 1}', "0 or more"),
    "null": ('{"unsure": null, "checks": 1}', "0 or more"),
    "no number": ('{"unsure": NaN, "checks": 1}', "0 or more"),
    "without end": ('{"unsure": Infinity, "checks": 1}', "0 or more"),
    "a range": ('{"unsure": "2-3", "checks": 1}', "0 or more"),
    "words for a number": ('{"unsure": "three", "checks": 1}', "0 or more"),
    "far too many": ('{"unsure": 1e300, "checks": 1}', "0 or more"),
    "endless digits": ('{"unsure": ' + "9" * 5000 + ', "checks": 1}', ""),
    "a list": ('[{"unsure": 3}]', "lacks checks"),
    "nested without end": ('{"unsure": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "an open thought": (f"<think>{WELL}", "thought is not closed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_have_to_be_guessed_is_refused_with_its_reason(name: str) -> None:
    reply, why = REFUSED[name]
    found = read_reply(reply, "stop", KINDS)
    assert found.parse == words.REFUSED_REPLY and found.counts is None and found.judged is None
    assert found.detail and why in found.detail and len(found.detail) < 200


@pytest.mark.parametrize("reason", ["length", "content_filter", "unknown"])
def test_a_reply_that_did_not_end_by_itself_is_refused_whatever_it_holds(reason: str) -> None:
    assert read_reply(WELL, reason, KINDS).parse == words.REFUSED_REPLY


def test_a_repair_never_changes_a_text_within_the_object() -> None:
    found = read_reply('{"unsure": 3, "checks": 1, "why": "a ,] b ,}",}', "stop", KINDS)
    assert found.parse == words.REPAIRED and found.judged == 4


@pytest.mark.parametrize("name", ["uncertainty", "brief"])
def test_the_rubrics_that_ship_can_be_asked_and_say_whose_words_they_are(name: str) -> None:
    rubric = read_rubric(ROOT / f"resources/rubrics/{name}.yaml")
    asked = rubric.question("What is {answer}?", "It is {problem}. {form}")
    assert "What is {answer}?" in asked and "It is {problem}. {form}" in asked  # nothing of them was replaced
    assert all(f'"{kind}": …' in asked for kind in rubric.counts)
    assert read_reply(asked[asked.rindex("{") :], "stop", rubric.counts).parse == words.REFUSED_REPLY
    well = json.dumps(dict.fromkeys(rubric.counts, 2))
    assert read_reply(well, "stop", rubric.counts).judged == 2 * len(rubric.counts)
    assert ("paraphrase" in rubric.source) == (name == "uncertainty")


def test_a_rubric_that_cannot_be_asked_is_refused_with_a_sentence(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "mine.yaml"
    for content, said in (
        ("wording: [", "no YAML file"),
        ("- a", "holds no keys"),
        ("source: mine\ncounts: {}\nwording: '{problem} {answer} {form}'", "counts"),
        ("source: mine\ncounts: {a: b}\nwording: '{problem} {form}'", "lacks {answer}"),
        ("source: mine\ncounts: {a: b}\nwording: x\nmore: y", "no such key"),
    ):
        file.write_text(content)
        with pytest.raises(UserError, match=said) as error:
            read_rubric(file)
        assert str(file) in str(error.value)
    with pytest.raises(UserError, match="there is no file"):
        read_rubric(file.with_name("other.yaml"))
    assert (
        Rubric(source="mine", counts={"a": "b"}, wording="{problem}{answer}{form}").question("p", "a") == 'pa{"a": …}'
    )
