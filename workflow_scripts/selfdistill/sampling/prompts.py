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


class Chat:
    """The model's chat template with its switches, as enable_thinking; one that the template never reads is a mistake, of
    the key of the study file that is named."""

    def __init__(
        self,
        model: Path,
        switches: Mapping[str, Any] = {},
        trust_remote_code: bool = False,
        key: str = "model.chat",
        template: str | None = None,
    ) -> None:
        self.model, self.switches = model, dict(switches)
        self.tokenizer = load_tokenizer(model, trust_remote_code)
        if template is not None:
            self.tokenizer.chat_template = template
        for switch in self.switches:
            if switch not in str(self.tokenizer.chat_template):
                raise UserError(f"{key}.{switch}: the chat template of {model} reads no {switch}; remove it.")

    def ids(self, messages: Sequence[Message]) -> list[int]:
        encoded: Any = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=True, **self.switches
        )
        return list(encoded["input_ids"])

    def text(self, messages: Sequence[Message]) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, tokenize=False, **self.switches
            )
        )


def tokenise_prompts(
    problems: pl.DataFrame,
    template: str,
    model: Path,
    chat: Mapping[str, Any] = {},
    trust_remote_code: bool = False,
    examples: Sequence[Example] = (),
) -> pl.DataFrame:
    """The prompt ids of every problem: the study's wording inside the model's own chat template, tokenised once."""
    template_of_model = Chat(model, chat, trust_remote_code)
    earlier = earlier_turns(examples, template, template_of_model)
    rows = [
        {"problem_id": problem_id, "prompt_ids": template_of_model.ids([*earlier, user_turn(asked(text, template))])}
        for problem_id, text in problems.select("problem_id", "problem").iter_rows()
    ]
    return pl.DataFrame(rows, schema=PROMPTS)


def longest_prompt(
    chat: Chat, problems: Sequence[str], template: str, earlier: Sequence[Message] = ()
) -> tuple[int, int]:
    """Which problem takes the most tokens as a prompt, which need not be the one of the most letters, and how many."""
    texts = [asked(problem, template) for problem in problems]
    lengths = [len(ids) for ids in chat.tokenizer(texts, add_special_tokens=False)["input_ids"]]
    longest = lengths.index(max(lengths))
    return longest, len(chat.ids([*earlier, user_turn(texts[longest])]))


def asked(problem: str, template: str) -> str:
    """A problem in the study's wording."""
    return template.replace("{problem}", problem)


def user_turn(text: str) -> Message:
    return {"role": "user", "content": text}


def earlier_turns(examples: Sequence[Example], template: str, chat: Chat) -> list[Message]:
    """The solved examples that stand before every problem, which the template has to show."""
    earlier = [turn for example in examples for turn in _turns(example, template)]
    if examples:
        _refuse_lost_examples(examples, earlier, chat)
    return earlier


def _turns(example: Example, template: str) -> list[Message]:
    return [user_turn(asked(example.problem, template)), {"role": "assistant", "content": example.completion}]


def _refuse_lost_examples(examples: Sequence[Example], earlier: Sequence[Message], chat: Chat) -> None:
    """Templates of thinking models take the thought out of earlier turns; what is left of an example has to be there."""
    from jinja2 import TemplateError

    try:
        shown = chat.text([*earlier, user_turn("?")])
    except TemplateError as error:
        raise UserError(
            f"{KEY}: the chat template of {chat.model} takes no earlier turns ({str(error)[:200]}); remove the examples."
        ) from None
    for example in examples:
        if example.problem not in shown or example.completion.rpartition(CLOSE_THINK)[2].strip() not in shown:
            raise UserError(f"{example.place}: the chat template of {chat.model} shows no earlier turns; remove {KEY}.")
