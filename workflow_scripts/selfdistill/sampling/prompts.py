"""Prompts: every problem in the study's wording inside the model's chat template, tokenised once for all models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.models.tokens import load_tokenizer
from selfdistill.tables.problems import PROMPTS


def tokenise_prompts(
    problems: pl.DataFrame, template: str, model: Path, chat: Mapping[str, Any] = {}, trust_remote_code: bool = False
) -> pl.DataFrame:
    """The prompt ids of every problem: the study's wording inside the model's own chat template, tokenised once. `chat`
    are the template's own switches, as enable_thinking; one that the template never reads is a mistake."""
    tokenizer = load_tokenizer(model, trust_remote_code)
    for switch in chat:
        if switch not in str(tokenizer.chat_template):
            raise UserError(f"model.chat.{switch}: the chat template of {model} reads no {switch}; remove it.")
    rows = []
    for problem_id, text in problems.select("problem_id", "problem").iter_rows():
        message = {"role": "user", "content": template.replace("{problem}", text)}
        encoded: Any = tokenizer.apply_chat_template(
            [message], add_generation_prompt=True, tokenize=True, return_dict=True, **chat
        )
        rows.append({"problem_id": problem_id, "prompt_ids": list(encoded["input_ids"])})
    return pl.DataFrame(rows, schema=PROMPTS)
