"""The library and the resources are imported from where they lie."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in ("workflow_scripts", "resources"):
    sys.path.insert(0, str(ROOT / folder))
