"""What the page says of gradients at frozen checkpoints, of branches and of weights: sentences that follow from the tables."""

from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report_fixture import HOSTILE, report_inputs
from selfdistill.reporting.figures.catalogue import PLANS
from selfdistill.reporting.figures.gradients import signal_share, time_and_data
from selfdistill.reporting.gradients import branch_sentence, noise_sentences
from selfdistill.reporting.inputs import sources_read
from selfdistill.reporting.page import render_report
from selfdistill.reporting.weights import learning_or_rounding, weight_sentences
from selfdistill.tables import words
from selfdistill.tables.mechanism import BRANCHES, NOISE_PROBE, WEIGHT_OVERLAP

PARTS = (words.TOTAL, *words.GRADIENT_PARTS, "lock × fork")


def probe(resolved: bool, arm: str = "ssd") -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        row: dict[str, Any] = dict.fromkeys(NOISE_PROBE)
        row |= {
            "arm": arm,
            "training_seed": 0,
            "percent": 100,
            "part": part,
            "sequences": 256,
            "fresh": 200,
            "tokens": 5000,
        }
        row |= {
            "token_share": 0.07,
            "signal": 0.01,
            "signal_low": -0.02,
            "signal_high": 0.04,
            "trace_per_sequence": 8.0,
        }
        row |= {
            "noise_share": 0.64,
            "noise_share_low": 0.6,
            "noise_share_high": 0.68,
            "method": words.JACKKNIFE_SEQUENCES,
        }
        row |= {"signal_to_noise": 0.001, "signal_to_noise_low": -0.001, "signal_to_noise_high": 0.003}
        row |= {
            "noise_scale_text": "1000 (333 to unbounded)",
            "noise_scale_lower_bound": 450.0,
            "detection_limit": 352.0,
            "z": 0.8,
        }
        if resolved:
            for name in ("square_share", "signal_share"):
                row |= {name: 0.61, f"{name}_low": 0.52, f"{name}_high": 0.7}
        rows.append(row)
    return pl.DataFrame(rows, schema=NOISE_PROBE)


def fit(estimate: float | None, low: float | None, high: float | None) -> pl.DataFrame:
    rows: list[tuple[Any, ...]] = [
        ("held-out loss", batch, examples, None, 1.0 - examples / 1000, 0.9, 1.1, words.T_OVER_ORDERS, 3)
        for batch in (8, 32)
        for examples in (0, 256, 512)
    ]
    rows += [
        (words.EXAMPLES_TO_TARGET, batch, None, None, 300.0 + batch, 280.0, 400.0, words.T_OVER_ORDERS, 3)
        for batch in (8, 32)
    ]
    rows.append((words.HELD_OUT_DIFFERENCE, 8, 512, None, -0.01, -0.02, 0.001, words.T_ORDERS_EXAMPLES, 3))
    rows += [(words.STEPS_LEAST, None, None, None, 1.0, 0.5, 1.5, words.T_OVER_ORDERS, 3)]
    rows += [(words.EXAMPLES_LEAST, None, None, None, 300.0, 290.0, 310.0, words.T_OVER_ORDERS, 3)]
    rows += [
        (
            words.CRITICAL_BATCH,
            None,
            None,
            None,
            estimate,
            low,
            high,
            words.FIELLER_ORDERS if low or estimate else words.LOSS_NOT_LOWERED,
            3,
        )
    ]
    return pl.DataFrame(rows, schema=BRANCHES, orient="row")


def overlap(cosine: float, low: float | None, direction_low: float, run: str = "ssd/seed-0") -> pl.DataFrame:
    found: dict[str, Any] = {
        words.CHANGED_SHARE: (0.64, None, None, None), words.CHANGED_OVERLAP: (0.79, 0.78, -0.02, 0.04),
        words.top_overlap(0.01): (0.2, 0.1, 0.05, 0.15), words.SAME_DIRECTION: (0.7, 0.5, direction_low, 0.3),
        words.COSINE: (cosine, 0.0, low, cosine + 0.1), words.RELATIVE_DISTANCE: (0.0026, 0.0012, 0.0008, 0.002),
        words.STABLE_RANK: (7.1, 8.4, -1.8, -0.8),
    }  # fmt: skip
    rows = [
        (run, f"{run.split('/')[0]}/seed-1000", words.TOTAL, measure, estimate, expected, None if expected is None else estimate - expected,
         ends, top, words.BY_MAGNITUDE, words.JACKKNIFE_TENSORS, 46, 820_608)
        for measure, (estimate, expected, ends, top) in found.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=WEIGHT_OVERLAP, orient="row")


