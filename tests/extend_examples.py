"""The examples of docs/extend.md as files: what stands on the page is what is run."""

import re
from pathlib import Path

from conftest import ROOT

PAGE = (ROOT / "docs/extend.md").read_text()
EXAMPLES = {
    "loader": "DATASET = ", "engine": "ENGINE = ", "judge": "JUDGE = ", "filter": 'KEEP = {"short"', "analysis": "ANALYSES = ",
    "package": "import school_filters",
}  # fmt: skip


def example(kind: str, folder: Path) -> Path:
    [text] = [text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if EXAMPLES[kind] in text]
    file = folder / f"my_{kind}.py"
    file.write_text(text)
    return file
