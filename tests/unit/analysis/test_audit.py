"""The audit: a blind sheet that survives a spreadsheet, and effects corrected by what a person wrote on it."""

import csv
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audit_simulation import (
    ARM,
    DIFFERENTIAL,
    PERFECT,
    Errors,
    corrected,
    coverage,
    evaluation,
    filled_by_one_who_knows,
    simulated,
)
from selfdistill.analysis.audit.corrected import Audit, corrected_effects, grader_errors
from selfdistill.analysis.audit.sheet import COLUMNS, defused, judgements, read_sheet, restored, sheet
from selfdistill.analysis.audit.strata import allocation, draw_sample, with_kinds
from selfdistill.foundation.errors import UserError
from selfdistill.tables import words
from selfdistill.tables.analysis import AUDIT_KEY

HOSTILE = [
    "=HYPERLINK(\"http://x\")", "+1", "-5", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "'=1", "''-2", "'quoted'", "a,b;c\td",
    'he said "no"', "two\nlines", "two\r\nlines", "\\frac{1}{2}", "5", "", "\uff1d1", "ünï – 文",
]  # fmt: skip


def table(*answers: str) -> pl.DataFrame:
    n = len(answers)
    rows = {
        "row": [f"r{i:02d}" for i in range(n)],
        "problem": answers,
        "gold": answers,
        "answer": answers,
        "ending": answers,
    }
    return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))


def key_of(*rows: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"row": rows, "request_id": rows, "side": "base", "kind": words.CREDITED, "answers": 9, "weight": 1.0},
        schema=AUDIT_KEY,
    )


def saved(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_no_cell_is_a_formula_and_every_cell_is_read_back_unharmed(tmp_path: Path) -> None:
    text = sheet(table(*HOSTILE))
    cells = [cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line]
    assert not [
        cell for cell in cells if (cell.strip() and cell.strip()[0] in "=+-@\uff1d") or (cell[:1] in "\t\r" and cell)
    ]
    read = read_sheet(saved(tmp_path / "sheet.csv", text))
    assert [row["answer"] for row in read] == HOSTILE
    assert all(restored(defused(cell)) == cell for cell in HOSTILE)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_sheet_survives_a_spreadsheet(tmp_path: Path, separator: str, ends: str) -> None:
    """Spreadsheets separate by what the country uses, and drop the byte order mark and needless quotes."""
    rows = list(csv.reader(io.StringIO(sheet(table(*HOSTILE)).removeprefix("\ufeff"), newline="")))
    for row, word in zip(rows[1:], ["yes", " No ", "UNCLEAR"], strict=False):
        row[5] = word
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator=ends)
    if ends == "\n":  # a lone \r would not be quoted then
        writer = csv.writer(written, delimiter=separator, lineterminator=ends, quoting=csv.QUOTE_ALL)
    writer.writerows([*rows, [""] * 7])
    path = saved(tmp_path / "filled.csv", written.getvalue())
    said = judgements(path, key_of(*(f"r{i:02d}" for i in range(len(HOSTILE)))))
    assert said.rows() == [("r00", "yes"), ("r01", "no"), ("r02", "unclear")]
    assert [row["problem"] for row in read_sheet(path)] == HOSTILE


def test_what_no_cell_can_hold_is_shown_as_such() -> None:
    text = sheet(table("a\x00b\x1b[31m", "x" * 50_000))
    assert "\x00" not in text and "\x1b" not in text and max(map(len, text.split('"'))) < 32_767


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("row,right\nr00,yes\nrXX,no\n", "row 'rXX' (1 in all) is not on the sheet of these answers"),
        ("row,right\nr00,maybe\n", "row r00 says 'maybe' in the column right; write yes, no or unclear"),
        ("row,comment\nr00,yes\n", "has no column 'right'; keep the sheet's first line"),
        ("row,right\nr00,yes\nr00,no\n", "row r00 stands there twice"),
        ("row,right\nr00,\n", "its column right is empty"),
        ("", "has no column 'row'"),
        ("PK\x03\x04", "is a workbook, not a CSV file"),
    ],
)
def test_a_sheet_that_cannot_be_meant_gets_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        judgements(saved(tmp_path / "filled.csv", content), key_of("r00"))
    assert sentence in str(error.value) and str(tmp_path / "filled.csv") in str(error.value)


