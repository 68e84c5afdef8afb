"""Claims about the report: it is whole without some of its pieces, says a null result plainly, and trusts no text."""

import copy
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from report_fixture import (
    HOSTILE,
    STUDY,
    evaluated,
    graded_answers,
    hypothesis_free_study,
    report_inputs,
    verdicts,
    whole_inputs,
)
from selfdistill.analysis.comparisons import comparisons
from selfdistill.analysis.factorial import factorial as analysed_factorial
from selfdistill.analysis.levels import levels
from selfdistill.analysis.truncation import truncation
from selfdistill.analysis.verdicts import verdicts as judged
from selfdistill.foundation import wording
from selfdistill.reporting import formatting
from selfdistill.reporting.answers.choice import choose_examples
from selfdistill.reporting.figures.catalogue import PLANS, draw_figures, save_figures
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.page import VERDICT_LOOKS, answers, build_report, population, render_report
from selfdistill.reporting.select import differences_along_training
from selfdistill.reporting.tables.factorial import factorial
from selfdistill.reporting.tables.main import main_results
from selfdistill.reporting.tables.pass_at_k import pass_at_k
from selfdistill.reporting.tables.rates import base_at_every_decode, rates_of_models
from selfdistill.reporting.tables.study import budgets, how_it_was_sampled, mixtures
from selfdistill.reporting.tables.table import Table
from selfdistill.reporting.tables.training import (
    exports_checked,
    filter_audit,
    gradient_noise,
    references,
    right_answers,
    soft_targets,
)
from selfdistill.reporting.tables.truncation import gains_by_base_answer, parts_of_differences, rates_and_lengths
from selfdistill.reporting.tables.variance import where_errors_come_from
from selfdistill.study.study import Study

# One worker makes the page that most tests look at.
pytestmark = [pytest.mark.usefixtures("undrawn"), pytest.mark.xdist_group("page")]

SMALL: dict[str, Any] = {"budgets": {"quick": 20, "full": 40}, "draws": 1, "pass_at": [1], "resamples": 200}

SECTIONS = ["answers", "estimand", "main", "factorial", "sweep", "truncation", "checkpoints", "audit", "training", "noise",
            "weights", "doubt", "lengths", "problems", "completions", "checks", "provenance"]  # fmt: skip


