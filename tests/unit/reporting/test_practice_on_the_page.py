"""The section "On-policy": it stands where arms practise, tells their recipes and numbers, and is nowhere else."""

import copy
import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from jinja2 import Environment, FileSystemLoader
from matplotlib.colors import to_hex

import report_practice_fixture as practised
from report_fixture import HOSTILE
from selfdistill.reporting.figures.catalogue import PLANS, draw_figures
from selfdistill.reporting.figures.practice import practice_coverage, practice_signal
from selfdistill.reporting.page import TEMPLATES, render_report, tables
from selfdistill.reporting.practice import changed, sentences
from selfdistill.reporting.style import arm_look
from selfdistill.reporting.tables.table import Table
from selfdistill.tables import words

inputs = practised.practice_inputs
TABLES = (
    "practice_arms",
    "practice_changes",
    "practice_bounds",
    "practice_updates",
    "practice_signal",
    "practice_cost",
)
FIGURES = ("practice-answers", "practice-updates", "practice-scores", "practice-coverage", "practice-signal")
PRACTICE = ("practice", "practice_changes", "practice_signal", "practice_cost")


pytestmark = pytest.mark.usefixtures("undrawn")


def made(name: str, **replaced: Any) -> Table:
    table = tables(inputs(**replaced))[name]
    assert table is not None
    return table


def rows_of(table: Table, group: int = 0) -> dict[str, list[str]]:
    return {row.cells[0]: row.cells[1:] for row in table.groups[group].rows}


def changed_study(**arms: dict[str, Any]) -> dict[str, Any]:
    study = copy.deepcopy(practised.STUDY)
    for arm, fields in arms.items():
        study["arms"][arm.replace("_", "-")] |= fields
    return study


def test_a_study_whose_arms_practise_has_the_section_with_all_of_it() -> None:
    page = render_report(inputs())
    assert '<section id="practice"' in page and '<a href="#practice">On-policy</a>' in page
    assert all(f'id="figure-{name}"' in page for name in FIGURES)
    assert {name for name in PLANS if name.startswith("practice")} == set(FIGURES)
    assert all(made(name) for name in TABLES)


@pytest.mark.parametrize("emptied", [False, True], ids=["missing", "empty"])
def test_a_study_without_such_arms_has_the_report_that_it_had(emptied: bool) -> None:
    nothing: dict[str, Any] = {name: inputs().__dict__[name].clear() if emptied else None for name in PRACTICE}
    without = inputs(**nothing)
    page = render_report(without)
    assert "On-policy" not in page and 'id="practice"' not in page
    assert not any(tables(without)[name] for name in TABLES)
    assert set(FIGURES).isdisjoint(draw_figures(without))


def test_no_section_stands_on_its_page_that_has_nothing_to_say() -> None:
    """Nothing was sampled beforehand for it, so no filter chose anything, and no checkpoint was evaluated on the way."""
    page = render_report(inputs())
    sections = dict(re.findall(r'<section id="([\w-]+)"[^>]*>(.*?)</section>', page, re.DOTALL))
    contents = page.split('<nav aria-label="Sections">')[1].split("</nav>")[0]
    linked = re.findall(r'href="#([\w-]+)"', contents)
    assert set(sections) == {*linked, "estimand"} - {"names"} and len(linked) == len(set(linked)) > 10
    assert {"factorial", "checkpoints", "audit"}.isdisjoint(sections) and {"practice", "truncation"} <= set(sections)
    assert set(re.findall(r'href="#([\w-]+)"', page)) <= set(re.findall(r'id="([\w-]+)"', page))
    for name in sections.keys() - {"completions", "checks", "problems"}:  # which this made-up study was not given
        section = sections[name]
        body = re.sub(r'<h2.*?</h2>|<p class="nothing">.*?</p>', "", section, flags=re.DOTALL)
        assert re.sub(r"<[^>]+>", "", body).strip(), name


def test_the_page_of_other_studies_has_no_byte_of_it() -> None:
    """What stands around the section leaves nothing behind where it is not."""
    template = (TEMPLATES / "report.html.j2").read_text()
    section = re.compile(
        r"\{% if tables.practice_arms %\}\n<section id=\"practice\".*?</section>\n\n\{% endif %\}\n", re.DOTALL
    )
    link = '{% if tables.practice_arms %} <a href="#practice">On-policy</a>{% endif %}'
    before = section.sub("", template).replace(link, "")
    assert "practice" not in before and "practice" in template
    assert _rendered(template) == _rendered(before)


