"""The examples of docs/extend.md as files: what stands on the page is what is run."""

import re
from pathlib import Path

from conftest import ROOT
from selfdistill.foundation.plugins import refer

PAGE = (ROOT / "docs/extend.md").read_text()
EXAMPLES = {
    "loader": "DATASET = ", "engine": "ENGINE = ", "judge": "JUDGE = ", "filter": 'KEEP = {"short"', "analysis": "ANALYSES = ",
    "package": "import school_filters",
}  # fmt: skip

TORCH_PLUGGED = """from selfdistill.sampling.engines.torch_engine import TorchEngine

class Plugged:
    name, version = "torch-plugged", "1"
    def __init__(self, settings):
        inner = TorchEngine(settings)
        self.sample, self.score, self.distributions = inner.sample, inner.score, inner.distributions
    def sample(self, requests): ...
    def score(self, given): ...
    def distributions(self, given, top): ...

ENGINE = Plugged
"""


def example(kind: str, folder: Path) -> Path:
    [text] = [text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if EXAMPLES[kind] in text]
    file = folder / f"my_{kind}.py"
    file.write_text(text)
    return file


def torch_plugged(folder: Path) -> str:
    """A reference to an engine of a plugin that does all by the torch engine: what it answers is known to the last bit."""
    file = folder / "torch_plugged.py"
    file.write_text(TORCH_PLUGGED)
    return refer("torch-plugged", file)
