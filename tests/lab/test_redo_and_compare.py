"""`forklock redo` makes every plain number of a report again from its rows; `forklock compare` finds what is known to differ."""

import contextlib
import html
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import Clone
from redone import made_again, refuse_rowless, refuse_shared_names, shown_on
from selfdistill.analysis.audit.corrected import Audit, corrected_effects, grader_errors
from selfdistill.analysis.audit.sheet import judgements
from selfdistill.analysis.comparisons import comparisons
from selfdistill.analysis.levels import levels
from selfdistill.analysis.problem_means import read_graded
from selfdistill.analysis.solving import solving
from selfdistill.commands.main import run
from selfdistill.commands.redo import alike, printed_by
from selfdistill.foundation.errors import UserError
from selfdistill.grading.votes import answer_classes
from selfdistill.mechanism.trade_off import trade_off
from selfdistill.reporting.numbers.index import TABLES, numbers
from selfdistill.reporting.numbers.recipes import OF_AN_ANSWER, lines_of
from selfdistill.study.load import study_of, typed_study
from selfdistill.study.models import evaluated
from selfdistill.tables.analysis import AUDIT_KEY, COMPARISONS, CORRECTED, ESTIMATES, GRADER_ERRORS, SOLVING
from selfdistill.tables.mechanism import BRANCH_LOSSES, BRANCHES
from selfdistill.tables.whole import read_table, write_table

pytestmark = pytest.mark.xdist_group("smoke")
SMOKE = "config/smoke.yaml"


def said(folder: Path, *arguments: str) -> str:
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        assert run(arguments) == 0
    return out.getvalue()


# What the smoke study has no rows of; other studies do, and their tests.
ELSEWHERE = {
    "ladder", "ladder_tests", "information", "context_kl", "annotation", "practice", "practice_changes", "practice_signal",
    "practice_cost", "corrected", "grader_errors", "branches",
}  # fmt: skip
HERE = set(TABLES) - ELSEWHERE


def test_the_printed_lines_make_every_kind_of_number_again(smoke: Clone) -> None:
    with contextlib.chdir(smoke.folder):
        study = study_of(Path(SMOKE))
        found = numbers(study)
        assert {"ssd-at-0-7", "accuracy:base:t07", "cut_rate:ssd/seed-0/at-050-base:t07:quick:test"} <= set(found)
        assert {"pass@1", *OF_AN_ANSWER} <= {number.row.get("estimand") for number in found.values()}
        kinds = made_again(study, HERE)
        refuse_rowless(study, kinds)
    assert len(kinds) > 150


def test_no_two_numbers_that_differ_have_one_name(smoke: Clone) -> None:
    with contextlib.chdir(smoke.folder):
        refuse_shared_names(study_of(Path(SMOKE)), HERE)


def test_the_page_shows_the_name_of_each_number_that_can_be_made_again(smoke: Clone) -> None:
    page = (smoke.folder / "results/smoke/report.html").read_text()
    with contextlib.chdir(smoke.folder):
        study = study_of(Path(SMOKE))
        found = numbers(study)
        shown = shown_on(page)
        assert set(shown) <= set(found) and len(shown) > 300
        assert {found[name].table for name in shown} == HERE - {"verdicts", "token_budgets", "solving"}
        assert all(lines_of(study, found[name]) for name in shown)
    assert all(f'<span class="name" data-redo title="{name}">{name}</span>' in page for name in study.hypotheses)
    assert "<code>forklock redo STUDY.yaml --list WORD …</code>" in page


def test_names_are_found_by_words_and_what_has_none_is_said(smoke: Clone) -> None:
    found = said(smoke.folder, "redo", SMOKE, "--list", "ssd", "Accuracy", "t07").splitlines()
    assert found[0].startswith("ssd-at-0-7 ") and all("ssd" in line for line in found)
    assert any(line.startswith("accuracy:ssd/seed-0/at-100-base:t07 ") for line in found)
    assert not any(line.startswith(("accuracy:base:", "cut_rate:ssd")) for line in found)
    kinds = said(smoke.folder, "redo", SMOKE)
    assert re.search(r"^accuracy +[\d,]+ names, as accuracy:", kinds, re.M) and len(kinds.splitlines()) < 150
    assert len(said(smoke.folder, "redo", SMOKE, "--all").splitlines()) > 5000
    every = said(smoke.folder, "redo", SMOKE, "--list")
    assert "What has no name, and why:" in every and "analysis/word_shift.parquet: " in every
    with contextlib.chdir(smoke.folder), pytest.raises(UserError, match="no number of smoke has all of these words"):
        run(["redo", SMOKE, "--list", "unheard-of"])


