"""Is an answer the gold answer? By our own reader: equal, different, or unread where it cannot tell."""

import re

from selfdistill.grading.reading.objects import Quantity
from selfdistill.grading.reading.reader import read_object
from selfdistill.grading.reading.same_objects import same
from selfdistill.grading.reading.tokens import NotOneObject, Token, Unread, tokens_of
from selfdistill.grading.reading.values import Undefined, exact
from selfdistill.grading.reading.writing import canonical
from selfdistill.tables.endings import NO_OBJECT, UNPARSED

MARK = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm)(?![a-zA-Z])|[{}$]|\\[ ,;]")
READ = "parsed"


def compare(gold: str, answer: str) -> str:
    """equal | different | no object (the answer is prose, or an equality that does not hold) | unread."""
    if same_tokens(gold, answer) or same_words(gold, answer):
        return "equal"
    try:
        meant = read_object(gold)
    except NotOneObject:
        return UNPARSED
    except (Unread, Undefined, RecursionError):
        return "unread"
    try:
        given = read_object(answer)
        return "equal" if same(meant, given) else "different"
    except NotOneObject:
        return NO_OBJECT
    except (Unread, Undefined, RecursionError):
        return "unread"


def same_tokens(gold: str, answer: str) -> bool:
    """The same signs one after the other, whatever they mean."""
    try:
        one, other = (_signs(tokens_of(canonical(text))) for text in (gold, answer))
    except (Unread, NotOneObject):
        return False
    return one == other and bool(one)


def same_words(gold: str, answer: str) -> bool:
    """Marked text, and the same words bare, which alone could be read as products."""
    if not any("\\text" in text for text in (gold, answer)):
        return False
    one, other = (
        re.findall(r"[a-z0-9]+|[-+*/^_=<>,()]", MARK.sub(" ", canonical(text)).casefold()) for text in (gold, answer)
    )
    return one == other and any(len(word) > 1 and word.isalpha() for word in one)


def _signs(tokens: list[Token]) -> list[tuple[str, str]]:
    """Without braces around one thing."""
    found: list[tuple[str, str]] = []
    for token in tokens:
        found.append((token.kind, token.text.casefold() if token.kind == "text" else token.text))
        if token.text == "}" and len(found) > 2 and found[-3] == ("sign", "{"):
            found[-3:] = [found[-2]]
    return found


def readable(text: str) -> str:
    """parsed | unparsed (it is no object, or has no value) | unread."""
    try:
        found = read_object(text)
        if isinstance(found, Quantity):
            exact(found.of)  # a division by nothing is no number
    except (Unread, RecursionError):
        return "unread"
    except (NotOneObject, Undefined):
        return UNPARSED
    return READ
