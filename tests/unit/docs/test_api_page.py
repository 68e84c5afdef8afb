"""docs/api.md: its examples say what it says they say, and what it calls stable has the parameters that stand there."""

import doctest
import inspect
import re
from functools import reduce
from importlib import import_module

import pytest

from conftest import ROOT

PAGE = (ROOT / "docs/api.md").read_text()
STABLE = re.findall(r"^\| `(\S+)\.py: ([\w.]+)` \| `\w+\(([^)]*)\)` \|$", PAGE, re.MULTILINE)


def test_the_examples_give_what_stands_behind_them() -> None:
    parser = doctest.DocTestParser()
    examples = parser.get_doctest(PAGE.replace("```", ""), {}, "docs/api.md", None, None)
    said: list[str] = []
    found = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert found.attempted > 50 and found.failed == 0, "".join(said)


def test_what_is_stable_is_listed() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(STABLE) == len(rows) > 20


@pytest.mark.parametrize(("module", "name", "parameters"), STABLE, ids=lambda part: str(part))
def test_a_stable_function_keeps_its_parameters(module: str, name: str, parameters: str) -> None:
    """Who changes one says so in CHANGELOG.md, and then on the page."""
    room = import_module(f"selfdistill.{module.replace('/', '.')}")
    function = reduce(getattr, name.split("."), room)
    assert list(inspect.signature(function).parameters) == parameters.split(", ")  # type: ignore[arg-type]