def _rendered(template: str) -> str:
    """The parts that hold practice, rendered as the page is where no arm practises."""
    environment = Environment(trim_blocks=True, lstrip_blocks=True, loader=FileSystemLoader(TEMPLATES))
    start, end = template.index('<nav aria-label="Sections">'), template.index("</nav>")
    around = template.index("{% if shows.training %}\n<section"), template.index("{% if shows.weights %}\n<section")
    opening = '{% from "parts.html.j2" import table, figure, nothing, said, strip with context %}'
    nothing: dict[str, Any] = {
        "tables": {},
        "figures": {},
        "shows": {"training": True, "noise": True},
        "noise_sentences": [],
        "branch_sentence": "",
    }
    return environment.from_string(opening + template[start:end] + template[slice(*around)]).render(nothing)


def test_every_row_of_every_table_has_as_many_cells_as_columns() -> None:
    for name in TABLES:
        table = made(name)
        assert all(len(row.cells) == len(table.columns) for group in table.groups for row in group.rows), name


def test_recipes_are_told_in_words() -> None:
    told = {arm: cells[0] for arm, cells in rows_of(made("practice_arms")).items()}
    assert list(told) == list(practised.STUDY["arms"])
    assert told["grpo"] == "the reward less its group’s mean; ratio within 1 − 0.2 to 1 + 0.28, at most 3"
    assert told["sdpo"] == (
        "Jensen–Shannon divergence to the base as teacher, told another right answer of the group (solution), on the student’s 100 "
        "likeliest tokens and the rest as one"
    )
    assert "without its thought (no-thought)" in told["sdpo-no-thought"]
    assert "a teacher that takes 5\u2009% of the student each generation" in told["sdpo-ema"]
    assert "told nothing more" in told["null"]


def test_a_recipe_says_what_an_arm_changes() -> None:
    study = changed_study(
        sdpo={"practice": {"divergence": "forward", "support": None, "prefix": 64}, "training": {"lora": {"rank": 16}}},
        grpo={"practice": {"scale_rewards": "group", "dual_clip": None}},
    )
    rows = rows_of(made("practice_arms", study=study))
    assert (
        rows["sdpo"][0].startswith("KL(teacher‖student)")
        and "on the whole law; only the first 64 tokens" in rows["sdpo"][0]
    )
    assert "LoRA of rank 16" in rows["sdpo"][3]
    assert (
        rows["grpo"][0]
        == "the reward less its group’s mean, divided by the group’s deviation; ratio within 1 − 0.2 to 1 + 0.28"
    )
    assert rows["sdpo-cover-8"][1] == "the first 8 problems" and rows["replays"][1] == "the answers of grpo"


def test_what_is_said_follows_the_truth_that_was_planted() -> None:
    said = {row["arm"]: row["sentence"] for row in sentences(inputs())}
    assert said["sdpo"].startswith("the reward fell from ") and " answers shrank from " in said["sdpo"]
    assert "doubt fell from" in said["sdpo"]
    assert said["null"].startswith("the reward is not shown to change, from ")
    assert said["sdpo-cover-8"].startswith("the reward rose from ")
    assert (
        said["replays"]
        == "learnt from the answers of grpo; it answered nothing itself, so that it has updates and no curves."
    )


def test_doubt_an_answer_and_doubt_a_token_have_verbs_of_their_own() -> None:
    """Answers that shrink hold fewer words of doubt, and those of them more to a token."""
    shorter = {words.DOUBTS: (60.0, 35.0, -30.0, -20.0), words.DOUBT_RATE: (10.0, 14.0, 2.0, 6.0)}
    unclear = {words.DOUBTS: (60.0, 35.0, -30.0, -20.0), words.DOUBT_RATE: (10.0, 9.0, -3.0, 1.0)}
    for ends, rate in ((shorter, "rose from 10.0 to 14.0"), (unclear, "went from 10.0 to 9.0")):
        rows = practised.tables()["practice_changes"].to_dicts()
        for row in rows:
            if (row["arm"], row["measure"]) in {("sdpo", measure) for measure in ends}:
                row["first"], row["last"], row["low"], row["high"] = ends[row["measure"]]
                row["estimate"] = row["last"] - row["first"]
        said = {row["arm"]: row["sentence"] for row in sentences(inputs(practice_changes=pl.DataFrame(rows)))}["sdpo"]
        assert f"and doubt fell from 60.00 to 35.00 words an answer and {rate} per " in said


def test_several_trainings_speak_of_the_method_and_one_of_itself() -> None:
    rows = rows_of(made("practice_changes"))
    assert rows["sdpo"][3] != "–" and rows["sdpo-ema"][3] == "–"
    assert changed(inputs(), "sdpo", words.REWARD)["claim"] == words.METHOD
    assert changed(inputs(), "sdpo-ema", words.REWARD)["claim"] == words.CHECKPOINTS
    assert "replays" not in rows


