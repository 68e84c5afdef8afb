"""Modules of the library that stand in a text, as in a program that a test starts by `python -c`, are where it says."""

import ast
import re
import subprocess

from conftest import ROOT

SCRIPTS = ROOT / "workflow_scripts"
IMPORT = re.compile(r"\bfrom (selfdistill[\w.]*) import ([\w, ]+)")
PATH = re.compile(r"\bselfdistill/[\w/]+\.py\b")
SOURCES = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()  # fmt: skip


def texts(source: str) -> list[str]:
    tree = ast.parse((ROOT / source).read_text())
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def is_there(module: str, name: str) -> bool:
    place = SCRIPTS / module.replace(".", "/")
    if place.with_suffix(".py").is_file():
        return bool(re.search(rf"\b{name}\b", place.with_suffix(".py").read_text()))
    return (place / f"{name}.py").is_file() or (place / name / "__init__.py").is_file()


def lost(source: str) -> list[str]:
    """What a file's texts import or name, and is not there."""
    found = [path for text in texts(source) for path in PATH.findall(text) if not (SCRIPTS / path).is_file()]
    for text in texts(source):
        for module, names in IMPORT.findall(text):
            named = [name.split(" as ")[0].strip() for name in names.split(",")]
            found += [f"{module}: {name}" for name in named if not is_there(module, name)]
    return [f"{source}: {what}" for what in found]


def test_what_a_text_imports_or_names_is_there() -> None:
    assert [what for source in SOURCES if (ROOT / source).is_file() for what in lost(source)] == []
