"""The chat template of a model, as far as a study file is checked against it."""

import contextlib
import json
from pathlib import Path


def chat_template_of(model: Path) -> str:
    """All that may be the model's chat template; nothing where none can be read, which is told when it is used."""
    texts = [*model.glob("*.jinja"), *model.glob("additional_chat_templates/*.jinja")]
    with contextlib.suppress(OSError, ValueError, AttributeError):
        inside = [
            json.loads(file.read_text()).get("chat_template") or "" for file in model.glob("tokenizer_config.json")
        ]
        return "\n".join([*(file.read_text(encoding="utf-8") for file in texts), *map(str, inside)])
    return ""
