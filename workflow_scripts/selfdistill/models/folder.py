"""A model folder, looked at before anything heavy starts: facts about the model, or one sentence that says what is wrong.

Only JSON files, the tokenizer and the headers of the weights are read. No code of the folder is run here, and later only
where transformers has none of its own for the model and the study trusts the architecture by name.
"""

from dataclasses import dataclass
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.models.configuration import architecture_of, check_context, read_config
from selfdistill.models.own_code import trusted_code
from selfdistill.models.reading import CONFIG
from selfdistill.models.tokens import check_chat_template, check_tokens, end_tokens
from selfdistill.models.weights import check_weights


@dataclass(frozen=True)
class ModelFacts:
    architecture: str
    stop_ids: list[int]
    max_positions: int | None  # prompt and completion together; None where the model does not say
    trust_remote_code: bool
    notes: list[str]  # sentences worth a line in the log


def inspect_model(folder: Path, context: int, trusted: str | None = None) -> ModelFacts:
    """`context` and `trusted` are the study's model.context and model.trust_remote_code."""
    try:
        return _inspect(folder, context, trusted)
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be read ({error.strerror}); make the model's files readable."
        ) from error


def _inspect(folder: Path, context: int, trusted: str | None) -> ModelFacts:
    config = read_config(folder)
    architecture = architecture_of(folder, config)
    check_weights(folder)
    stop_ids = end_tokens(folder)
    notes = list(check_tokens(folder, config, stop_ids))
    check_chat_template(folder)
    positions = check_context(folder, config, context)
    if positions is None:
        notes.append(f"{folder}: {CONFIG} does not say how long a text may be; model.context is believed.")
    if config.get("quantization_config"):
        notes.append(f"{folder}: the weights are quantised; training and some engines may not take them.")
    code = trusted_code(folder, config, architecture, trusted)
    return ModelFacts(architecture, stop_ids, positions, code.is_run, notes + code.notes)