class Page(HTMLParser):
    """The page as a browser's parser sees it: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.words = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(whole_inputs())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_section_stands_in_its_order(page: Page) -> None:
    assert [name for name in page.ids() if name in SECTIONS] == SECTIONS
    assert page.ids().index("training") < page.ids().index("practice") < page.ids().index("noise")
    probed = page.ids().index("locks")
    assert (
        page.ids().index("weights")
        < page.ids().index("told")
        < probed
        < page.ids().index("ssd-fit")
        < page.ids().index("depth")
    )
    assert [name for name in page.ids() if name.startswith("figure-")] == [
        f"figure-{name}" for name in ("hypotheses", "factorial", "sweep", "token-budgets", "token-differences", "checkpoints",
                                      "audit", "training", "practice-answers", "practice-scores", "practice-coverage", "practice-updates",
                                      "practice-signal", "gradient-noise", "signal-share", "time-and-data", "weights-changed", "ladder", "ladder-words",
                                      "mass-by-rank", "survivors", "fit-ratio", "movement", "depth", "doubt-ratios", "word-shift",
                                      "who-disagrees-where", "judge-and-words", "endings")
    ]  # fmt: skip


def test_what_a_model_wrote_is_shown_and_never_run(page: Page) -> None:
    assert page.all("script") == []
    assert page.all("img") == []
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count(HOSTILE) >= 4  # problem, completion, engine, …: as text
    assert "gold <b>4</b>" in page.words


@pytest.mark.usefixtures("drawn")
def test_hostile_names_of_arms_stay_text_in_figures_too() -> None:
    hostile = "$x^{<script>alert(1)</script>"
    study = {**STUDY, "arms": {hostile: STUDY["arms"]["ssd"], **STUDY["arms"]}}
    table = verdicts().with_columns(arm=pl.lit(hostile), hypothesis=pl.lit(HOSTILE), sentence=pl.lit(HOSTILE))
    inputs = report_inputs(study=study, verdicts=table, completions=None)
    drawings = draw_figures(inputs)
    assert {"hypotheses", "factorial", "sweep"} <= set(drawings)
    assert not any("<script" in drawing.svg for drawing in drawings.values())
    page = Page(render_report(inputs))
    assert HOSTILE in page.text
    assert page.all("script") == [] and page.all("img") == []


def test_the_policy_forbids_every_script_and_every_request(page: Page) -> None:
    policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]


def test_nothing_is_loaded_from_elsewhere(html: str, page: Page) -> None:
    assert sum("href" in attributes for _, attributes in page.elements) > 10
    for _, attributes in page.elements:
        for name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster"):
            assert not re.match(r"(?i)\s*(\w+:)?//|\w+:", attributes.get(name) or ""), attributes
    assert page.all("link") == []
    assert not re.search(r"(?i)@import|url\(\s*['\"]?(?!#)", re.sub(r"<pre>.*?</pre>", "", html, flags=re.DOTALL))


def test_a_null_result_reads_as_one(page: Page) -> None:
    assert "not resolved ssd-beats-best-base" in page.words
    assert "This is not evidence of no effect." in page.text
    assert "95 % interval −1.0 to +4.4" in page.words
    assert "size seen" not in page.words


def test_every_answer_says_whether_it_speaks_of_the_method_or_of_these_checkpoints(page: Page) -> None:
    assert "It speaks of the method, from 2 trainings." in page.words
    assert "speaks of these checkpoints" in page.words and "Nothing was trained." in page.words


def test_controls_are_counted_against_chance(page: Page) -> None:
    assert "1 of 1 control is silent (p ≥ 0.05); by chance 0.05 would be expected to speak." in page.words


def test_what_could_not_be_measured_is_an_alarm_and_no_equivalence() -> None:
    table = verdicts().with_columns(
        verdict=pl.when(pl.col("hypothesis") == "ssd-helps").then(pl.lit("not measurable")).otherwise("verdict")
    )
    page = Page(render_report(report_inputs(verdicts=table)))
    assert "Not measurable. ssd against base" in page.words


def test_every_hypothesis_shows_its_n_and_holm_adjusted_p(page: Page) -> None:
    for name in STUDY["hypotheses"]:
        assert name in page.words
    assert page.words.count("n 210 problems") == len(STUDY["hypotheses"])
    assert "0.42 in family primary" in page.words


def test_arms_trained_once_are_named_as_such(page: Page) -> None:
    assert "Trained once only: keep-cut, filter-only, fixed-point." in page.words


PIECES = ["rule_times", "verdicts", "levels", "comparisons", "factorial", "variance", "truncation", "token_budgets", "doubt", "doubt_ratios", "word_shift", "run_logs", "noise_steps", "noise_summary",
          "weight_change", "coherence", "completions", "examples", "problem_counts", "contamination"]  # fmt: skip
# The sections that have nothing to say without a piece, and so do not stand there.
SPEAKS_OF = {"factorial": "factorial", "levels": "checkpoints", "truncation": "truncation", "doubt": "doubt", "weight_change": "weights"}  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("emptied", [False, True], ids=["missing", "empty"])
def test_a_missing_or_empty_piece_leaves_the_rest_standing(
    piece: str, emptied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "selfdistill.reporting.figures.catalogue.svg_text", lambda figure, name: "<svg></svg>"
    )  # its cost is layout
    frame = getattr(report_inputs(), piece)
    html = render_report(report_inputs(**{piece: frame.clear() if emptied else None}))
    gone = SPEAKS_OF.get(piece)
    assert [name for name in Page(html).ids() if name in SECTIONS] == [name for name in SECTIONS if name != gone]
    assert f'href="#{gone}"' not in html


def test_a_study_without_hypotheses_or_results_still_builds() -> None:
    page = Page(render_report(ReportInputs(study=hypothesis_free_study())))
    assert "states no hypotheses" in page.words
    silent = {*SPEAKS_OF.values(), "audit", "training", "noise"}
    assert [name for name in page.ids() if name in SECTIONS] == [name for name in SECTIONS if name not in silent]
    assert page.all("figure") == []


def test_a_study_of_two_arms_without_a_factorial_still_builds() -> None:
    arms = {name: STUDY["arms"][name] for name in ("ssd", "aa")}
    page = Page(render_report(report_inputs(study={**STUDY, "arms": arms}, factorial=None)))
    assert "factorial" not in page.ids() and "main" in page.ids()


def test_no_two_elements_share_an_id_although_figures_are_inline(html: str, page: Page) -> None:
    ids = page.ids()
    assert len(ids) == len(set(ids))
    referenced = set(re.findall(r'(?:href="|url\()#([^")]+)', html))
    assert len(referenced) > 10 and referenced <= set(ids)


@pytest.mark.usefixtures("drawn")
def test_the_same_inputs_give_the_same_bytes(html: str) -> None:
    assert render_report(whole_inputs()) == html


@pytest.mark.usefixtures("drawn")
def test_figures_are_saved_as_the_svg_that_the_page_shows(tmp_path: Path, html: str) -> None:
    texts = save_figures(whole_inputs(), tmp_path)
    assert set(texts) == set(PLANS)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.svg" for name in texts)
    for name, text in texts.items():
        assert text in html
        assert (tmp_path / f"{name}.svg").read_text(encoding="utf-8").endswith(text)
        assert "<metadata" not in text and "<!--" not in text and "dc:date" not in text


def test_every_table_that_a_number_comes_from_has_a_link_of_its_own() -> None:
    files = re.findall(r'<a href="([^"#]+)"><code>', render_report(report_inputs()))
    assert "analysis/levels.parquet" in files and "analysis/noise_probe.parquet" in files
    assert not [file for file in files if "," in file or " " in file]


def test_figures_speak_to_those_who_cannot_see_them_and_tables_name_their_headers(page: Page) -> None:
    drawings = [attributes for attributes in page.all("div") if attributes.get("role") == "img"]
    assert len(drawings) == len(PLANS)
    assert all(len(drawing["aria-label"] or "") > 80 for drawing in drawings)
    assert page.all("th") and all(header.get("scope") in ("row", "col", "rowgroup") for header in page.all("th"))


def test_captions_say_n_and_the_kind_of_interval() -> None:
    drawings = draw_figures(report_inputs())
    for name in ("hypotheses", "factorial", "sweep", "checkpoints"):
        assert re.search(r"95 %.*interval|intervals", drawings[name].caption)
        assert re.search(r"n = \d", drawings[name].caption), name


def test_n_is_told_in_the_units_that_the_rows_count() -> None:
    inputs = report_inputs()
    families = {
        name: frame.with_columns(unit=pl.lit("family"))
        for name in ("verdicts", "levels", "factorial")
        if (frame := getattr(inputs, name)) is not None
    }
    of_problems, of_families = draw_figures(inputs), draw_figures(report_inputs(**families))
    for name in ("hypotheses", "factorial", "sweep", "checkpoints"):
        assert "n = 210 problems" in of_problems[name].caption or "n = 70 problems" in of_problems[name].caption
        assert "n = 210 families" in of_families[name].caption or "n = 70 families" in of_families[name].caption
    assert "n counts problems." in _there(main_results(inputs)).note
    assert "n counts families of near-duplicate problems." in _there(main_results(report_inputs(**families))).note


def test_thousands_in_a_caption_keep_their_thin_space() -> None:
    many = draw_figures(report_inputs(verdicts=verdicts().with_columns(n=pl.lit(1240))))["hypotheses"].caption
    assert many.endswith("n = 1\u2009240 problems.") and "  " not in many


def test_a_fair_comparison_says_what_both_sides_chose_from() -> None:
    menu = "both sides choose from the same 3 decodes (t06, t10, t15)"
    assert menu in _there(main_results(report_inputs())).note
    assert menu in draw_figures(report_inputs())["hypotheses"].caption
    matched = report_inputs(
        verdicts=verdicts().filter(pl.col("comparison") == "matched"),
        comparisons=_comparisons().filter(pl.col("comparison") == "matched"),
    )
    assert "both sides choose" not in _there(main_results(matched)).note


def test_the_factorial_says_what_its_effects_speak_of_and_what_holm_covers() -> None:
    table = _there(factorial(report_inputs()))
    assert "speaks of the method only where each of the four arms was trained twice" in table.note
    assert "the three effects within one decode and one outcome" in table.note
    assert {row.cells[6] for group in table.groups for row in group.rows} == {"checkpoints"}
    assert "the table says whether they speak of the method" in draw_figures(report_inputs())["factorial"].caption


def test_the_audit_shows_how_the_filter_leans_with_its_interval() -> None:
    rows = {row.cells[0]: row.cells for row in _there(filter_audit(report_inputs())).groups[0].rows}
    assert rows["ssd"][11] == "+4.7 [3.7, 5.7]"


def test_soft_targets_are_told_with_the_floor_of_their_loss() -> None:
    said = {"tokens": 156855, "mean_retained": 1.28, "largest_retained": 12, "loss_floor": 0.10557,
            "mean_sampled_probability": 0.9427, "outside": 0}  # fmt: skip
    inputs = report_inputs(targets={"soft": said})
    assert _there(soft_targets(inputs)).groups[0].rows[0].cells[0:5:4] == ["soft", "0.1056"]
    assert "Soft targets" in render_report(inputs)
    assert soft_targets(report_inputs()) is None and "Soft targets" not in render_report(report_inputs())


def test_the_report_says_how_far_the_engine_was_from_the_trainer_at_the_worst_checkpoint() -> None:
    rows = _there(exports_checked(report_inputs())).groups[0].rows
    assert [row.cells[0] for row in rows] == ["ssd/seed-0", "ssd/seed-1"]
    assert rows[0].cells[2:] == ["float32", "2", "1\u2009400", "4.0e−5", "2.0e−7", "0.0010"]
    assert exports_checked(report_inputs(export_checks={})) is None


def test_the_main_table_holds_base_every_arm_and_the_a_a_control_at_every_decode() -> None:
    table = _there(main_results(report_inputs()))
    labels = [[row.cells[0] for row in group.rows if not row.minor] for group in table.groups]
    matched = ["base", "ssd, 2 trainings", "keep-cut", "filter-only", "fixed-point", "aa (A/A control)"]
    assert labels[:3] == [matched] * 3
    assert labels[3][:2] == ["base at t08", "ssd at t10, 2 trainings"]
    assert all(len(row.cells) == len(table.columns) for group in table.groups for row in group.rows)


def test_numbers_of_the_main_table_are_those_of_the_analysis() -> None:
    inputs = report_inputs()
    assert inputs.comparisons is not None
    wanted = inputs.comparisons.filter(
        (pl.col("estimand") == "accuracy") & pl.col("leads") & (pl.col("budget") == "full")
        & (pl.col("comparison") == "matched") & (pl.col("decode_id") == "t15") & (pl.col("arm") == "filter-only")
    ).row(0, named=True)  # fmt: skip
    group = next(group for group in _there(main_results(inputs)).groups if "t15" in group.title)
    row = next(row for row in group.rows if row.cells[0] == "filter-only")
    assert row.cells[2] == f"+{100 * wanted['estimate']:.1f} [+{100 * wanted['low']:.1f}, +{100 * wanted['high']:.1f}]"


def test_the_factorial_table_shows_effects_on_accuracy_beside_those_on_the_cut_rate() -> None:
    rows = _there(factorial(report_inputs())).groups[1].rows
    assert [row.cells[0] for row in rows] == ["main effect of the decode", "main effect of the filter", "interaction"]
    assert rows[1].cells[1] == "+3.9" and rows[1].cells[7].startswith("−6.2 [")


def test_a_noise_scale_without_an_upper_end_is_said_to_be_unbounded() -> None:
    inputs = report_inputs()
    assert inputs.noise_summary is not None
    silent = inputs.noise_summary.with_columns(noise_scale_text=pl.lit(None, dtype=pl.String))
    rows = _there(gradient_noise(report_inputs(noise_summary=silent))).groups[0].rows
    assert rows[-1].cells[0] == "fixed-point/seed-0" and "unbounded above" in rows[-1].cells[5]


def test_a_failed_check_is_announced_at_the_top(html: str) -> None:
    assert html.index("1 result check failed") < html.index('id="estimand"')
    assert "result check failed" not in Page(render_report(report_inputs(checks=[]))).words


def test_the_report_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "results" / "report.html"
    build_report(report_inputs(), target)
    before = target.read_text(encoding="utf-8")
    monkeypatch.setattr("os.replace", _refuse)
    with pytest.raises(OSError, match="disk"):
        build_report(report_inputs(checks=[]), target)
    assert target.read_text(encoding="utf-8") == before
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_the_page_says_which_commits_it_rests_on_and_what_was_left_out() -> None:
    facts = {"hub": HOSTILE, "revision": "3" * 40, "digest": "d" * 64, "licence": HOSTILE}
    dropped = {"no boxed answer": 12, "picture": 3}
    page = render_report(report_inputs(hub={"model": facts | {"revision": "", "licence": None}, "math": facts},
                                       conversions={"math": {"kept": 1234, "dropped": dropped}}))  # fmt: skip
    table = page[page.index("Model and datasets from the hub") :].split("</table>")[0]
    assert "3" * 40 in table and "not known" in table and "12 no boxed answer; 3 picture" in table
    assert "<script>" not in table and "Model and datasets from the hub" not in render_report(report_inputs())


def test_a_conversion_that_kept_far_fewer_problems_than_documented_is_an_alarm_at_the_top() -> None:
    facts = {"hub": "someone/exams", "revision": "3" * 40, "digest": "d" * 64, "licence": "MIT"}
    audit = {"kept": 25, "mended": 4, "dropped": {"needs a picture": 5}, "alarm": f"exams: 25 are kept {HOSTILE}"}
    page = render_report(report_inputs(hub={"exams": facts}, conversions={"exams": audit}))
    top, rest = page.split('id="estimand"')
    assert "Fewer problems than documented" in top and "exams: 25 are kept" in top and "<script>alert" not in top
    table = rest[rest.index("Model and datasets from the hub") :].split("</table>")[0]
    assert "ALARM" in table and "5 needs a picture" in table and "<td>4</td>" in table.replace(' class="number"', "")
    solved = render_report(report_inputs(hub={"exams": facts}, conversions={"exams": audit | {"solutions": 17}}))
    assert "with a solution" in table and "<td>17</td>" not in table.replace(' class="number"', "")
    assert "<td>17</td>" in solved.replace(' class="number"', "")
    calm = render_report(report_inputs(hub={"exams": facts}, conversions={"exams": audit | {"alarm": ""}}))
    assert "ALARM" not in calm and "Fewer problems than documented" not in calm


def test_levels_on_another_mixture_have_a_table_of_their_own() -> None:
    study = copy.deepcopy(STUDY)
    study["evaluation"]["mixtures"] = {"harder": {"quiz": 20}}
    inputs = report_inputs(study=study)
    assert inputs.levels is not None
    mixed = inputs.levels.filter(pl.col("budget") == "full", pl.col("split") == "test").with_columns(
        budget=pl.lit("harder"), split=pl.lit("all")
    )
    rows = _there(mixtures(report_inputs(study=study, levels=pl.concat([inputs.levels, mixed])))).groups[0].rows
    assert rows and all(row.cells[0] == "harder" and "[" in row.cells[4] for row in rows)


def test_the_page_counts_the_problems_beside_their_families() -> None:
    levels = report_inputs().levels
    assert levels is not None
    levels = levels.with_columns(unit=pl.lit("family"), n=pl.lit(61, pl.Int64))
    of_all = {"estimand": ["accuracy"] * 2, "split": ["test", "all"], "budget": ["full"] * 2, "problems": [66, 90]}
    said = population(report_inputs(levels=levels, variance=pl.DataFrame(of_all)))
    assert said.startswith("66 problems in 61 families of the test split")
    assert population(report_inputs(levels=levels, variance=None)).startswith("61 families of the test split")


def test_the_page_says_how_often_each_side_was_asked_and_whose_noise_it_drew_with() -> None:
    study = copy.deepcopy(STUDY)
    assert "4 answers to each problem" in population(report_inputs(study=study)) and "numbers" not in population(report_inputs(study=study))  # fmt: skip
    study["evaluation"] |= {"draws": {"base": 4, "arms": 1}, "coupling": "shared"}
    said = population(report_inputs(study=study))
    assert "4 answers of the base and 1 of each trained model to each problem" in said
    assert "the same random numbers" in said
    note = _there(pass_at_k(report_inputs(study=study))).note
    assert "A dash stands where a model has fewer draws than k." in note


def test_the_page_says_what_was_asked_whole_and_how_often() -> None:
    study = copy.deepcopy(STUDY)
    study["evaluation"] |= {
        "budgets": {"quick": 100, "full": "all"}, "mixtures": {"contest": {"quiz": "all"}}, "mixture_draws": {"contest": 16}
    }  # fmt: skip
    counts = pl.DataFrame({"source": ["quiz", "quiz", "drills"], "level": [1, 1, 1], "split": ["dev", "test", "train"],
                           "problems": [300, 1200, 9000]})  # fmt: skip
    inputs = report_inputs(study=study, problem_counts=counts)
    assert [row.cells for row in _there(budgets(inputs)).groups[0].rows] == [
        ["quick", "100"],
        ["full", "all 1\u2009500"],
    ]
    assert inputs.levels is not None
    mixed = inputs.levels.filter(pl.col("budget") == "full", pl.col("split") == "test").with_columns(
        budget=pl.lit("contest"), split=pl.lit("all")
    )
    table = _there(mixtures(report_inputs(study=study, levels=pl.concat([inputs.levels, mixed]))))
    assert table.note == "Dev and test together. contest: all of quiz, 16 answers to each."


@pytest.mark.usefixtures("drawn")
def test_the_report_finds_all_it_wants_in_what_the_analysis_writes() -> None:
    """The seam between two rooms: names of estimands, methods and models as the analysis really writes them."""
    study = Study.model_validate({**STUDY, "evaluation": {**STUDY["evaluation"], **SMALL}})
    graded, evaluation = evaluated(), study.evaluation
    compared = comparisons(graded, evaluation, study.seed, study.hypotheses)
    budgets = {str(name): size for name, size in evaluation.budgets.items()}
    caps = {name: decode.max_tokens for name, decode in study.decodes.items()}
    parts, curves = truncation(graded, budgets, caps, evaluation.resamples, study.seed)
    inputs = ReportInputs(
        study=study.model_dump(),
        truncation=parts,
        token_budgets=curves,
        levels=levels(graded, {str(name): n for name, n in evaluation.budgets.items()}, evaluation.pass_at),
        comparisons=compared,
        factorial=analysed_factorial(graded, study.arms, study.decodes, evaluation),
        verdicts=judged(compared, study.hypotheses, study.arms, study.decodes),
        completions=graded,
    )
    names = ["base", "ssd, 2 trainings", "as trained here", "seed 0", "seed 1"]
    groups = _there(main_results(inputs)).groups
    assert [row.cells[0] for row in groups[0].rows][:5] == names
    assert len(groups) == len(evaluation.decodes.final) + 2  # fair, and decoding alone
    parted = [_there(table(inputs)).groups[0].rows for table in (parts_of_differences, rates_and_lengths)]
    assert [[row.cells[0] for row in rows] for rows in parted] == [list(STUDY["arms"])] * 2
    assert gains_by_base_answer(inputs) is None  # with one draw
    for row in [groups[0].rows[1], *parted[0], *parted[1][:-1], *_there(factorial(inputs)).groups[0].rows]:
        assert not {"–", ""} & set(row.cells), row
    drawings = draw_figures(inputs)
    assert set(drawings) == {
        "hypotheses",
        "factorial",
        "sweep",
        "checkpoints",
        "endings",
        "token-budgets",
        "token-differences",
    }
    along = differences_along_training(inputs, "t10", "quick")
    assert sorted(along["percent"].unique()) == [25, 50, 75, 100]
    assert [answer["name"] for answer in answers(inputs)][: len(STUDY["hypotheses"])] == list(STUDY["hypotheses"])
    assert {answer["verdict"] for answer in answers(inputs)} <= set(VERDICT_LOOKS)


def test_examples_are_chosen_by_rule_and_are_what_they_are_called() -> None:
    graded, problems = graded_answers()
    chosen = choose_examples(graded, problems, STUDY, per_kind=2)
    assert chosen["kind"].unique(maintain_order=True).to_list() == ["gained", "lost", "cut", "loop"]
    assert chosen["kind"].value_counts()["count"].max() == 2
    assert chosen["model_id"].unique().to_list() == ["ssd/seed-0/at-100"]
    assert chosen.filter(pl.col("kind") == "gained")["finish_class"].unique().to_list() == ["answered"]
    assert chosen["problem"].null_count() == 0
    assert chosen.equals(choose_examples(graded.sample(fraction=1, shuffle=True, seed=3), problems, STUDY, per_kind=2))


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (formatting.points(-0.0123), "−1.2"),
        (formatting.points(0.0), "0.0"),
        (formatting.points(-0.0004), "0.0"),
        (formatting.percent(0.6155), "61.6\u2009%"),
        (formatting.percent(None), "–"),
        (formatting.points_interval(-0.01, None), "[−1.0, –]"),
        (formatting.number(float("nan")), "–"),
        (formatting.count(1234567), "1\u2009234\u2009567"),
        (formatting.p_value(0.0004), "<\u20090.001"),
        (formatting.p_value(0.0456), "0.046"),
        (formatting.significant(0.00123), "0.00123"),
        (formatting.significant(4.56e-9), "4.56e−9"),
        (formatting.significant(123.4), "123"),
        (formatting.duration(3725), "1 h 02 min"),
        (wording.decode_in_words(STUDY["decodes"]["plain"]), "T 1, at most 384 tokens"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, wanted: str) -> None:
    assert shown == wanted


def _comparisons() -> pl.DataFrame:
    frame = report_inputs().comparisons
    assert frame is not None
    return frame


def _there(table: Table | None) -> Table:
    assert table is not None
    return table


def _refuse(*_: Any) -> None:
    raise OSError("no space left on disk")


def test_the_baselines_of_decoding_alone_stand_beside_the_sweep() -> None:
    inputs = report_inputs()
    table = base_at_every_decode(inputs)
    assert table and [row.cells[0] for row in table.groups[0].rows] == inputs.study["evaluation"]["decodes"]["base"]
    rates = rates_of_models(inputs)
    assert rates and {row.cells[0] for group in rates.groups for row in group.rows} >= {"base", "aa", "ssd"}
    assert all(len(row.cells) == len(rates.columns) for group in rates.groups for row in group.rows)


def test_the_report_says_which_engines_sampled_and_that_loops_were_stopped() -> None:
    rows = pl.DataFrame({
        "model_id": ["base", "base", "ssd/seed-0/at-100", "samples-t11"], "purpose": ["eval", "eval", "eval", "train"],
        "engine": ["vllm", "vllm", "torch", "vllm"], "engine_version": ["0.30.0", "0.30.0", "2.13.0", "0.30.0"],
        "n_tokens": [100, 200, 300, 50], "finish_class": ["answered", "cut", "loop", "answered"],
        "loop_period": [None, None, 4, 7],
    })  # fmt: skip
    table = how_it_was_sampled(report_inputs(sampled=rows))
    assert table is not None
    shown = [row.cells for group in table.groups for row in group.rows]
    assert [row[:2] for row in shown] == [["eval", "torch 2.13.0"], ["eval", "vllm 0.30.0"], ["train", "vllm 0.30.0"]]
    assert shown[1][2:] == ["1", "2", "300", "1", "0", "0", "0", "0"]
    assert shown[2][table.columns.index("looped and ended")] == "1"
    assert "More than one engine or version" in table.note and "not the model's own law" not in table.note
    stopped = STUDY | {"sampling": {"abort_loops": {"max_period": 64, "min_repeats": 20}}}
    table = how_it_was_sampled(report_inputs(study=stopped, sampled=rows.filter(pl.col("engine") == "vllm")))
    assert table is not None
    assert (
        "at most 64 tokens 20 times, so these are not samples of the model's own law" in table.note
        and "More than one" not in table.note
    )


def test_what_would_settle_a_question_stands_under_an_open_answer_and_nowhere_else(page: Page) -> None:
    assert page.words.count("it would take about 190 problems") == 1
    open_answers = [answer for answer in answers(report_inputs()) if answer["verdict"] == "not resolved"]
    assert [answer["resolve"].startswith("This is not evidence of no effect. To find") for answer in open_answers] == [
        True
    ]


def test_the_table_of_errors_marks_what_is_below_0_taken_or_unknown() -> None:
    table = where_errors_come_from(report_inputs())
    assert table is not None and len(table.groups) == 6  # three decodes of two outcomes
    rows = {row.cells[0]: row.cells for row in table.groups[0].rows}
    assert rows["ssd"][1].startswith("1.4 [0.0") and rows["keep-cut"][1] == formatting.MISSING
    assert rows["ssd"][2].startswith("10.5") and rows["aa"][2].startswith("0.0*")
    assert rows["aa"][4].startswith("37.4†") and rows["ssd"][6] == "0.59" and rows["aa"][6] == formatting.MISSING
    assert rows["keep-cut"][7] == formatting.MISSING and rows["ssd"][7].endswith("%")
    assert where_errors_come_from(report_inputs(variance=None)) is None


SOLVED = {
    "samples": "reference", "problems": 640, "without_solution": 31, "ends_within": 1, "too_long": 2, "refused": 4, "kept": 602,
    "used": 512, "last_rank": 540, "mean_tokens": 67.7, "median_tokens": 66.0, "most_tokens": 114,
    "levels": {"1": {"problems": 640, "used": 512}},
}  # fmt: skip


def test_what_an_arm_on_solutions_trained_on_is_told_apart_from_what_filters_chose() -> None:
    inputs = report_inputs()
    study = copy.deepcopy(STUDY)
    study["arms"]["solved"] = {"samples": "reference", "seeds": [0]}
    with_it = report_inputs(study=study, audits=inputs.audits | {"solved": SOLVED})
    page = Page(render_report(with_it))
    assert "trained on the dataset’s own solutions and on nothing of the model’s own" in page.words
    told = references(with_it)
    assert told and told.groups[0].rows[0].cells == ["solved", "640", "31", "2", "1", "4", "602", "512", "68", "114"]
    chosen, before = filter_audit(with_it), filter_audit(inputs)
    assert chosen and before and chosen.groups == before.groups
    alone = report_inputs(study=study, audits={"solved": SOLVED})
    assert filter_audit(alone) is None and "audit" in Page(render_report(alone)).ids()


def test_what_arms_of_right_answers_share_and_how_lengths_were_matched_is_told() -> None:
    inputs = report_inputs()
    assert right_answers(inputs) is None
    study, audits = copy.deepcopy(STUDY), dict(inputs.audits)
    for arm, context, like, tokens in (
        ("ug", None, None, 71.0),
        ("sg", "<guided>", None, 46.0),
        ("short", None, "sg", 52.5),
    ):
        study["arms"][arm] = {"decode": "t11", "keep": "correct", "seeds": [0]}
        audits[arm] = inputs.audits["ssd"] | {
            "context": context, "length_like": like, "problems_with_a_right_answer": {"ug": 300, "sg": 290, "short": 300},
            "shared_problems": 281, "used": 256, "used_profile": {"mean_tokens": tokens}, "mean_length_gap": 6.52,
        }  # fmt: skip
    with_them = report_inputs(study=study, audits=audits)
    told = right_answers(with_them)
    assert told and [row.cells[2:] for row in told.groups[0].rows] == [
        ["nothing", "300", "281", "256", "71", "–"],
        ["<guided>", "290", "281", "256", "46", "–"],
        ["nothing", "300", "281", "256", "52", "like sg, +6.5 tokens"],
    ]
    page = render_report(with_them)
    assert "<guided>" not in page and "Right answers to the same problems" in Page(page).words


def made_by(study: str | None, base: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "study": study, "arm": "reference", "training_seed": 0, "percent": 100, "step": 13, "digest": "c" * 64, "examples": 208,
        "samples_of": "reference", "dataset_digest": "d" * 64, "code": {"commit": "e" * 40, "uncommitted changes": "yes"},
        "base": base,
    } | more  # fmt: skip


def test_a_model_that_is_a_checkpoint_is_told_with_all_that_it_was_made_from() -> None:
    assert "The model:" not in Page(render_report(report_inputs())).words
    first = made_by(HOSTILE, {"digest": "b" * 64, "path": "models/smol", "lineage": None}, samples_of=None, code=None)
    chain = made_by("warm", {"digest": "f" * 64, "path": "x", "lineage": first}, percent=50)
    html = render_report(report_inputs(lineage={"lineage": chain, "digest": "c" * 64, "unchanged": True}))
    page = Page(html)
    assert (
        "The model: a checkpoint of study warm, arm reference, seed 0, at 50 % of its training, trained on 208 of the dataset's own "
        "solutions; itself trained from a checkpoint of study"
    ) in page.words
    assert "trained on 208 examples; first trained from models/smol (digest bbbbbbbbbbbbbbbb)." in page.words
    assert f"{'e' * 16} with uncommitted changes" in page.words
    assert HOSTILE not in html and "they were changed since" not in page.words
    practised = made_by("warm", {"digest": "b" * 64, "path": "models/smol", "lineage": None}, samples_of="practised")
    told = Page(render_report(report_inputs(lineage={"lineage": practised, "digest": "c" * 64, "unchanged": True})))
    assert "trained on 208 answers that it gave while it trained; first" in told.words
    changed = report_inputs(lineage={"lineage": chain, "digest": "0" * 64, "unchanged": False})
    assert "are not those that this is told of: they were changed since" in Page(render_report(changed)).words
