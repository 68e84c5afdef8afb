"""Prompts: every problem in the study's wording inside the model's chat template, tokenised once for all models.

Where the study has examples, they stand before the problem as earlier turns of the chat.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import CLOSE_THINK
from selfdistill.models.tokens import load_tokenizer
from selfdistill.problems.examples import KEY, Example
from selfdistill.tables.problems import PROMPTS

Message = dict[str, str]


def tokenise_prompts(
    problems: pl.DataFrame,
    template: str,
    model: Path,
    chat: Mapping[str, Any] = {},
    trust_remote_code: bool = False,
    examples: Sequence[Example] = (),
) -> pl.DataFrame:
    """The prompt ids of every problem: the study's wording inside the model's own chat template, tokenised once. `chat`
    are the template's own switches, as enable_thinking; one that the template never reads is a mistake."""
    tokenizer = load_tokenizer(model, trust_remote_code)
    for switch in chat:
        if switch not in str(tokenizer.chat_template):
            raise UserError(f"model.chat.{switch}: the chat template of {model} reads no {switch}; remove it.")
    earlier = [turn for example in examples for turn in _turns(example, template)]
    if examples:
        _refuse_lost_examples(examples, earlier, tokenizer, model, chat)
    rows = []
    for problem_id, text in problems.select("problem_id", "problem").iter_rows():
        messages = [*earlier, _question(text, template)]
        encoded: Any = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, **chat
        )
        rows.append({"problem_id": problem_id, "prompt_ids": list(encoded["input_ids"])})
    return pl.DataFrame(rows, schema=PROMPTS)


def _question(problem: str, template: str) -> Message:
    return {"role": "user", "content": template.replace("{problem}", problem)}


def _turns(example: Example, template: str) -> list[Message]:
    return [_question(example.problem, template), {"role": "assistant", "content": example.completion}]


def _refuse_lost_examples(
    examples: Sequence[Example], earlier: Sequence[Message], tokenizer: Any, model: Path, chat: Mapping[str, Any]
) -> None:
    """Templates of thinking models take the thought out of earlier turns; what is left of an example has to be there."""
    from jinja2 import TemplateError

    messages = [*earlier, {"role": "user", "content": "?"}]
    try:
        shown = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **chat)
    except TemplateError as error:
        raise UserError(
            f"{KEY}: the chat template of {model} takes no earlier turns ({str(error)[:200]}); remove the examples."
        ) from None
    for example in examples:
        if example.problem not in shown or example.completion.rpartition(CLOSE_THINK)[2].strip() not in shown:
            raise UserError(f"{example.place}: the chat template of {model} shows no earlier turns; remove {KEY}.")