def test_a_sheet_that_is_not_there_or_not_utf8_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        judgements(tmp_path / "none.csv", key_of("r00"))
    (tmp_path / "latin.csv").write_bytes("row,right,comment\nr00,yes,gr\u00fcn\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        judgements(tmp_path / "latin.csv", key_of("r00"))


def test_the_sample_says_nothing_of_what_it_is_and_is_the_same_each_time() -> None:
    graded = simulated(np.random.default_rng(1), DIFFERENTIAL)
    key = draw_sample(graded, evaluation(), 7)
    assert key.height == 200 and key["row"].n_unique() == 200 and key["row"].is_sorted()
    assert key.equals(draw_sample(graded.sample(fraction=1, shuffle=True, seed=1), evaluation(), 7))
    assert not key["row"].equals(draw_sample(graded, evaluation(), 8)["row"])
    # In the order of the sheet the strata lie as if shuffled, and each is met by its share in the first half.
    first = key.head(100).group_by("side", "kind").len().rename({"len": "early"})
    both = key.group_by("side", "kind").len().join(first, on=["side", "kind"], how="left").fill_null(0)
    assert all(abs(early - n / 2) <= 3 * (n / 4) ** 0.5 + 1 for n, early in both.select("len", "early").iter_rows())
    assert COLUMNS == ("row", "problem", "gold", "answer", "ending", "right", "comment")


def test_weights_add_up_to_the_answers_and_disputes_are_drawn_more_often() -> None:
    graded = simulated(np.random.default_rng(2), DIFFERENTIAL)
    key = draw_sample(graded, evaluation(), 1)
    answered = with_kinds(graded).drop_nulls("kind").height
    assert key["weight"].sum() == pytest.approx(answered)
    weight = dict(key.group_by("kind").agg(pl.col("weight").mean()).iter_rows())
    assert weight[words.DISPUTED] < 0.4 * weight[words.CREDITED]


def test_no_stratum_gets_more_rows_than_it_has_and_every_one_gets_some() -> None:
    sizes = {("base", words.DISPUTED): 3, ("base", words.CREDITED): 500, ("ssd", words.DISPUTED): 90,
             ("ssd", words.CREDITED): 500, ("ssd", words.REFUSED): 2, ("base", words.REFUSED): 200}  # fmt: skip
    given = allocation(sizes, 100)
    assert sum(given.values()) == 100 and all(0 < given[stratum] <= n for stratum, n in sizes.items())
    assert given["base", words.DISPUTED] == 3 and given["ssd", words.DISPUTED] >= 25
    assert allocation(sizes, 10_000) == sizes
    assert sum(allocation(sizes, 4).values()) == 4


def test_answers_are_in_one_stratum_each_by_what_the_grader_made_of_them() -> None:
    rows = pl.DataFrame({
        "verdict": ["correct", "wrong", "wrong", "correct", "wrong", "wrong", "unanswered"],
        "reason": ["equal", "different", "unparsed", "equivalent", "different", "timeout", "cut"],
        "disputed": [False, None, False, True, True, False, False],
    })  # fmt: skip
    assert with_kinds(rows)["kind"].to_list() == [
        words.CREDITED, words.REFUSED, words.NOT_READ, words.DISPUTED, words.DISPUTED, words.NOT_READ, None,
    ]  # fmt: skip


def test_an_audit_of_every_answer_gives_the_truth() -> None:
    graded = simulated(np.random.default_rng(3), DIFFERENTIAL, problems=80)
    row = corrected(graded, 1, rows=10_000)
    truth = dict(graded.group_by("model_id").agg(pl.col("truth").mean()).iter_rows())
    assert row["estimate"] == pytest.approx(truth[ARM] - truth["base"]) and row["worst"] == row["best"]
    assert row["worst"] == pytest.approx(row["estimate"])


def test_a_perfect_grader_is_left_where_it_is_and_rows_without_an_error_do_not_prove_that_there_is_none() -> None:
    row = corrected(simulated(np.random.default_rng(4), PERFECT), 1)
    assert row["estimate"] == row["graded"]
    assert row["low"] < row["graded_low"] and row["graded_high"] < row["high"]
    assert row["worst"] == row["best"] == pytest.approx(row["graded"])


def test_with_a_grader_that_errs_more_on_one_side_the_corrected_interval_covers_and_the_graded_does_not() -> None:
    found = coverage(DIFFERENTIAL, 250)
    assert 0.93 <= found["corrected"] <= 0.985 and found["graded"] < 0.8, found
    assert abs(found["mean of corrected"]) < 0.006 and found["mean of graded"] < -0.025, found


def test_one_decode_is_corrected_by_the_errors_at_all_of_them() -> None:
    decodes = ("t07", "t10")
    graded = simulated(np.random.default_rng(5), {"base": Errors(), ARM: Errors(refuses=0.3)}, decodes=decodes)
    asked = evaluation(400, decodes)
    key = draw_sample(graded, asked, 1)
    audit = Audit.of(graded, asked, key, filled_by_one_who_knows(graded, key))
    rows = corrected_effects(graded, asked, audit).rows_by_key("decode_id", named=True, unique=True)
    assert list(rows) == [words.EVERY_DECODE, *decodes]
    assert all(row["graded"] < -0.1 and row["low"] < 0 < row["high"] for row in rows.values())
    everywhere = rows[words.EVERY_DECODE]
    assert everywhere["estimate"] == pytest.approx(np.mean([rows[decode]["estimate"] for decode in decodes]))


def test_what_the_audit_leaves_open_is_bounded() -> None:
    graded = simulated(np.random.default_rng(6), PERFECT)
    key = draw_sample(graded, evaluation(), 1)
    said = filled_by_one_who_knows(graded, key)
    unclear = said.with_columns(
        pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("unclear")).otherwise("right").alias("right")
    )
    row = corrected_effects(graded, evaluation(), Audit.of(graded, evaluation(), key, unclear)).row(0, named=True)
    assert row["estimate"] == row["graded"] and row["worst"] < row["graded"] - 0.1 and row["best"] > row["graded"] + 0.1
    # A stratum of which nobody has read a row could be wrong throughout.
    of_base = key.filter((pl.col("side") == "base") & (pl.col("kind") == words.CREDITED))["row"]
    partial = said.filter(~pl.col("row").is_in(of_base.to_list()))
    audit = Audit.of(graded, evaluation(), key, partial)
    row = corrected_effects(graded, evaluation(), audit).row(0, named=True)
    share = grader_errors(audit).row(0, named=True)
    credited = next(r for r in grader_errors(audit).to_dicts() if (r["side"], r["kind"]) == ("base", words.CREDITED))
    assert share["side"] == "base" and credited["audited"] == 0 and credited["error_rate"] is None
    assert row["best"] == pytest.approx(row["graded"] + credited["share"]) and row["worst"] == pytest.approx(
        row["graded"]
    )


