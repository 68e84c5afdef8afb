"""How a completion ended: answered, no_answer, cut, loop or empty. Only an answered one can be right."""

from collections.abc import Collection
from typing import Literal

FinishClass = Literal["answered", "no_answer", "cut", "loop", "empty"]


def finished(
    finish_reason: str, n_tokens: int, last_token: int | None, max_tokens: int, eos_ids: Collection[int]
) -> bool:
    """Whether the completion ended by itself.

    One that fills its cap without an end token is cut, whatever the engine calls it: stop strings and
    repetition stops also say `stop`.
    """
    fills_the_cap = n_tokens >= max_tokens and last_token not in eos_ids
    return finish_reason == "stop" and not fills_the_cap


def finish_class(text: str, ended: bool, looping: bool, answer: str | None) -> FinishClass:
    """`text` is without the end token; `ended` is `finished` above; `answer` is what was extracted."""
    if not text.strip():
        return "empty"
    if not ended:
        return "loop" if looping else "cut"
    return "no_answer" if answer is None else "answered"
