"""Writes config/schema.json, by which editors check and complete a study file, from the typed study.

Beside what a key means it says the unit of a number and what runs again when it changes, as docs/study-file.md does.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.study.keys import UNITS, Key, all_keys, runs_again  # noqa: E402
from selfdistill.study.study import Study  # noqa: E402


def schema_text() -> str:
    schema = Study.model_json_schema()
    for key in all_keys():
        properties = (schema if key.section is Study else schema["$defs"][key.section.__name__])["properties"]
        tell(properties[key.name], key)
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def tell(stands: dict[str, Any], key: Key) -> None:
    """What an editor shows at a key; a section's own keys say what runs again."""
    said = [key.field.description]
    if key.holds_a_value:
        said += [f"Unit: {UNITS[key.path]}." if key.path in UNITS else "", f"Runs again: {runs_again(key.path)}."]
    stands["description"] = " ".join(filter(None, said))


if __name__ == "__main__":
    (ROOT / "config" / "schema.json").write_text(schema_text())