def test_a_resolved_signal_is_told_by_where_it_sits() -> None:
    [sentence] = noise_sentences(report_inputs(noise_probe=probe(True)))
    assert sentence.startswith(
        "ssd/seed-0, at 100 %: 61.0\u2009% [52.0, 70.0] of the signal sits at forks; forks are 7.0\u2009% of the"
    )
    assert "1000 (333 to unbounded) sequences" in sentence


def test_an_unresolved_one_is_told_by_what_would_have_been_found() -> None:
    [sentence] = noise_sentences(report_inputs(noise_probe=probe(False)))
    assert (
        "256 sequences resolve no signal: the noise scale is at least 450" in sentence and "one up to 352" in sentence
    )
    assert "stays open" in sentence and "hold 64.0\u2009% [60.0, 68.0] of the noise" in sentence


@pytest.mark.parametrize(
    ("critical", "said"),
    [
        ((24.0, 18.0, 33.0), "The critical batch is 24 examples [18, 33] over 3 data orders"),
        ((24.0, 18.0, None), "is not resolved over 3 data orders: the critical batch is at least 18 examples"),
        ((24.0, None, None), "is not resolved over 3 data orders"),
        ((None, None, None), "The trade-off of time and data over 3 data orders is not resolved: not every branch"),
    ],
)
def test_the_trade_off_is_told_with_its_interval_or_as_not_resolved(
    critical: tuple[float | None, ...], said: str
) -> None:
    inputs = report_inputs(branches=fit(*critical))
    assert said in branch_sentence(inputs)
    assert ("[18, 33]" in branch_sentence(inputs)) == (critical[2] is not None)


def test_learning_rounding_and_neither_are_told_apart_by_the_stated_rule() -> None:
    assert "fitted their examples alike" in weight_sentences(overlap(0.4, 0.3, -0.1))["ssd/seed-0"]
    assert "fitted their examples alike" in weight_sentences(overlap(0.0, -0.1, 0.01))["ssd/seed-1000"]
    assert "rounding and noise explain" in weight_sentences(overlap(0.01, -0.1, -0.1))["ssd/seed-0"]
    assert "too few tensors" in weight_sentences(overlap(0.4, None, 0.0))["ssd/seed-0"]


def test_the_page_shows_them_and_escapes_names_from_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfdistill.reporting.figures.catalogue.svg_text", lambda figure, name: f"<svg>{name}</svg>")
    tables = {
        "noise_probe": probe(True, HOSTILE), "branches": fit(24.0, 18.0, 33.0),
        "weight_overlap": overlap(0.4, 0.3, 0.1, "<script>alert(1)</seed-0"),
    }  # fmt: skip
    html = render_report(report_inputs(**tables))
    for text in ("Gradients at frozen checkpoints", "Short trainings at several batch sizes", "Learning, or rounding?"):
        assert text in html
    assert 'id="figure-signal-share"' in html and 'id="figure-time-and-data"' in html
    assert HOSTILE not in html and "<script>alert(1)" not in html
    bare = report_inputs()
    assert noise_sentences(bare) == [] and branch_sentence(bare) == "" and learning_or_rounding(bare) == []


def test_the_figures_are_drawn_from_the_tables() -> None:
    inputs = report_inputs(noise_probe=probe(True), branches=fit(24.0, 18.0, None))
    log, frozen = _axes(signal_share(inputs))
    assert len(frozen.lines) == 2 and len(log.lines) == 1 + len(inputs.noise_summary["run"].unique())  # type: ignore[index]
    share = dict(zip(frozen.lines[0].get_xdata(), frozen.lines[0].get_ydata(), strict=True))  # type: ignore[arg-type]
    assert share[1.0] == pytest.approx(1 / (1 + 1000))  # f(B) = 1/(1 + B_noise/B)
    along, needed = _axes(time_and_data(inputs))
    assert len(along.lines) == 2 and "not resolved" in needed.get_title()


def test_a_figure_leads_to_the_tables_that_its_study_has() -> None:
    sources = PLANS["signal-share"].source
    assert sources_read(report_inputs(noise_probe=probe(True)), sources) == sources
    assert sources_read(report_inputs(), sources) == "analysis/noise_summary.parquet"


def _axes(figure: Figure | None) -> list[Axes]:
    assert figure is not None
    return figure.axes
