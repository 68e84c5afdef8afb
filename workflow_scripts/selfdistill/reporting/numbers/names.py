"""How a number of the report is called: the same on the page, which shows the name, and in `forklock redo`, which takes it.

A level is `accuracy:ssd/seed-0/at-100:t07`: what, of whom, at which decode. A difference has the other side behind a minus:
`accuracy:ssd/seed-0/at-100-base:t07`. Numbers of other tables begin with its name: `doubt/doubts-per-answer:base:t07`. What
is usual is not said: the test split, the full budget, the claim that leads. The answer to a hypothesis goes by the name of
the hypothesis.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from selfdistill.tables import words

Row = Mapping[str, Any]

USUAL_PLACE = ("full", "test")
UNUSUAL = re.compile(r"[^\w@./+-]+")  # what a shell, or a reader, might stumble over

# Of each table of the analysis, the columns that tell its rows apart, in the order in which they are said.
TOLD_BY: dict[str, tuple[str, ...]] = {
    "levels": ("estimand", "whom", "decodes", "place"),
    "comparisons": ("estimand", "whom", "decodes", "place", "claim"),
    "solving": ("estimand", "whom", "decodes", "place"),
    "factorial": ("estimand", "decodes", "place"),
    "truncation": ("estimand", "base_answer", "whom", "decodes", "place"),
    "token_budgets": ("estimand", "whom", "decodes", "cap", "place"),
    "difficulty": ("grouping", "group", "whom", "decodes", "place"),
    "grader": ("estimand", "whom", "decodes", "place"),
    "doubt": ("estimand", "marker", "without", "whom", "decodes", "place"),
    "doubt_ratios": ("scale", "estimand", "marker", "without", "whom", "decodes", "place", "claim"),
    "noise_summary": ("run", "window", "group", "geometry"),
    "noise_probe": ("checkpoint", "part"),
    "mechanism": ("measure", "token_class", "arm", "decode_id", "carriers", "position_kind"),
    "ssd_fit": ("measure", "token_class", "arm", "decode_id", "carriers", "position_kind"),
    "depth": ("measure", "token_class", "model_id", "carriers", "position_kind"),
    "ladder": ("measure", "word", "model_id", "rungs"),
    "ladder_tests": ("measure", "test", "model_id"),
    "information": ("measure", "model_id", "context"),
    "practice": ("measure", "training", "generation", "of_several"),
    "practice_changes": ("measure", "training", "of_several"),
    "practice_signal": ("arm", "window"),
    "practice_cost": ("training",),
    "annotation": ("measure", "model_id"),
    "context_kl": ("grouping", "name", "tokens", "reader"),
    "variance": ("part", "of", "estimand", "sides", "decodes", "place"),
    "corrected": ("sides", "decode_id"),
    "grader_errors": ("side", "kind"),
    "coherence": ("run", "steps", "group"),
    "branches": ("estimand", "batch", "examples", "seed"),
}
TOGETHER = (words.EVERY_TOKEN, words.EVERY_DOUBT, words.NO_DOUBT)  # instead of the name of one token or word
OF_SEVERAL = {words.METHOD: "method", words.CHECKPOINTS: "checkpoints"}  # of several trainings together
BY_THEMSELVES = ("levels", "comparisons", "solving")  # names without the table's before them
LEFT_OUT = {
    "window": words.WHOLE_RUN,
    "group": words.TOTAL,
    "geometry": words.EUCLIDEAN,
    "carriers": words.BY_ALL,
    "position_kind": words.EVERY_KIND,
}
# Said before the value.
OF_ALL = {
    "without": "without-",
    "generation": "generation-",
    "batch": "batch-",
    "examples": "examples-",
    "seed": "order-",
}


class Numbered(str):
    """A cell of a table that shows a number which `forklock redo` makes again."""

    redo: str


def numbered(cell: str, table: str, row: Row, column: str = "estimate") -> str:
    """The cell with its number's name; as it is where there is no number."""
    if row.get(column) is None:
        return cell
    found = Numbered(cell)
    found.redo = name_of(table, row, column)
    return found


def name_of(table: str, row: Row, column: str = "estimate") -> str:
    if table == "verdicts":
        return str(row["hypothesis"]) if column == "estimate" else f"{column}:{row['hypothesis']}"
    said = [part for key in TOLD_BY[table] if (part := _part(table, key, row))]
    if column != "estimate":
        said.insert(0, column)
    return ("" if table in BY_THEMSELVES else f"{table}/") + ":".join(said)


def _part(table: str, key: str, row: Row) -> str:
    match key:
        case "whom":
            return _whom(row)
        case "decodes":
            return _decodes(row)
        case "place":
            place = (row["budget"], row["split"])
            return "" if place == USUAL_PLACE else ":".join(place)
        case "claim":
            of_all = row["training_seed"] is None and row["training_seeds"]
            return "checkpoints" if of_all and not row["leads"] else ""
        case "checkpoint":
            seed = row["training_seed"]
            return (
                f"{row['arm']}/at-{row['percent']:03d}"
                if seed is None
                else f"{row['arm']}/seed-{seed}/at-{row['percent']:03d}"
            )
        case "training":
            seed = row["training_seed"]
            return f"{row['arm']}/all-seeds" if seed is None else f"{row['arm']}/seed-{seed}"
        case "of_several":
            return "" if row["training_seed"] is not None else OF_SEVERAL.get(row["claim"], str(row["claim"]))
        case "sides":
            return f"{row['arm']}-{row['against']}"
        case "rungs":
            return f"{row['context']}-{row['against']}" if row["against"] else str(row["context"])
        case "name":
            return UNUSUAL.sub("-", row["name"]) if row["name"] in TOGETHER else _whole(row["name"])
        case "tokens":
            return "" if row["place"] == words.WHOLE_WORD else UNUSUAL.sub("-", row["place"])
        case "steps":
            return f"steps-{row['first_step']}-{row['last_step']}"
    value = row.get(key)
    if value is None or (value == LEFT_OUT.get(key) and table != "difficulty"):
        return ""
    said = _phrase(value) if key in ("marker", "without", "word") else UNUSUAL.sub("-", str(value)).strip("-")
    return OF_ALL.get(key, "") + said


def _phrase(marker: str) -> str:
    """Words of doubt that differ are called differently: `hold on` is hold-on, and `hold-on` is hold%2Don."""
    return "-".join(map(_whole, marker.split(" ")))


def _whole(piece: str) -> str:
    """A token may be made of anything: nothing of it is lost, and none is called as several are together."""
    return quote(piece, safe="").replace("-", "%2D")


def _whom(row: Row) -> str:
    """One training against that of the same seed is told from it against all trainings of the other arm."""
    against = row.get("against")
    if not against:
        return str(row["model_id"])
    of_seed = "" if against == "base" or row.get("training_seed") is None else f"/seed-{row['training_seed']}"
    return f"{row['model_id']}-{against}{of_seed}"


def _decodes(row: Row) -> str:
    """A fair comparison has chosen its decodes, and is called by that."""
    kind = row.get("comparison")
    if kind == words.FAIR:
        return words.FAIR
    return f"{row['decode_id']}-{row['against_decode_id']}" if kind == words.DECODING_ALONE else str(row["decode_id"])
