"""Plugins: a study uses what files of the user's offer, by name and by what they are; what cannot be used is a sentence."""

import copy
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import ROOT
from extend_examples import example
from selfdistill.analysis.plugged import analysed
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import digest_of, import_plugin, reference_in, without_place
from selfdistill.foundation.programs import as_program
from selfdistill.planning.examined import looked_at
from selfdistill.planning.plugged import check_plugins
from selfdistill.problems.datasets.convert import convert
from selfdistill.rehearsal.recorded_shapes import write_in_shape
from selfdistill.sampling.engines.choice import choose_engine
from selfdistill.sampling.journal.engine_note import keep_to_engine
from selfdistill.study.lines import read_with_lines
from selfdistill.study.load import load_study
from selfdistill.study.plugin_checks import plugged_in
from selfdistill.study.plugins import listed_plugins
from selfdistill.study.study import Study
from selfdistill.training.examples.kept import kept_samples

LAB = yaml.safe_load((ROOT / "config.yaml").read_text())
ENGINE = "class Mine:\n    name, version = 'mine', '1'\n    sample = score = distributions = None\nENGINE = Mine\n"


def study_of(*files: Path, **changes: Any) -> Study:
    raw = copy.deepcopy(LAB) | {"plugins": [str(file) for file in files]}
    for path, value in changes.items():
        section, _, key = path.partition("__")
        raw[section] = (raw.get(section) or {}) | {key: value} if key else value
    study = load_study(raw, ROOT)
    check_plugins(study)
    return study


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_study_without_plugins_is_what_it_was() -> None:
    study = load_study(copy.deepcopy(LAB), ROOT)
    assert "plugins" not in study.as_param()
    assert [study.reference("engine", "torch"), study.reference("loader", "gsm8k")] == ["torch", "gsm8k"]
    assert not study.references("analysis") and not listed_plugins(study.plugins)


def test_what_a_plugin_gives_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    file = written(tmp_path, ENGINE)
    study = study_of(tmp_path, sampling__engine="mine", mechanism__depth=None)
    reference = study.reference("engine", "mine")
    assert reference == f"mine@{file}#{digest_of(file)}" and study.as_param()["plugins"] == [str(tmp_path)]
    (tmp_path / "other").mkdir()
    moved = study_of(written(tmp_path / "other", ENGINE), sampling__engine="mine", mechanism__depth=None).reference(
        "engine", "mine"
    )
    assert moved != reference and without_place(moved) == without_place(reference) == f"mine#{digest_of(file)}"
    file.write_text(ENGINE + "# changed\n")
    assert without_place(study.reference("engine", "mine")) != without_place(reference)
    assert listed_plugins(study.plugins) == [{"file": "mine.py", "offers": "engine mine", "digest": digest_of(file)}], (
        "where it lies is told nowhere"
    )


def test_a_journal_that_another_version_of_an_engine_began_is_not_gone_on_with(tmp_path: Path) -> None:
    keep_to_engine(tmp_path, "mine#1")
    with pytest.raises(UserError, match="drawn by the mine#1 engine .* put the plugin of mine back as it was"):
        keep_to_engine(tmp_path, "mine#2")
    assert choose_engine("auto", "cpu", ROOT / "resources/lab/model", "mine#1") == "torch"