def test_the_errors_of_a_stratum_have_wilsons_interval() -> None:
    graded = simulated(np.random.default_rng(7), DIFFERENTIAL)
    key = draw_sample(graded, evaluation(), 1)
    audit = Audit.of(graded, evaluation(), key, filled_by_one_who_knows(graded, key))
    for row in grader_errors(audit).to_dicts():
        wrong = row["wrongly_credited"] + row["wrongly_refused"]
        assert row["error_rate"] == wrong / row["audited"] and row["low"] <= row["error_rate"] <= row["high"]
        assert row["kind"] != words.CREDITED or row["wrongly_refused"] == 0
    perfect = grader_errors(Audit.of(simulated(np.random.default_rng(7), PERFECT), evaluation(), key, said_of(key)))
    assert min(perfect["high"]) > 0  # that none was found does not say that there is none


def said_of(key: pl.DataFrame) -> pl.DataFrame:
    return key.select("row", pl.lit("yes").alias("right"))


def test_where_no_model_gave_an_answer_the_sheet_is_empty() -> None:
    graded = simulated(np.random.default_rng(8), PERFECT).with_columns(boxed=False, finish_class=pl.lit("no_answer"), verdict=pl.lit("unanswered"), reason=pl.lit("no answer"))  # fmt: skip
    key = draw_sample(graded, evaluation(), 1)
    assert key.is_empty() and set(key.columns) == set(AUDIT_KEY)
