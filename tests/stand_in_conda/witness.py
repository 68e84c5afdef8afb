"""Lies in each environment that the stand-in for conda makes, as its sitecustomize.py: at the end of every Python process it
writes down which environment ran which program, and which packages were imported and did not lie in it."""

import atexit
import json
import sys
from pathlib import Path


def testify() -> None:
    home = Path(sys.prefix)
    strangers = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not file or "site-packages" not in Path(file).parts:
            continue
        if not Path(file).is_relative_to(home):
            strangers.add(name)
    said = {
        "environment": (home / "name").read_text(),
        "program": Path(sys.argv[0]).name,
        "strangers": sorted(strangers),
    }
    with open(home / "used.jsonl", "a") as log:
        log.write(json.dumps(said) + "\n")


atexit.register(testify)
