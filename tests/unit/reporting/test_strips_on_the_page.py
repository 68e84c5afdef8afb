"""Claims about token strips: every class has a mark that is not its colour, and what a model wrote is only ever shown."""

import re
from html.parser import HTMLParser

import pytest

from conftest import ROOT
from report_fixture import hypothesis_free_study
from report_mechanism_fixture import HOSTILE_TOKENS, strips
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.strips import LOOKS, MOST_STRIPS, MOST_TOKENS, named, visible
from selfdistill.reporting.strips import strips as shown_strips
from selfdistill.tables import words

CSS = (ROOT / "report/report.css").read_text()


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page(**strip: object) -> str:
    return render_report(ReportInputs(study=hypothesis_free_study(), strips=strips(**strip)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def html() -> str:
    return page()


def test_hostile_tokens_are_text_in_strips_lists_and_tables(html: str) -> None:
    read = Elements(html)
    tags = [tag for tag, _ in read.found]
    assert "script" not in tags and "img" not in tags
    assert not any(name.startswith("on") for _, attributes in read.found for name in attributes)
    assert tags.count("section") == len(re.findall("<section[ >]", html))
    assert tags.count("details") == len(re.findall("<details[ >]", html))
    for hostile in HOSTILE_TOKENS[:4]:
        assert read.text.replace("␣", " ").count(visible(hostile)) >= 3, hostile
    assert "{{7*7}}" in read.text and "x" * 33 not in read.text


def test_no_character_of_a_model_turns_or_hides_its_neighbours(html: str) -> None:
    assert not re.search("[\u202a-\u202e\u2066\u2067\u200b-\u200f\u2028\u2029\x00-\x08\x0b-\x1f\x7f]", html)
    assert html.count("\u2068") == html.count("\u2069") > 0, "isolates of our own are closed again"
    assert "⟨202E⟩evil⟨202C⟩" in html


@pytest.mark.parametrize(("text", "shown"), [
    ("\n\n", "⏎⏎"), (" \t", " ⇥"), ("", "∅"), ("\ufffd", "\ufffd"), ("\u0301", "◌\u0301"), ("\u200b", "⟨200B⟩"),
    ("\x1b[31m", "⟨001B⟩[31m"), ("\ue000", "⟨E000⟩"), ("\u2028", "⟨2028⟩"), ("y" * 40, "y" * 32 + "…"), (" Let", " Let"),
])  # fmt: skip
def test_every_character_is_seen(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert named(" Let it") == "␣Let␣it"


def test_every_class_has_a_colour_and_a_line_of_its_own() -> None:
    rules = {
        name: re.search(rf"\.{look} {{ background: (#\w+); border-bottom: \w+ (\w+) (#\w+)", CSS)
        for name, look in LOOKS.items()
    }
    assert set(rules) == set(words.TOKEN_CLASSES) and all(rules.values())
    for part in (1, 2, 3):
        assert len({rule[part] for rule in rules.values() if rule}) == len(rules)


def test_tokens_carry_their_class_and_swaps_their_sign(html: str) -> None:
    spans = re.findall(r'<span class="t ([\w-]+)( swap)?" tabindex="-1">', html)
    assert len(spans) == 2 * 77 and {look for look, _ in spans} == set(LOOKS.values())
    assert {look for look, swap in spans if swap} == {LOOKS[words.FORK]}
    assert '.swap::after { content: "≠"' in CSS


def test_the_table_beneath_says_all_that_pointing_shows(html: str) -> None:
    first = shown_strips(ReportInputs(study={}, strips=strips()))[0]
    assert first.as_text.columns == [
        "position",
        "token",
        "class",
        "likeliest by base",
        "likeliest by ssd/seed-0/at-100",
    ]
    row = first.as_text.groups[0].rows[17]
    assert row.cells[:3] == ["17", "Then", "fork, swapped"]
    assert row.cells[3] == "Then 45.0\u2009%; ␣c90 30.0\u2009%; ␣c91 15.0\u2009%; ␣c92 5.0\u2009%; ␣c93 1.0\u2009%"
    assert '<span class="said" aria-hidden="true"><b>token 17, fork</b>' in html


def test_a_tiny_probability_is_not_shown_as_none() -> None:
    lock = shown_strips(ReportInputs(study={}, strips=strips()))[0].start[0]
    assert [share for share, _ in lock.said[0].likeliest][-1] == "<0.1\u2009%"


def test_a_long_carrier_shows_its_start_and_its_end_and_counts_the_rest() -> None:
    [strip] = shown_strips(ReportInputs(study={}, strips=strips([str(i) for i in range(1000)], carriers=1)))
    assert [len(strip.start), strip.left_out, len(strip.end)] == [
        MOST_TOKENS // 2,
        1000 - MOST_TOKENS,
        MOST_TOKENS // 2,
    ]
    assert (strip.end[-1].text, len(strip.as_text.groups[0].rows)) == ("999", MOST_TOKENS)
    assert "… 840 tokens left out …" in page(tokens=[str(i) for i in range(1000)], carriers=1)


def test_the_page_stays_small_however_many_carriers_have_strips() -> None:
    few = len(page(tokens=["x"], carriers=1).encode())
    many = len(page(tokens=["x"] * 400, carriers=2 * MOST_STRIPS + 4).encode())
    assert (many - few) / (2 * MOST_STRIPS) < 150_000


def test_a_study_without_strips_has_no_legend() -> None:
    none = render_report(ReportInputs(study=hypothesis_free_study()))
    assert 'class="legend"' not in none and 'id="locks"' not in none


def test_as_many_carriers_of_the_base_as_of_trained_models_are_shown() -> None:
    shown = shown_strips(ReportInputs(study={}, strips=strips(["x"], carriers=9)))
    assert [strip.title.split(" at ")[0] for strip in shown] == [
        *["written by base"] * MOST_STRIPS, *["written by ssd/seed-0/at-100"] * MOST_STRIPS,
    ]  # fmt: skip