def three_draws_of(results: Path, model: str, *others: str) -> None:
    """A model whose second and third answers to each problem are those of other models."""
    tables = [
        pl.read_parquet(results / f"models/{name}/graded.parquet").filter(purpose="eval", decode_id="t07")
        for name in others
    ]
    drawn = [
        table.with_columns(model_id=pl.lit(model), draw=pl.lit(draw, pl.Int32)) for draw, table in enumerate(tables)
    ]
    target = results / f"made/{model}/graded.parquet"
    target.parent.mkdir(parents=True)
    pl.concat(drawn).write_parquet(target)


def test_numbers_of_several_trainings_and_draws_are_made_again(smoke: Clone, tmp_path: Path) -> None:
    """A second training and more draws, which are other arms' answers: each training by itself, all together, and the method."""
    results = tmp_path / "results/smoke"
    shutil.copytree(
        smoke.folder / "results/smoke/models", results / "models", ignore=shutil.ignore_patterns("journal-*", "shard-*")
    )
    shutil.copytree(smoke.folder / "results/smoke/analysis", results / "analysis")
    shutil.copy(smoke.folder / "results/smoke/study.yaml", results)
    (tmp_path / "resources").symlink_to(smoke.folder / "resources")
    arms = [f"{arm}/seed-0/at-100" for arm in ("ssd", "keep-cut", "filter-only", "fixed-point")]
    three_draws_of(results, "base", "base", "aa", arms[3])
    three_draws_of(results, "ssd/seed-0/at-100", arms[0], arms[1], arms[2])
    three_draws_of(results, "ssd/seed-1/at-100", arms[1], arms[3], arms[2])
    shutil.rmtree(results / "models")
    (results / "made").rename(results / "models")
    raw = yaml.safe_load((smoke.folder / SMOKE).read_text())
    raw["arms"]["ssd"]["seeds"] = [0, 1]
    (results / "study.yaml").write_text(
        yaml.safe_dump(yaml.safe_load((results / "study.yaml").read_text()) | {"arms": raw["arms"]})
    )
    study = typed_study(raw)
    graded = read_graded(
        [
            str(results / f"models/{model}/graded.parquet")
            for model in ("base", "ssd/seed-0/at-100", "ssd/seed-1/at-100")
        ],
        more=("other_correct", "extracted"),
    )
    evaluation = study.evaluation.model_copy(update={"resamples": 200})
    write_table(levels(graded, evaluation.sizes), results / "analysis/levels.parquet", ESTIMATES)
    write_table(comparisons(graded, evaluation, study.seed), results / "analysis/comparisons.parquet", COMPARISONS)
    classes = answer_classes(graded, ("model_id", "decode_id", "problem_id"), study.grading.seconds_per_answer)
    write_table(solving(graded.with_columns(classes), evaluation), results / "analysis/solving.parquet", SOLVING)
    with contextlib.chdir(tmp_path):
        found = numbers(study)
        names = [
            f"accuracy:ssd/{of}/at-100{against}:t07"
            for of in ("seed-0", "seed-1", "all-seeds")
            for against in ("", "-base")
        ]
        both = "accuracy:ssd/all-seeds/at-100-base"
        names += [
            f"{both}:t07:checkpoints",
            f"{both}:fair",
            "mean_tokens:ssd/all-seeds/at-100-base:t07",
            "accuracy_when_finished:ssd/all-seeds/at-100:t07",
            "maj@3:base:t07",
            "maj@3:ssd/all-seeds/at-100:t07",
            "pass@1:ssd/all-seeds/at-100:t07",
        ]
        made = [printed_by(lines_of(study, found[name])) for name in names]
    for name, values in zip(names, made, strict=True):
        assert all(map(alike, values, found[name].reported)), (name, values, found[name].reported)
    assert found[f"{both}:t07"].row["claim"] == "the method" and found[names[6]].row["claim"] == "these checkpoints"
    estimates = [float(str(values[0])) for values in made[:6]]
    assert len(set(estimates)) == 6 and math.isclose(estimates[4], (estimates[0] + estimates[2]) / 2)
    method, checkpoints = made[5], made[6]
    assert method[0] == checkpoints[0] and method[1:3] != checkpoints[1:3]


