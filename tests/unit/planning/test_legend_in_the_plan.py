"""The plan says in plain words what is compared, in the words of the report."""

import re

from conftest import ROOT
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.planning.printed import WIDTH, as_data, as_text, legend_lines
from selfdistill.study.legend import SSD, legend_of
from selfdistill.study.load import read_study, typed_study
from selfdistill.study.study import Study

THROUGHPUTS = ROOT / "config" / "throughputs.yaml"


def study(file: str) -> Study:
    return typed_study(read_study(ROOT / file))


def unwrapped(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_plan_says_what_the_report_says() -> None:
    for file in ("config.yaml", "config/practice-lab.yaml", "config/doubt-lab.yaml"):
        said, legend = unwrapped(legend_lines(study(file))), legend_of(study(file).as_param())
        for name, meaning in (legend.arms | legend.decodes).items():
            assert f"{name}: {unwrapped(meaning).replace('’', chr(39))}" in said


def test_lines_fit_a_terminal_and_thousands_have_commas() -> None:
    said = legend_lines(study("config.yaml"))
    assert max(map(len, said.splitlines())) <= WIDTH
    assert "1,600 examples" in said and "\u2009" not in said


def test_ssd_is_spelled_out_before_any_name_has_it() -> None:
    here = study("config.yaml")
    figures = Figures(load_throughputs(THROUGHPUTS), here, THROUGHPUTS)
    said = unwrapped(as_text(here, figures, [], [], None))
    first = re.search(r"\bssd\b", said, re.IGNORECASE)
    assert first is not None and said[first.start() :].startswith(SSD)
    assert as_data(here, figures, [], [], None)["legend"]["arms"] == legend_of(here.as_param()).arms
