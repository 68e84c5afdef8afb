"""Tokens apart at what stands outside of all brackets: commas, `or`, relations."""

import re

from selfdistill.grading.reading.tokens import Token, Unread

APPROX = "approx"
RELATIONS = {"=": "=", "<": "<", ">": ">"}
RELATION_COMMANDS = {
    "equiv": "=",
    "approx": APPROX,
    "simeq": APPROX,
    "le": r"\le",
    "ge": r"\ge",
    "ne": r"\ne",
    "in": r"\in",
}
OPENING = {"(", "[", r"\{", "{", "begin"}
CLOSING = {")", "]", r"\}", "}", "end"}
SEPARATORS = {",", ";", "or", "and", "quad", "mid", "|", ":", "&", "\\\\", "(", "[", "{", "="}
ANNOUNCEMENT = re.compile(r"(?i)(?:so |thus |therefore |hence )?(?:the )?(?:final )?answer(?: is)?")
FOR_ALL = re.compile(r"for (?:all|every|any|each)\b")
CONSTANT = re.compile(r"^(?:for some|where|with|for any)\b.*\bconstants?$")
WHERE = {"where", "with", "for", "for integer", "for integers"}
CONNECTIVES = {"or", "and"}


def end_of(tokens: list[Token], start: int) -> int | None:
    depth = 0
    for place in range(start, len(tokens)):
        depth += step(tokens[place])
        if depth == 0:
            return place
    return None


def step(token: Token) -> int:
    if token.kind == "command":
        opens, closes = ("langle", "lfloor", "lceil"), ("rangle", "rfloor", "rceil")
        return (token.text in opens) - (token.text in closes)
    if token.kind != "sign":
        return 0
    word = token.text.partition(" ")[0]
    return (word in OPENING) - (word in CLOSING)


def split(tokens: list[Token], at: set[str]) -> list[list[Token]]:
    """Brackets of intervals need not match: their kinds are not told apart."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += step(token)
        if depth == 0 and token.kind == "sign" and token.text in at:
            parts.append([])
        else:
            parts[-1].append(token)
    if depth:
        raise Unread("brackets do not match")
    return parts


def at_depth_0(tokens: list[Token], commands: set[str]) -> list[int]:
    found, depth = [], 0
    for place, token in enumerate(tokens):
        depth += step(token)
        if depth == 0 and token.kind == "command" and token.text in commands:
            found.append(place)
    return found


def relations(tokens: list[Token]) -> tuple[list[list[Token]], list[str]]:
    pieces: list[list[Token]] = [[]]
    signs: list[str] = []
    depth = 0
    for token in tokens:
        depth += step(token)
        known = RELATIONS if token.kind == "sign" else RELATION_COMMANDS if token.kind == "command" else {}
        if depth == 0 and token.text in known:
            signs.append(known[token.text])
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces, signs


def unwrapped(tokens: list[Token]) -> list[Token]:
    """Without a box or braces around it all."""
    while tokens and tokens[0].text == "boxed":
        tokens = tokens[1:]
    while len(tokens) > 1 and tokens[0].text == "{" and end_of(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def connected(tokens: list[Token]) -> list[Token]:
    """`\\text{ or }` and \\lor as what they say."""
    found: list[Token] = []
    for token in tokens:
        word = token.text.strip(" ,.:;").lower()
        if token.kind == "text" and word in CONNECTIVES:
            found.append(Token("sign", word, True))
        elif token.kind == "command" and token.text in ("lor", "vee", "land", "wedge"):
            found.append(Token("sign", "or" if token.text in ("lor", "vee") else "and", True))
        else:
            found.append(token)
    found = [
        token if token.text != "quad" or token.kind != "command" else Token("sign", ",", True)
        for place, token in enumerate(found)
        if token.text != "quad" or _separates(found, place)
    ]
    # `1, 2, and 3`: one comma is enough.
    return [
        token
        for place, token in enumerate(found)
        if not (token.text == "," and place + 1 < len(found) and is_and(found[place + 1]))
    ]


def _separates(tokens: list[Token], place: int) -> bool:
    """A wide space between two statements, and not beside a comma, a word or an end."""
    beside = [tokens[at] for at in (place - 1, place + 1) if 0 <= at < len(tokens)]
    return len(beside) == 2 and not any(token.kind == "text" or token.text in SEPARATORS for token in beside)


def is_and(token: Token) -> bool:
    return token.kind == "sign" and token.text in CONNECTIVES


INTEGERS = [Token("command", "in"), Token("letter", "Z")]


def without_announcement(tokens: list[Token]) -> list[Token]:
    """Without `the answer is` before it."""
    if len(tokens) > 1 and tokens[0].kind == "text" and ANNOUNCEMENT.fullmatch(tokens[0].text.strip(" :")):
        return tokens[2:] if tokens[1].text in (":", "=") else tokens[1:]
    if tokens and tokens[0].kind == "text" and len(tokens) > 3:  # the same as bare words
        words = [token.text.lower() for token in tokens[:4] if token.kind == "text"]
        if ANNOUNCEMENT.fullmatch(" ".join(words)) and len(words) < len(tokens):
            return tokens[len(words) :]
    return tokens


def with_conditions(tokens: list[Token]) -> list[Token]:
    """`for all x` says nothing that f(x) = x does not; `where k ∈ ℤ` and `(k ∈ ℤ)` are a further statement."""
    for place, token in enumerate(tokens):
        word = token.text.strip(" ,.").lower()
        is_text = token.kind == "text"
        if not place or not (is_text or word == "forall"):
            continue
        before = tokens[: place - 1] if tokens[place - 1].text == "," else tokens[:place]
        rest = tokens[place + 1 :]
        if is_text and CONSTANT.search(word):
            return before
        if word != "forall" and word not in WHERE and not FOR_ALL.match(word):
            continue
        if any(part.kind == "command" and part.text == "in" for part in rest):
            return [*before, Token("sign", ","), *rest]
        if word.startswith("for integer") and len(rest) == 1:
            return [*before, Token("sign", ","), *rest, *INTEGERS]
        return tokens if word in WHERE else before
    if tokens and tokens[-1].text == ")":
        opening = next(
            (at for at in range(1, len(tokens)) if tokens[at].text == "(" and end_of(tokens, at) == len(tokens) - 1),
            None,
        )
        if opening and any(part.kind == "command" and part.text == "in" for part in tokens[opening:]):
            before = tokens[: opening - 1] if tokens[opening - 1].text == "," else tokens[:opening]
            return [*before, Token("sign", ","), *tokens[opening + 1 : -1]]
    return tokens
