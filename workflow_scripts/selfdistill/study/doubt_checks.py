"""Section `doubt`, checked: every marker finds something, and none finds everything."""

import re
from collections import Counter
from collections.abc import Iterator

from selfdistill.study.doubt import Doubt, within_boundaries

# Words without a letter in common, of which no doubt is all.
UNLIKE = ("sum", "pink", "2", "x")
SPACES = (" ", "\n", "\n\n")
SIGNS = ("2", "7", "x", "k", "+", ",")  # of which an own pattern may be one


def doubt_checks(doubt: Doubt) -> Iterator[str]:
    if not doubt.names:
        yield (
            "doubt: lists no marker, so that no answer could show doubt; name some under markers or patterns, or remove the "
            "key for the usual ten."
        )
    if not all(word.strip() for word in doubt.markers):
        yield "doubt.markers: holds an empty word, which would stand everywhere; remove it."
    for word, times in Counter(name.lower() for name in doubt.names).items():
        if times > 1 and word.strip():
            yield f"doubt: names {word!r} {times} times, in small letters or large; once is enough."
    for name, expression in doubt.patterns.items():
        if complaint := _against(expression):
            yield f"doubt.patterns.{name}: {complaint}"


def _against(expression: str) -> str:
    """What is wrong with a regular expression; nothing where it can be looked for."""
    try:
        pattern = re.compile(within_boundaries(expression), re.IGNORECASE)
    except re.error as error:
        return f"{expression!r} is no regular expression ({error}); correct it."
    if pattern.groups:
        return f"{expression!r} holds a group, of which there is one a marker; write it as (?:…)."
    if any(found and not found.group() for found in (pattern.search(text) for text in ("", *UNLIKE))):
        return f"{expression!r} matches where nothing stands; name at least one letter that must be there."
    if all(pattern.search(word) for word in UNLIKE[:2]):
        return f"{expression!r} matches any word, so that everything would be doubt; name the words that are."
    if any(pattern.fullmatch(space) for space in SPACES):
        return f"{expression!r} matches a space alone, so that everything would be doubt; name a letter that must be there."
    if sum(pattern.fullmatch(sign) is not None for sign in SIGNS) > 1:
        return f"{expression!r} matches any single letter, digit or sign; name the words that are doubt."
    return ""