def test_numbers_of_an_audit_and_of_branches_are_made_again(smoke: Clone, tmp_path: Path) -> None:
    """A person who finds every third verdict wrong, and branches whose loss is known."""
    results = tmp_path / "results/smoke"
    ignored = shutil.ignore_patterns("journal-*", "shard-*", "runs", "figures")
    shutil.copytree(smoke.folder / "results/smoke", results, ignore=ignored)
    (tmp_path / "resources").symlink_to(smoke.folder / "resources")
    key = read_table(results / "audit/key.parquet", AUDIT_KEY)
    said = ["unclear" if place % 7 == 6 else "no" if place % 3 else "yes" for place in range(key.height)]
    key.select("row", right=pl.Series(said)).write_csv(tmp_path / "filled.csv")
    raw = yaml.safe_load((results / "study.yaml").read_text())
    raw["evaluation"]["audit"] = {**(raw["evaluation"].get("audit") or {}), "filled": "filled.csv"}
    raw["mechanism"]["branches"] = {"arm": "ssd", "batches": [4, 8, 16], "examples": 64, "held_out": 8}
    (results / "study.yaml").write_text(yaml.safe_dump(raw))
    write_table(branch_losses(), results / "mechanism/branch_losses.parquet", BRANCH_LOSSES)
    with contextlib.chdir(tmp_path):
        study = study_of(results / "study.yaml")
        finished = [
            f"results/smoke/models/{model}/graded.parquet" for model in evaluated(study) if "/at-050" not in model
        ]
        graded = read_graded(finished, more=("request_id", "reason", "lenient", "disputed"))
        audit = Audit.of(graded, study.evaluation, key, judgements(Path("filled.csv"), key))
        write_table(grader_errors(audit), results / "analysis/grader_errors.parquet", GRADER_ERRORS)
        write_table(
            corrected_effects(graded, study.evaluation, audit), results / "analysis/corrected.parquet", CORRECTED
        )
        losses = read_table(results / "mechanism/branch_losses.parquet", BRANCH_LOSSES)
        write_table(trade_off(losses, study.recipe("ssd").batch), results / "analysis/branches.parquet", BRANCHES)
        tables = ("grader_errors", "corrected", "branches")
        refuse_rowless(study, made_again(study, tables))
        refuse_shared_names(study, tables)
        assert "critical" in " ".join(name for name in numbers(study) if name.startswith("branches/"))


def branch_losses() -> pl.DataFrame:
    """By the line of the trade-off: a smaller batch is further along after as many examples."""
    rows = [
        {"batch": batch, "seed": seed, "step": examples // batch, "examples": examples, "learning_rate": 1e-3, "request_id": request,
         "tokens": 10, "loss": 50 - 20 * examples / (examples + 30 + 4 * batch + seed) + place}
        for batch in (4, 8, 16) for seed in (0, 1, 2) for examples in range(0, 65, 16) for place, request in enumerate("ab")
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=BRANCH_LOSSES)


def test_redo_shows_the_rows_and_writes_all_of_them(smoke: Clone, tmp_path: Path) -> None:
    shown = said(smoke.folder, "redo", SMOKE, "ssd-at-0-7", "--rows", str(tmp_path / "behind.parquet"))
    assert (
        "ssd against base at t07: " in shown
        and "results/smoke/models/ssd/seed-0/at-100/graded.parquet: 66 rows" in shown
    )
    assert shown.splitlines()[-1].endswith(": the same")
    behind = pl.read_parquet(tmp_path / "behind.parquet")
    rates = dict(behind.group_by("model_id").agg((pl.col("verdict") == "correct").mean()).iter_rows())
    with contextlib.chdir(smoke.folder):
        number = numbers(study_of(Path(SMOKE)))["ssd-at-0-7"]
    assert math.isclose(rates["ssd/seed-0/at-100"] - rates["base"], float(number.row["estimate"]), abs_tol=1e-12)
    assert "accuracy:ssd/seed-0/at-100-base:t07 " in said(smoke.folder, "redo", SMOKE, "--list", "at-100")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("accuracy:bose:t07", "has no such number; did you mean 'accuracy:base:t07'?"),
        ("accuracy:", "--list WORD shows those that a word is in"),
    ],
)
def test_a_number_that_is_not_there_is_a_sentence(smoke: Clone, name: str, sentence: str) -> None:
    with contextlib.chdir(smoke.folder), pytest.raises(UserError) as error:
        run(["redo", SMOKE, name])
    assert sentence in str(error.value)


def renamed(content: Any) -> Any:
    """The study with the decode t07 under the name of warm."""
    if isinstance(content, dict):
        return {"warm" if key == "t07" else key: renamed(value) for key, value in content.items()}
    if isinstance(content, list):
        return [renamed(value) for value in content]
    return "warm" if content == "t07" else content