WRONG = {
    "a file that is not there": (None, "there is no file or folder"),
    "an error at import": ("1 / 0\n", r"cannot be imported \(ZeroDivisionError: division by zero\)"),
    "a file that ends the program": ("raise SystemExit(3)\n", "cannot be imported"),
    "a name that fails": (
        "class Odd(type):\n    @property\n    def name(cls):\n        return 1 / 0\nclass ENGINE(metaclass=Odd): pass\n",
        r"cannot be imported \(ZeroDivisionError: division by zero\)",
    ),
    "no Python": ("def (\n", r"cannot be imported \(SyntaxError"),
    "a file beside it": ("import another_of_mine\n", "No module named 'another_of_mine'"),
    "nothing": ("x = 1\n", "offers nothing; it needs one of DATASET, ENGINE, JUDGE, KEEP, ANALYSES"),
    "a built-in's name": (ENGINE.replace("'mine'", "'torch'"), "'torch' is a built-in engine; give yours another name"),
    "a name unfit for a path": ("KEEP = {'../x': 1}\n", "is named '../x', but needs a name"),
    "a name that ends a line": ("KEEP = {'short\\n': 1}\n", r"is named 'short\\n', but needs a name"),
    "filters that are no dict": ("KEEP = [1]\n", "KEEP must be a dict of names"),
    "a filter that is no expression": ("KEEP = {'short': 'n < 5'}\n", "must be a polars expression"),
    "an engine with parts missing": (ENGINE.replace("score = ", ""), "ENGINE has no score; an engine has name, version"),
    "an engine that is no class": (ENGINE.replace("= Mine", "= Mine()"), "ENGINE must be a class"),
    "a loader that is no Dataset": ("class DATASET:\n    name = 'mine'\n", "DATASET must be a Dataset"),
    "an analysis that is no function": ("ANALYSES = {'mine': 3}\n", "must be a function of the graded tables"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_one_sentence(name: str, tmp_path: Path) -> None:
    text, said = WRONG[name]
    file = written(tmp_path, text) if text is not None else tmp_path / "mine.py"
    with pytest.raises(UserError, match=said) as error:
        study_of(file)
    assert "\n" not in str(error.value) and "plugins: " in str(error.value)


def test_a_loader_without_a_writer_is_refused(tmp_path: Path) -> None:
    text = example("loader", tmp_path).read_text().replace("def write(", "def scribble(")
    with pytest.raises(UserError, match=r"a loader needs write\(folder, problems\)"):
        study_of(written(tmp_path / "other", text))


def test_depth_is_asked_of_no_plugged_engine_before_anything_is_sampled(tmp_path: Path) -> None:
    file = written(tmp_path, ENGINE)
    said = r"mechanism.depth: is read from a model's layers, which only the torch engine gives; set sampling.engine to auto"
    with pytest.raises(UserError, match=said):
        study_of(file, sampling__engine="mine", mechanism__depth={})
    study_of(file, sampling__engine="mine", mechanism__depth=None)
    study_of(file, sampling__engine="torch", mechanism__depth={})


def test_names_that_no_plugin_gives_are_told_with_those_that_there_are(tmp_path: Path) -> None:
    file = written(tmp_path, ENGINE)
    with pytest.raises(UserError, match="sampling.engine: there is no engine 'mien'; did you mean 'mine'?"):
        study_of(file, sampling__engine="mien")
    with pytest.raises(UserError, match="arms.ssd.keep: there is no filter 'short'; there are: finished, everything"):
        study_of(file, arms__ssd=LAB["arms"]["ssd"] | {"keep": "short"})


def test_what_an_installed_package_has_is_used_through_a_file_that_says_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's example. An update of the package is seen, and not used in silence."""
    installed = tmp_path / "site-packages"
    (package := installed / "school_filters").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "__version__ = '1.2'\ndef is_tidy(text):\n    return ~text.str.contains('um, ', literal=True)\n"
    )
    monkeypatch.syspath_prepend(installed)
    arm = {"arms__ssd": LAB["arms"]["ssd"] | {"keep": "tidy"}}
    study = study_of(example("package", tmp_path), **arm)
    samples = pl.DataFrame({"text": ["um, 4", "It is 4"], "finish_class": ["answered"] * 2})
    assert kept_samples(samples, study.reference("filter", "tidy"))["text"].to_list() == ["It is 4"]
    vars(sys.modules["school_filters"])["__version__"] = "1.3"
    (tmp_path / "again").mkdir()
    with pytest.raises(UserError, match=r"cannot be imported \(AssertionError: 1.3\)"):
        study_of(example("package", tmp_path / "again"), **arm)
    del sys.modules["school_filters"]


def test_two_files_that_give_the_same_are_refused(tmp_path: Path) -> None:
    written(tmp_path, ENGINE), written(tmp_path, ENGINE, "other.py")
    with pytest.raises(UserError, match="both give the engine 'mine'; rename one"):
        study_of(tmp_path)


def test_a_file_that_is_named_twice_is_said_to_be(tmp_path: Path) -> None:
    file = written(tmp_path, ENGINE)
    for again in (file, tmp_path):
        with pytest.raises(UserError, match=r"mine.py is named twice; name it once"):
            study_of(file, again)


def test_a_plugin_that_ends_the_program_fails_the_job(tmp_path: Path) -> None:
    """With whatever is asked of it; a program that ends by itself does so as before."""
    file = written(tmp_path, "import sys\nimport polars as pl\ndef end(*_):\n    sys.exit(0)\n"
        "ANALYSES = {'mine': end}\nKEEP = {'mine': pl.col('n_tokens').map_batches(end)}\n")  # fmt: skip
    study = study_of(file)
    analysis, keep = (reference_in(study.reference(kind, "mine")) for kind in ("analysis", "filter"))
    assert analysis and keep
    with pytest.raises(UserError, match=r"ANALYSES\['mine'\] fails \(SystemExit: 0\)"):
        analysed([analysis], {})
    with pytest.raises(UserError, match=r"KEEP\['mine'\] fails \("):
        kept_samples(pl.DataFrame({"n_tokens": [3], "finish_class": ["answered"]}), str(keep))
    with pytest.raises(SystemExit, match=r"error: plugins: .*mine.py ends the program \(SystemExit\) before its work"):
        as_program(import_plugin(file).end)
    with pytest.raises(SystemExit) as ended:
        as_program(lambda: sys.exit(0))
    assert ended.value.code == 0


def test_code_that_came_with_a_model_a_dataset_or_results_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    file = written(tmp_path / "model", f"open({str(ran)!r}, 'w')\n")
    (tmp_path / "innocent.py").symlink_to(file)
    model = LAB["model"] | {"path": str(tmp_path / "model")}
    for named in (file, tmp_path / "model", tmp_path / "innocent.py"):
        with pytest.raises(UserError, match=r"\(model.path\), and code that comes with a model, .* is not run"):
            study_of(named, model=model)
    (tmp_path / "model").rename(tmp_path / "data")
    source = {"path": str(tmp_path / "data"), "use": "eval", "loader": "gsm8k"}
    with pytest.raises(
        UserError, match=r"\(problems.sources.exams.path\), and code that comes with a model, a dataset"
    ):
        study_of(tmp_path / "data/mine.py", problems__sources=LAB["problems"]["sources"] | {"exams": source})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").rename(tmp_path / "old-results")
    raw = {"plugins": ["old-results"], "results": "old-results"}
    found = plugged_in(load_study(copy.deepcopy(LAB), ROOT).model_copy(update=raw), tmp_path)
    assert "lies in old-results (results), and code that comes with a model" in str(found.wrong) and not found.offers
    for place in ("results", "hub"):  # of another study
        (tmp_path / place).mkdir()
        other = written(tmp_path / place / "other", f"open({str(ran)!r}, 'w')\n")
        found = plugged_in(study_of(results="results/mine").model_copy(update={"plugins": [str(other)]}), tmp_path)
        assert f"lies in {place} (where " in str(found.wrong) and not found.offers
    assert not ran.exists()


def told_of(tmp_path: Path, **changes: Any) -> list[str]:
    """What `forklock check` says is wrong of plugins and of problems."""
    file = written(tmp_path / "studies", yaml.safe_dump(copy.deepcopy(LAB) | changes), "mine.yaml")
    return [
        each.sentence
        for each in looked_at(read_with_lines(file))[1]
        if each.kind == "mistake" and (" plugins: " in each.sentence or "loader: " in each.sentence)
    ]


@pytest.mark.parametrize("loader", [None, "mine"])
def test_a_check_runs_no_code_that_it_refuses(
    loader: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither beside problems that are a file, nor where a loader of that name is asked to read what is there."""
    monkeypatch.chdir(ROOT)
    ran = tmp_path / "ran"
    (tmp_path / "data").mkdir()
    problems = ROOT / LAB["problems"]["sources"]["exam"]["path"]
    (tmp_path / "data/exam.jsonl").write_bytes(problems.read_bytes())
    file = written(tmp_path / "data", f"open({str(ran)!r}, 'w')\n")
    exam = {"path": str(tmp_path / "data" / ("" if loader else "exam.jsonl")), "use": "eval", "loader": loader}
    changed = LAB["problems"] | {"sources": LAB["problems"]["sources"] | {"exam": exam}}
    told = told_of(tmp_path, plugins=[str(file)], problems=changed)
    assert len(told) == 1 and "code that comes with a model, a dataset or results is not run" in told[0], told
    assert "(problems.sources.exam.path)" in told[0] and not ran.exists()


def test_a_plugin_in_the_folder_that_holds_problems_and_all_else_is_the_users_own(tmp_path: Path) -> None:
    written(tmp_path, ENGINE)
    (tmp_path / "exam.jsonl").touch()
    exam = LAB["problems"]["sources"]["exam"] | {"path": "exam.jsonl"}
    study = study_of().model_copy(update={"plugins": ["mine.py"]})
    sources = {"exam": study.problems.sources["exam"].model_validate(exam)}
    study = study.model_copy(update={"problems": study.problems.model_copy(update={"sources": sources})})
    assert plugged_in(study, tmp_path).names("engine") == ["mine"]


def test_a_misspelt_loader_is_told_once_with_the_plugins_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "raw").mkdir()
    file = example("loader", tmp_path)
    exam = {"path": str(tmp_path / "raw"), "use": "eval", "loader": "school-exam"}
    changed = LAB["problems"] | {"sources": LAB["problems"]["sources"] | {"exam": exam}}
    [told] = told_of(tmp_path, plugins=[str(file)], problems=changed)
    assert "problems.sources.exam.loader: there is no loader 'school-exam'; did you mean 'school-exams'" in told


def test_the_pages_filter_chooses_and_one_that_gives_no_truths_is_refused(tmp_path: Path) -> None:
    samples = pl.DataFrame(
        {
            "n_tokens": [10, 500, 20, 0],
            "finish_class": ["answered", "answered", "cut", "empty"],
            "verdict": ["correct"] * 4,
        }
    )
    arm = {"arms__ssd": LAB["arms"]["ssd"] | {"keep": "short"}}
    keep = study_of(example("filter", tmp_path), **arm).reference("filter", "short")
    assert kept_samples(samples, keep)["n_tokens"].to_list() == [10]
    numbers = written(tmp_path / "other", "import polars as pl\nKEEP = {'short': pl.col('n_tokens')}\n")
    with pytest.raises(UserError, match="must say true or false of every sample, but gives 4 values of type Int64"):
        kept_samples(samples, study_of(numbers, **arm).reference("filter", "short"))
    absent = written(tmp_path / "third", "import polars as pl\nKEEP = {'short': pl.col('tokens') > 1}\n")
    with pytest.raises(UserError, match=r"KEEP\['short'\] fails \(ColumnNotFoundError"):
        kept_samples(samples, study_of(absent, **arm).reference("filter", "short"))


def test_a_plugged_loader_reads_a_source_as_a_built_in_does(tmp_path: Path) -> None:
    file = example("loader", tmp_path)
    source = {"path": str(tmp_path / "raw"), "use": "eval", "loader": "school-exams"}
    study = study_of(file, problems__sources=LAB["problems"]["sources"] | {"exams": source})
    loader = study.reference("loader", "school-exams")
    write_in_shape(loader, tmp_path / "raw", [("What is 1+1?", "2", 3)])
    [row] = convert(loader, tmp_path / "raw", {"years": [2020, 2024]}).rows
    assert (row["problem"], row["answer"], row["level"], row["id"]) == ("What is 1+1?", "2", 3, "2024/0")
    assert convert(loader, tmp_path / "raw", {"years": [2020, 2023]}).dropped == {"year not asked for": 1}
    with pytest.raises(UserError, match="loader school-exams: there is no option 'year'"):
        convert(loader, tmp_path / "raw", {"year": 1})
    file.write_text(file.read_text() + "# changed\n")
    with pytest.raises(UserError, match="was changed while the study ran; run again"):
        convert.__globals__["dataset_of"].__wrapped__(loader)


def test_an_analysis_is_kept_cell_by_cell_and_refused_where_it_cannot_be_shown(tmp_path: Path) -> None:
    graded = tmp_path / "graded.parquet"
    pl.DataFrame({"n_tokens": [3, 7]}).write_parquet(graded)
    [text] = study_of(example("analysis", tmp_path)).references("analysis")
    reference = reference_in(text)
    assert reference is not None
    cells = analysed([reference], {"base": graded})
    assert cells.select("row", "column", "text", "number", "whole").rows() == [
        (0, "model", "base", None, False), (0, "n_tokens", None, 7.0, True)
    ]  # fmt: skip
    for body, said in (
        ("3", "must return a polars DataFrame, but returns a int"),
        ("1 / 0", r"fails \(ZeroDivisionError"),
        ("pl.DataFrame({'a': range(501)})", "returns 501 rows of 1 columns"),
        ("pl.DataFrame({'a': [[1]]})", "column 'a' is of List"),
        ("pl.DataFrame({'a': ['x' * 1001]})", "column 'a' has a text of 1,001 characters"),
        ("pl.DataFrame({'a' * 1001: [1]})", "has a text of 1,001 characters"),
        (
            "pl.DataFrame({'a': [None, -2**53 - 1]})",
            "column 'a' has a whole number beyond 2.53, which would be rounded",
        ),
    ):
        file = written(tmp_path / "other", f"import polars as pl\nANALYSES = {{'mine': lambda graded: {body}}}\n")
        [mine] = [reference_in(each) for each in study_of(file).references("analysis")]
        assert mine is not None
        with pytest.raises(UserError, match=said):
            analysed([mine], {"base": graded})
