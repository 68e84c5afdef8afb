"""What a study really took, told in the same words as its plan."""

from pathlib import Path

import polars as pl
import pytest

from conftest import ROOT
from selfdistill.planning.actual import _figures
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.study.load import load_study, read_study

THROUGHPUTS = ROOT / "config/throughputs.yaml"


def test_an_answer_that_stops_exactly_at_its_cap_did_not_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan asks how many samples the filter leaves, and the filter drops such a one, whatever the engine calls its end."""
    monkeypatch.chdir(ROOT)
    study = load_study(read_study(ROOT / "config.yaml"))
    cap = study.decodes["t07"].max_tokens
    graded = pl.DataFrame({
        "prompt_ids": [[1, 2]] * 4, "decode_id": "t07", "n_tokens": [50, 60, cap, cap],
        "finish_reason": ["stop", "stop", "stop", "length"], "finish_class": ["answered", "no_answer", "cut", "cut"],
    })  # fmt: skip
    figures = Figures(load_throughputs(THROUGHPUTS), study, THROUGHPUTS)
    found = {}
    for figure in _figures(study, figures, graded, tmp_path):
        found[figure.what] = figure.actual
        if figure.what == "finished_share":
            break
    assert found["finished_share"] == 0.5
