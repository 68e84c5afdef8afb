"""The shape of the house: which rooms rest on which, that no circle is left, and what a script rests on."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from conftest import ROOT
from selfdistill.foundation.closure import modules_used_by
from selfdistill.study.loaders import LOADERS, module_of

SCRIPTS = ROOT / "workflow_scripts"
LIBRARY = SCRIPTS / "selfdistill"
# From the ground up: a room imports from itself and from those that stand before it.
ROOMS = (
    "foundation", "statistics", "study", "tables", "models", "machine", "grading", "problems", "sampling", "training",
    "analysis", "planning", "rehearsal", "reporting",
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


@pytest.mark.parametrize("script", sorted(file.name for file in SCRIPTS.glob("*.py")))
def test_what_a_script_rests_on_is_what_python_loads_for_it(script: str) -> None:
    """Every module of the library that importing the script's imports loads, is found by reading the source alone."""
    program = f"""
import ast, sys
sys.path.insert(0, {str(SCRIPTS)!r})
tree = ast.parse(open({str(SCRIPTS / script)!r}).read())
for node in tree.body:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        exec(compile(ast.Module([node], []), "imports", "exec"))
print("\\n".join(name for name in sys.modules if name.startswith("selfdistill.")))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    loaded = {name for name in said if (SCRIPTS / (name.replace(".", "/") + ".py")).is_file()}
    assert loaded <= {module_name(file) for file in modules_used_by(script)}


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
