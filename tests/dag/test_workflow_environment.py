"""Reading the rules takes no more than what the environment of the workflow has; jobs have environments of their own."""

import re
import subprocess
import sys

from conftest import ROOT

PROGRAM = """
import re, sys
from pathlib import Path
from importlib.metadata import packages_distributions
sys.path.insert(0, "workflow_scripts")
for rules in Path("rules").glob("*.smk"):
    for line in rules.open():
        if re.match(r"(from|import) \\S+", line):
            exec(line)
origins = packages_distributions()
print("\\n".join({name for module in list(sys.modules) for name in origins.get(module.split(".")[0], ())}))
"""


def test_the_rules_import_nothing_that_their_environment_lacks() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pinned = set(re.findall(r"([\w.-]+)==?", (ROOT / "envs/workflow.yaml").read_text()))
    has = {name.lower().replace("_", "-") for name in pinned}
    needed = {name.lower().replace("_", "-") for name in said.split()}
    assert {"snakemake", "pydantic"} <= needed
    assert not {"polars", "numpy", "scipy", "torch"} & needed, "every start of Snakemake would wait for them"
    assert needed - has - {"setuptools", "distutils-precedence", "forklock"} == set()
