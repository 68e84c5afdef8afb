"""Which modules of the library a script rests on: what it imports, what that imports, and so on, read from the source.

Imports inside functions count, and so does a module that is named whole in a text, as a process of its own is started by
its name. Imports for type checkers alone do not.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LIBRARY = "selfdistill"
ROOT = Path(__file__).parents[2]  # the folder that holds the library and the scripts
NAMED = re.compile(rf"{LIBRARY}(\.\w+)+")


def modules_used_by(*files: str) -> list[Path]:
    """Files of the library, sorted; `files` are relative to the scripts' folder. Those of the library count themselves."""
    found: set[Path] = set()
    waiting = [ROOT / file for file in files]
    while waiting:
        for module in _imported(waiting.pop()) - found:
            found.add(module)
            waiting.append(module)
    found |= {ROOT / file for file in files if file.startswith(f"{LIBRARY}/")}
    return sorted(found)


@cache
def _imported(file: Path) -> frozenset[Path]:
    names: set[str] = set()
    for node in _run_nodes(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMED.fullmatch(node.value):
            names.add(node.value)
    modules = (ROOT / (name.replace(".", "/") + ".py") for name in names if name.startswith(f"{LIBRARY}."))
    return frozenset(module for module in modules if module.is_file())


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker sees."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_nodes(child)
