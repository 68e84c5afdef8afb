"""Which modules of the library a script rests on: what it imports, what that imports, and so on, read from the source.

Imports inside functions count, and so does a module that is named whole in a text, as a process of its own is started by
its name. Imports for type checkers alone do not.
"""

import re
from functools import cache
from pathlib import Path

LIBRARY = "selfdistill"
ROOT = Path(__file__).parents[2]  # the folder that holds the library and the scripts
# Snakemake waits for this at every start, and Python's parser would take seven times as long.
FOR_TYPE_CHECKERS = re.compile(r"^( *)if TYPE_CHECKING:\n(?:\1 +.*\n|\n)+", re.MULTILINE)
NAME = rf"{LIBRARY}(?:\.\w+)*"
IMPORTED_FROM = re.compile(rf"\bfrom ({NAME}) import (?:\(([^)]*)\)|((?:.*\\\n)*.*))")
IMPORTED = re.compile(r"\bimport (.*)")
NAMED = re.compile(rf"""(["'])({NAME})\1""")


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
    text = FOR_TYPE_CHECKERS.sub("", file.read_text(encoding="utf-8"))
    names = {name for _, name in NAMED.findall(text)}
    names.update(*(re.findall(NAME, line) for line in IMPORTED.findall(text)))
    for package, several, one in IMPORTED_FROM.findall(text):
        names |= {package, *(f"{package}.{name}" for name in re.findall(r"\w+", several or one))}
    modules = (ROOT / (name.replace(".", "/") + ".py") for name in names)
    return frozenset(module for module in modules if module.is_file())
