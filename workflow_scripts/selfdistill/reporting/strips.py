"""Token strips: carriers token by token, coloured by class, each token with what base and trained model would have said.

What a model wrote is shown and never obeyed: characters that draw nothing, or that reorder their neighbours, stand as their
code points, and the template escapes the rest.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.select import there
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words
from selfdistill.tables.mechanism import STRIPS

MOST_STRIPS = 2  # of the base, and of trained models
MOST_TOKENS = 160  # of one carrier, half of them from its start and half from its end
LONGEST_TOKEN = 32  # characters
PART_OF_A_CHARACTER = "\ufffd"
NO_TEXT = "∅"
ISOLATED = "\u2068{}\u2069"  # so that a word that is read from the right does not turn what stands around it
DRAWN = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
NAMELESS = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}  # controls, formats, unassigned, private, separators

LEGEND = {
    words.LOCK: "one token has nearly all the probability",
    words.FORK: "several tokens share it, and little lies beyond them",
    words.DIFFUSE: "much lies beyond what the decode keeps",
    words.MIXED: "none of these",
}
# Classes of report.css.
LOOKS = {token_class: f"is-{token_class}" for token_class in words.TOKEN_CLASSES}


@dataclass(frozen=True)
class Said:
    """What one model would have said: `[("62.1 %", "Let"), …]`."""

    model_id: str
    likeliest: list[tuple[str, str]]


@dataclass(frozen=True)
class Token:
    position: int
    text: str
    token_class: str
    said: list[Said]
    swapped: bool  # the two models' likeliest tokens differ
    ends_line: bool


@dataclass(frozen=True)
class Strip:
    title: str
    asked: list[str]
    start: list[Token]
    left_out: int
    end: list[Token]
    as_text: Table


def strips(inputs: ReportInputs) -> list[Strip]:
    rows = there(inputs.strips, STRIPS)
    by_base = pl.col("written_by") == "base"
    sides = (rows.filter(side).partition_by("carrier_id", maintain_order=True) for side in (by_base, ~by_base))
    return [_strip(carrier) for carriers in sides for carrier in carriers[:MOST_STRIPS]]


def visible(text: str) -> str:
    """A token's text of which every character is seen and none moves another; spaces stay."""
    if not text:
        return NO_TEXT
    shown = "".join(_visible_character(character) for character in text[:LONGEST_TOKEN])
    if unicodedata.combining(text[0]):
        shown = f"◌{shown}"
    return f"{shown}…" if len(text) > LONGEST_TOKEN else shown


def named(text: str) -> str:
    """The same with its spaces seen, for lists."""
    return visible(text).replace(" ", "␣")


def _visible_character(character: str) -> str:
    if character in DRAWN:
        return DRAWN[character]
    return f"⟨{ord(character):04X}⟩" if unicodedata.category(character) in NAMELESS else character


def _strip(rows: pl.DataFrame) -> Strip:
    first = rows.row(0, named=True)
    asked = rows["model_id"].unique(maintain_order=True).to_list()
    positions = rows["position"].unique(maintain_order=True)
    half = MOST_TOKENS // 2
    parts = [positions] if len(positions) <= MOST_TOKENS else [positions.head(half), positions.tail(half)]
    start, *end = [_tokens(rows.filter(pl.col("position").is_in(part.implode()))) for part in parts]
    title = (
        f"written by {first['written_by']} at {first['decode_id']}, problem {first['problem_id'][:12]}: "
        f"{first['verdict']}, {fmt.plural(len(positions), 'token')}"
    )
    shown = [*start, *(token for part in end for token in part)]
    return Strip(title, asked, start, len(positions) - len(shown), shown[len(start) :], _as_text(title, asked, shown))


def _tokens(rows: pl.DataFrame) -> list[Token]:
    return [_token(at.to_dicts()) for at in rows.partition_by("position", maintain_order=True)]


def _token(said: list[dict[str, Any]]) -> Token:
    first = said[0]
    likeliest = {row["candidate_ids"][0] for row in said if row["candidate_ids"]}
    return Token(
        first["position"], visible(first["text"]), first["token_class"], [_said(row) for row in said], len(likeliest) > 1,
        "\n" in first["text"],
    )  # fmt: skip


def _said(row: dict[str, Any]) -> Said:
    pairs = zip(row["probabilities"], row["candidates"], strict=True)
    return Said(row["model_id"], [(_share(probability), named(text)) for probability, text in pairs])


def _share(probability: float) -> str:
    return f"<{fmt.percent(0.001)}" if 0 < probability < 0.0005 else fmt.percent(probability)


def reads_from_the_right(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text)


def _candidate(share: str, text: str) -> str:
    return f"{ISOLATED.format(text) if reads_from_the_right(text) else text} {share}"


def _as_text(title: str, asked: list[str], tokens: list[Token]) -> Table:
    """The same for who cannot point, prints, or reads with the ears."""
    rows = []
    for token in tokens:
        lists = {said.model_id: "; ".join(_candidate(*pair) for pair in said.likeliest) for said in token.said}
        of_models = [lists.get(model, fmt.MISSING) for model in asked]
        swap = ", swapped" if token.swapped else ""
        rows.append(
            Row([fmt.count(token.position), token.text.replace(" ", "␣"), f"{token.token_class}{swap}", *of_models])
        )
    columns = ["position", "token", "class", *(f"likeliest by {model}" for model in asked)]
    return Table(
        f"Tokens {title}",
        columns,
        [Group(rows)],
        "analysis/strips.parquet",
        text_columns=frozenset(range(len(columns))),
    )
