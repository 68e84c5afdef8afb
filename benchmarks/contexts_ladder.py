"""The lab's ladder of contexts for docs/contexts.md, from a study that climbed it.

    make report CONFIG=config/doubt-lab.yaml
    python benchmarks/contexts_ladder.py results/doubt-lab        (writes contexts_ladder.json and the page's tables)

Without a folder it writes the page's tables again from contexts_ladder.json and contexts_information.json.
"""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from lab.search import BELIEF, HASTE, Knows, expected_doubts, nats_of_trace, parse_search  # noqa: E402
from selfdistill.tables import words  # noqa: E402

PAGE = ROOT / "docs/contexts.md"
MEASURES = (words.ACCURACY, words.MEAN_TOKENS, words.DOUBTS, words.DOUBT_RATE)
# What the lab's grammar believes of what the paper's contexts tell.
BELIEVED = {"guided": "thought", "regenerated": "written", "no-thought": "answer"}


def nats_of_belief(k: int, sure: float, first: float) -> float:
    """E over told traces without slips of log p(trace | told) − log p(trace): how sure the opening is, and what is guessed."""
    hasty = sure * (math.log(sure / HASTE) + math.log(k)) if sure else 0.0
    if sure == 1:
        return hasty
    right, other = first + (1 - first) / k, (1 - first) / k
    guess = right * math.log(right * k) + ((k - 1) * other * math.log(other * k) if other else 0.0)
    return hasty + (1 - sure) * (math.log((1 - sure) / (1 - HASTE)) + guess)


def expected(context: str, sizes: list[int]) -> dict[str, float]:
    """Of the grammar, over problems of these numbers of candidates."""
    if hinted := re.fullmatch(r"not-(\d)", context):
        out = int(hinted[1])
        return {
            "doubts": sum(expected_doubts(k - out) for k in sizes) / len(sizes),
            "nats": sum(nats_of_trace(k, out) for k in sizes) / len(sizes),
        }
    if context not in BELIEVED:
        return {"doubts": sum(expected_doubts(k) for k in sizes) / len(sizes), "nats": 0.0}
    sure, first = BELIEF[BELIEVED[context]]
    doubts = [(1 - sure) * (doubts_of(k, first)) for k in sizes]
    return {
        "doubts": sum(doubts) / len(sizes),
        "nats": sum(nats_of_belief(k, sure, first) for k in sizes) / len(sizes),
    }


def doubts_of(k: int, first: float) -> float:
    """Words of doubt of who doubts: the told candidate first, or any of k."""
    return expected_doubts(k, Knows(sure=0.0, first=first))


def measured(results: Path) -> dict[str, Any]:
    ladder = pl.read_parquet(results / "analysis/ladder.parquet").filter(
        pl.col("model_id") == "base", pl.col("word").is_null(), pl.col("against").is_null()
    )
    told = pl.read_parquet(results / "analysis/information.parquet").filter(pl.col("model_id") == "base")
    chosen = pl.read_parquet(results / "ladder/chosen.parquet")
    sizes = [len(parse_search(text).candidates) for text in chosen["problem"]]
    rungs = []
    for context in ladder.sort("rung")["context"].unique(maintain_order=True):
        here = {row["measure"]: row for row in ladder.filter(pl.col("context") == context).iter_rows(named=True)}
        nats = {row["measure"]: row for row in told.filter(pl.col("context") == context).iter_rows(named=True)}
        rungs.append(
            {
                "context": context,
                **{measure: interval(here[measure]) for measure in MEASURES},
                **{measure: interval(nats[measure]) if nats else None for measure in words.INFORMATION_MEASURES},
                "expected": expected(str(context), sizes),
            }
        )
    first = ladder.row(0, named=True)
    return {"n": first["n"], "unit": first["unit"], "answers": first["answers"], "problems": len(sizes), "rungs": rungs}


def interval(row: dict[str, Any]) -> list[float]:
    return [row["estimate"], row["low"], row["high"]]


def ladder_table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['problems']} problems ({found['n']} families), {found['answers']} answers on each rung, 95 % intervals:",
        "",
        "| told | right | tokens | doubts per answer (grammar) | per 1,000 tokens |",
        "|---|---|---|---|---|",
    ]
    for rung in found["rungs"]:
        right, tokens, doubts, rate = (rung[measure] for measure in MEASURES)
        lines.append(
            f"| {rung['context']} | {shown([100 * value for value in right], 1)} % | {shown(tokens, 1)} | "
            f"{shown(doubts, 2)} ({rung['expected']['doubts']:.2f}) | {shown(rate, 1)} |"
        )
    return "\n".join(lines)


def nats_table(found: dict[str, Any]) -> str:
    lines = [
        "| told | information of told texts (grammar) | answer probe | style cost |",
        "|---|---|---|---|",
    ]
    for rung in found["rungs"]:
        if rung[words.TOLD_INFORMATION]:
            told, probe, style = (shown(rung[measure], 2) for measure in words.INFORMATION_MEASURES)
            lines.append(f"| {rung['context']} | {told} ({rung['expected']['nats']:.2f}) | {probe} | {style} |")
    return "\n".join(lines)


def hints_table(found: dict[str, Any]) -> str:
    def nats(value: dict[str, float]) -> str:
        return f"{value['estimate']:.2f} ± {value['standard_error']:.2f}".replace("-", "−")

    lines = [
        "| excluded | about the answer | exact, without slips | measured | measured less exact, text by text | share of these texts |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["hints"]:
        both = row["both_grammars"]
        share = next(iter(row["kinds"].values()))["share"]
        lines.append(
            f"| {row['excluded']} of 4 | {row['of_the_answer']:.2f} | {row['exact_without_slips']:.2f} | {nats(row['measured'])} | "
            f"{nats(both['measured_less_exact'])} | {100 * share:.1f} % |"
        )
    return "\n".join(lines)


def shown(values: list[float], digits: int) -> str:
    estimate, low, high = (f"{value:.{digits}f}".replace("-", "−") for value in values)
    return f"{estimate} [{low}, {high}]"


def filled(page: str, tables: dict[str, str]) -> str:
    """The page with each table between its marks."""
    for name, table in tables.items():
        before, rest = page.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"<!-- end of {name} -->")
        page = f"{before}<!-- {name} -->\n{table}\n<!-- end of {name} -->{after}"
    return page


def tables_of(ladder: dict[str, Any], hints: dict[str, Any]) -> dict[str, str]:
    return {"ladder": ladder_table(ladder), "nats": nats_table(ladder), "hints": hints_table(hints)}


def main(results: str = "") -> None:
    stored = HERE / "contexts_ladder.json"
    if results:
        stored.write_text(json.dumps(measured(ROOT / results), indent=1) + "\n")
    found, hints = (json.loads(path.read_text()) for path in (stored, HERE / "contexts_information.json"))
    PAGE.write_text(filled(PAGE.read_text(), tables_of(found, hints)))


if __name__ == "__main__":
    main(*sys.argv[1:])
