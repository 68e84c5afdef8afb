"""How a completion ended: answered, no_answer, cut, loop or empty. Only an answered one can be right."""

from selfdistill.tables.endings import ANSWERED, CUT, EMPTY, LOOP, NO_ANSWER, FinishClass


def finished(finish_reason: str, n_tokens: int, max_tokens: int) -> bool:
    """Whether the completion ended by itself and with room to spare.

    One that stops exactly at the cap counts as cut, whatever the engine calls it: engines say `stop` for stop strings
    and for what they break off, and an end that falls on the very last token allowed is not told from these.
    """
    return finish_reason == "stop" and n_tokens < max_tokens


def finish_class(text: str, ended: bool, looping: bool, answer: str | None) -> FinishClass:
    """`text` is without the end token; `ended` is `finished` above; `answer` is what was extracted."""
    if not ended:
        return LOOP if looping else CUT
    if not text.strip():
        return EMPTY
    return NO_ANSWER if answer is None else ANSWERED