def test_bounds_are_of_training_and_of_the_evaluation() -> None:
    table = made("practice_bounds")
    assert [group.title for group in table.groups] == ["on the questions of training", "on held-out problems, at plain"]
    assert rows_of(table)["grpo"][0].startswith("2.") and " → 11." in rows_of(table)["grpo"][0]
    assert "replays" not in rows_of(table) and "replays" in rows_of(table, 1)
    alone = made("practice_bounds", truncation=None)
    assert [group.title for group in alone.groups] == ["on the questions of training"]


def test_a_planted_signal_is_found_and_none_is_not() -> None:
    rows = rows_of(made("practice_signal"))
    truth = 4**2 / 0.6**2 / 4**2  # tr Σ of a sequence over |G|², per dimension
    low, high = (float(end) for end in re.findall(r"[\d.]+", rows["sdpo"][5])[1:])
    assert low < truth < high and "unbounded" in rows["null"][5]
    assert rows["sdpo"][:2] == ["3", "60"] and rows["sdpo"][6] == "64"


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ({"training": {"micro_batch": 4}}, "micro-batches split groups"),
        ({"practice": {"coverage": 4}}, "asks a question twice"),
        (
            {"practice": {"coverage": 12}},
            "asks a question twice",
        ),  # the second step asks 4 of the first epoch, 4 of the next
        ({"practice": {"coverage": 24}}, "yes"),
        ({"practice": {"coverage": 500}}, "yes"),  # 160 are asked
        ({}, "yes"),
    ],
)
def test_where_the_signal_is_not_one_the_table_says_so(arm: dict[str, Any], says: str) -> None:
    assert says in rows_of(made("practice_signal", study=changed_study(sdpo=arm)))["sdpo"][7]


def test_a_signal_that_is_overstated_is_drawn_hollow() -> None:
    def faces(**changes: Any) -> dict[str, Any]:
        figure = practice_signal(inputs(study=changed_study(**changes)))
        assert figure is not None
        marks = [line for line in figure.axes[1].lines if np.size(line.get_xdata()) == 1 and line.get_marker() != ">"]
        return {to_hex(line.get_color()): to_hex(line.get_markerfacecolor()) for line in marks}

    colour = to_hex(arm_look(practised.STUDY, "sdpo").colour)
    assert faces()[colour] == colour
    assert faces(sdpo={"training": {"micro_batch": 4}})[colour] == "#ffffff"


def test_the_figure_of_coverage_shows_where_each_arm_began() -> None:
    figure = practice_coverage(inputs())
    assert figure is not None
    strokes = [line for line in figure.axes[0].lines if line.get_marker() == "_"]
    assert len(strokes) == len(practised.STUDY["arms"]) - 1  # one replays
    begun = practised.tables()["practice"].filter(pl.col("generation") == 1, pl.col("measure") == words.REWARD)
    assert {np.ravel(line.get_ydata())[0] for line in strokes} <= set(begun["estimate"])


def test_costs_are_those_of_each_training_and_a_replay_samples_nothing() -> None:
    rows = rows_of(made("practice_cost"))
    assert rows["sdpo/seed-2"][:4] == ["10", "20", "160", "1\u2009280"]
    assert rows["replays/seed-0"][3] == "0" and rows["replays/seed-0"][6] == "–"
    assert rows["grpo/seed-0"][5] == "–"  # no teacher


def test_updates_without_a_measure_are_left_out() -> None:
    titles = [group.title for group in made("practice_updates").groups]
    assert "KL to the teacher" in titles and "|trainer − engine|" not in titles
    assert "replays" in {
        row.cells[0] for row in made("practice_updates").groups[titles.index("KL to the teacher")].rows
    }


def test_the_figure_of_coverage_needs_an_arm_that_is_limited() -> None:
    study = copy.deepcopy(practised.STUDY)
    del study["arms"]["sdpo-cover-8"]["practice"]
    assert "practice-coverage" not in draw_figures(inputs(study=study))


def test_a_study_of_which_only_replays_practise_is_drawn() -> None:
    alone = {
        name: table.filter(pl.col("arm") == "replays") for name, table in practised.tables().items() if name in PRACTICE
    }
    page = render_report(inputs(**alone))
    assert "learnt from the answers of grpo" in page and 'id="figure-practice-answers"' not in page


def test_names_stay_text() -> None:
    study = changed_study(sdpo={"context": HOSTILE})
    study["contexts"][HOSTILE] = {"wording": "guided", "solution": "sibling"}
    page = render_report(inputs(study=study))
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
