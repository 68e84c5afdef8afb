"""Writes config/schema.json, by which editors check and complete a study file, from the typed study."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.study.study import Study  # noqa: E402


def schema_text() -> str:
    return json.dumps(Study.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (ROOT / "config" / "schema.json").write_text(schema_text())
