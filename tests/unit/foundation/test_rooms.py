"""The shape of the house: which rooms rest on which, that no circle is left, and what a script rests on."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

from conftest import ROOT
from selfdistill.foundation.closure import modules_used_by
from selfdistill.study.loaders import LOADERS, module_of

SCRIPTS = ROOT / "workflow_scripts"
LIBRARY = SCRIPTS / "selfdistill"
# From the ground up: a room imports from itself and from those that stand before it.
ROOMS = (
    "foundation", "statistics", "study", "tables", "models", "machine", "grading", "doubt", "problems", "sampling", "training",
    "analysis", "mechanism", "annotation", "planning", "rehearsal", "examination", "beginning", "reporting", "publishing", "commands",
)  # fmt: skip


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(SCRIPTS).with_suffix("").parts)


def imports_of(file: Path) -> set[str]:
    """Modules of the library that a file imports anywhere, for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("selfdistill"):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if (SCRIPTS / (name.replace(".", "/") + ".py")).is_file()}


MODULES = {module_name(file): imports_of(file) for file in sorted(LIBRARY.rglob("*.py")) if file.name != "__init__.py"}


def test_every_room_has_its_place() -> None:
    rooms = {folder.name for folder in LIBRARY.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
    assert rooms == set(ROOMS)
    loose = [file.name for file in LIBRARY.glob("*.py")]
    assert loose == ["__init__.py"], f"loose files in the hall: {loose}"


def test_no_arrow_runs_back_up() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, imported in MODULES.items()
        for other in sorted(imported)
        if ROOMS.index(other.split(".")[1]) > ROOMS.index(module.split(".")[1])
    ]
    assert wrong == []


def test_no_circle_is_left() -> None:
    assert len(list(TopologicalSorter(MODULES).static_order())) == len(MODULES)  # raises where there is a circle


def test_a_package_says_what_it_is_for_and_runs_nothing() -> None:
    for file in LIBRARY.rglob("__init__.py"):
        tree = ast.parse(file.read_text())
        assert ast.get_docstring(tree) and len(tree.body) == 1, file


# What takes a second or half of one to load, which every job would wait for: it is loaded where it is needed.
SLOW = ("scipy.stats", "scipy.optimize", "pandas", "sympy", "torch", "transformers")
# Prints for each script, as its imports load them, the modules of the library and the slow ones. Forked, so that what others made
# is loaded once.
LOADED = """
import ast, os, sys
import numpy, polars, pyarrow.parquet, scipy.special, matplotlib.figure, pydantic
sys.path.insert(0, sys.argv[1])
slow = sys.argv[2].split()
for script in sys.argv[3:]:
    if os.fork() == 0:
        for node in ast.parse(open(f"{sys.argv[1]}/{script}").read()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(compile(ast.Module([node], []), "imports", "exec"))
        print(script, *(name for name in sys.modules if name.startswith("selfdistill.") or name in slow), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_what_a_script_rests_on_is_what_python_loads_for_it_and_nothing_slow() -> None:
    """Every module of the library that a script's imports load is found by reading the source alone."""
    scripts = sorted(file.name for file in SCRIPTS.glob("*.py"))
    said = subprocess.run(
        [sys.executable, "-c", LOADED, str(SCRIPTS), " ".join(SLOW), *scripts],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert [line.split()[0] for line in said] == scripts and len(scripts) > 15
    for script, *names in map(str.split, said):
        assert set(names).isdisjoint(SLOW), script
        loaded = {name for name in names if (SCRIPTS / (name.replace(".", "/") + ".py")).is_file()}
        assert loaded and loaded <= {module_name(file) for file in modules_used_by(script)}, script


def test_snakemake_begins_without_loading_what_reads_tables() -> None:
    """At every start, and at the start of every job on a cluster, the rules' imports are waited for."""
    rules = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
    imports = [line for file in rules for line in file.read_text().splitlines() if line.startswith("from selfdistill")]
    asked = "\n".join(["import sys", *imports, "print(*sys.modules)"])
    said = subprocess.run([sys.executable, "-c", asked], cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout
    assert len(imports) > 20 and set(said.split()).isdisjoint({"polars", "numpy", "tokenizers", *SLOW})


def test_what_a_list_by_hand_had_missed_is_found() -> None:
    for script, module in (
        ("levels.py", "selfdistill.problems.budgets"),
        ("convert.py", "selfdistill.problems.normalise"),
        ("report.py", "selfdistill.machine.provenance"),
        ("grade.py", "selfdistill.grading.worker"),  # never imported: started by its name as a process of its own
    ):
        assert module in {module_name(file) for file in modules_used_by(script)}


def test_a_word_of_the_report_or_a_loader_is_no_reason_to_make_problems_anew() -> None:
    rests_on = {module_name(file) for file in modules_used_by("problems.py")}
    assert "selfdistill.foundation.wording" not in rests_on
    assert not {module for module in rests_on if module.startswith("selfdistill.problems.datasets")}
    assert not {module_name(file) for file in modules_used_by("convert.py")} & {
        f"selfdistill.problems.datasets.loaders.{module_of(loader)}" for loader in LOADERS
    }


def test_imports_are_found_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "import os; import json, selfdistill.tables.words as w\n"
        "if TYPE_CHECKING:\n    from selfdistill.study.study import Study\n\n    from selfdistill.study import looks\n"
        "try:\n    from selfdistill.statistics import (\n        power,  # of a test\n        sequential,\n    )\n"
        "except ImportError: from selfdistill.tables import \\\n    endings\n"
        "PROCESS = ['-m', 'selfdistill.grading.worker']  # not selfdistill.grading.verify\n"
    )
    found = {module_name(file) for file in modules_used_by(str(tmp_path / "odd.py"))}
    named = ("tables.words", "statistics.power", "statistics.sequential", "tables.endings", "grading.worker")
    wanted = {f"selfdistill.{name}" for name in named}
    assert wanted <= found, wanted - found
    assert not found & {
        "selfdistill.study.study", "selfdistill.study.looks", "selfdistill.grading.verify",
    }  # fmt: skip