@pytest.fixture(scope="module")
def second(smoke: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same results under another name, learning rate and name of a decode; of ssd every third wrong answer is right."""
    folder = tmp_path_factory.mktemp("second") / "second"
    results = smoke.folder / "results/smoke"
    for graded in results.glob("models/**/graded.parquet"):
        table = pl.read_parquet(graded).with_columns(pl.col("decode_id").replace("t07", "warm"))
        if "/ssd/" in str(graded):
            lucky = (pl.col("verdict") == "wrong") & (pl.col("verdict").cum_count() % 3 == 0)
            table = table.with_columns(verdict=pl.when(lucky).then(pl.lit("correct")).otherwise("verdict"))
        target = folder / graded.relative_to(results)
        target.parent.mkdir(parents=True)
        table.filter(pl.col("rank") != 0).write_parquet(target)
    study = renamed(yaml.safe_load((results / "study.yaml").read_text())) | {"study": "second"}
    study["training"]["lr"] = 1e-4
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


def test_studies_are_paired_on_shared_problems_at_decodes_of_the_same_settings(
    smoke: Clone, second: Path, tmp_path: Path
) -> None:
    shown = said(
        smoke.folder,
        "compare",
        SMOKE,
        str(second),
        "--table",
        str(tmp_path / "both.parquet"),
        "--page",
        str(tmp_path / "both.html"),
    )
    differ = shown.split("\n\n", 1)[0]
    assert (
        differ.startswith("What differs between the study files")
        and "training.lr" in differ
        and "results" not in differ
    )
    table = pl.read_parquet(tmp_path / "both.parquet")
    assert set(table["study"]) == {"second"} and set(table["against"]) == {"smoke"}
    assert dict(table.select("decode_id", "study_decode_id").unique().iter_rows()) == {
        "t07": "warm",
        "t15": "t15",
        "plain": "plain",
    }
    ours, theirs = (
        pl.read_parquet(place / "models/ssd/seed-0/at-100/graded.parquet").filter(
            split="test", purpose="eval", decode_id=decode
        )
        for place, decode in ((smoke.folder / "results/smoke", "t07"), (second, "warm"))
    )
    pairs = theirs.join(ours, on="problem_id", suffix="_ours")
    of_ssd = table.filter(arm="ssd", decode_id="t07", estimand="accuracy")
    level, effect = (of_ssd.filter(what=what).row(0, named=True) for what in ("level of the arm", "effect of training"))
    expected = ((pairs["verdict"] == "correct").cast(int) - (pairs["verdict_ours"] == "correct").cast(int)).mean()
    assert (
        expected
        and level["problems"] == pairs.height
        and math.isclose(level["estimate"], float(str(expected)), abs_tol=1e-12)
    )
    assert level["low"] < level["estimate"] < level["high"] and math.isclose(
        effect["estimate"], level["estimate"], abs_tol=1e-12
    )
    between = table.filter(what="difference of two arms", over="filter-only", estimand="accuracy").row(0, named=True)
    assert (
        math.isclose(between["estimate"], level["estimate"], abs_tol=1e-12) and between["claim"] == "these checkpoints"
    )
    untouched = table.filter(pl.col("arm") != "ssd")
    assert untouched.height > 20 and set(untouched["estimate"]) == {0.0}
    assert "ssd against filter-only, accuracy at t07" in shown.split("\n\n")[2]
    assert "What is not held side by side" not in shown
    page = (tmp_path / "both.html").read_text()
    assert "training.lr" in page and "<script" not in page and "src=" not in page


def test_what_a_study_file_says_is_no_markup_on_the_page(smoke: Clone, second: Path, tmp_path: Path) -> None:
    shutil.copytree(second, tmp_path / "third")
    record = tmp_path / "third/study.yaml"
    study = yaml.safe_load(record.read_text())
    study["problems"]["prompt"] = "<img src=x onerror=alert(1)> {problem}"
    record.write_text(yaml.safe_dump(study | {"study": "third"}))
    said(smoke.folder, "compare", str(second), str(tmp_path / "third"), "--page", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert "&lt;img src=x" in page and "<img" not in page


def test_what_is_missing_and_what_made_the_results_is_told(smoke: Clone, second: Path, tmp_path: Path) -> None:
    """A model that is gone, another grader and other plugins under the same names: on the terminal and on the page."""
    cut = tmp_path / "cut"
    shutil.copytree(second, cut)
    shutil.rmtree(cut / "models/keep-cut")
    base = cut / "models/base/graded.parquet"
    pl.read_parquet(base).with_columns(grader=pl.lit("1")).write_parquet(base)
    for place, digest in ((second, "0" * 16), (cut, "1" * 16)):
        plugins = [{"file": "mine.py", "offers": "engine mine", "digest": digest}]
        (place / "provenance.json").write_text(json.dumps({"plugins": plugins}))
    page = tmp_path / "page.html"
    shown = said(smoke.folder, "compare", str(second), str(cut), "--page", str(page))
    (second / "provenance.json").unlink()
    told = html.unescape(page.read_text())
    sentence = "models/keep-cut/seed-0/at-100 has no graded answers at warm, which the study asks for; of keep-cut at warm nothing"
    for text in (shown, told):
        assert (
            sentence in text
            and "What differs in what made the results" in text
            and "What is not held side by side" in text
        )
        assert "plugin mine.py (engine mine)" in text and all(f"SHA-256 {digit * 16}…" in text for digit in "01")
    assert re.search(r"^  grader +2 +1, 2$", shown, re.MULTILINE) and '<td class="text">1, 2</td>' in page.read_text()


@pytest.mark.parametrize(
    ("option", "place", "sentence"),
    [
        ("--table", SMOKE, f"--table: {SMOKE} does not end in .parquet; name a file that does."),
        ("--page", ".", "--page: . is a folder; name a file in it that ends in .html."),
        (
            "--page",
            "results/smoke/report.html",
            "report.html is there already, and is not of this command; name another",
        ),
        ("--table", "results/smoke/models/base/graded.parquet", "is there already, and is not of this command"),
        ("--table", f"{SMOKE}/both.parquet", f"--table: the folder {SMOKE} is a file; make it first, or name another."),
    ],
)
def test_no_other_file_is_written_over(smoke: Clone, second: Path, option: str, place: str, sentence: str) -> None:
    file = smoke.folder / place
    before = file.read_bytes() if file.is_file() else None
    with (
        contextlib.chdir(smoke.folder),
        contextlib.redirect_stdout(io.StringIO()),
        pytest.raises(UserError) as error,
    ):
        run(["compare", SMOKE, str(second), option, place])
    assert sentence in str(error.value)
    assert (file.read_bytes() if file.is_file() else None) == before


def test_what_a_comparison_wrote_is_written_over_and_equal_files_are_said_to_be_equal(
    smoke: Clone, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    for file in (
        *(smoke.folder / "results/smoke").glob("models/**/graded.parquet"),
        smoke.folder / "results/smoke/study.yaml",
    ):
        target = copy / file.relative_to(smoke.folder / "results/smoke")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file)
    places = ["--page", str(tmp_path / "both.html"), "--table", str(tmp_path / "both.parquet")]
    for _ in range(2):
        shown = said(smoke.folder, "compare", SMOKE, str(copy), *places)
        assert shown.startswith("The study files say the same.\n\n")
    assert "The study files say the same." in (tmp_path / "both.html").read_text()


def test_what_cannot_be_compared_is_a_sentence(smoke: Clone, second: Path, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        with (
            contextlib.chdir(smoke.folder),
            contextlib.redirect_stdout(io.StringIO()),
            pytest.raises(UserError) as error,
        ):
            run(["compare", *arguments])
        return str(error.value)

    assert "name two studies or more" in refused(SMOKE)
    assert "results/smoke: is given twice; give" in refused(SMOKE, SMOKE)
    assert "results/smoke: is given twice, as results/smoke too" not in refused(SMOKE, "results/smoke")
    again = "results/../results/smoke"
    assert f"{again}: is given twice, as results/smoke too; give two studies or more" in refused(SMOKE, again)
    (tmp_path / "empty").mkdir()
    assert "study.yaml: is not there; give folders of results" in refused(SMOKE, str(tmp_path / "empty"))
    shutil.copytree(second, tmp_path / "apart")
    base = tmp_path / "apart/models/base/graded.parquet"
    study = yaml.safe_load((tmp_path / "apart/study.yaml").read_text())
    for decode in study["decodes"].values():
        decode["max_tokens"] += 1
    (tmp_path / "apart/study.yaml").write_text(yaml.safe_dump(study))
    assert "share no test problem at a decode of the same settings" in refused(SMOKE, str(tmp_path / "apart"))
    pl.read_parquet(base).drop("verdict").write_parquet(base)
    assert "was made by another version of this code (columns missing: verdict" in refused(
        SMOKE, str(tmp_path / "apart")
    )
    (tmp_path / "apart/study.yaml").write_text(yaml.safe_dump(study | {"arms": {"x": {"unheard": 1}}}))
    assert "is of another version of this code" in refused(SMOKE, str(tmp_path / "apart"))
