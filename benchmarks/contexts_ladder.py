"""The doubt lab for docs/contexts.md and docs/where.md: its ladder, what told samples teach, and who disagrees where.

    make report CONFIG=config/doubt-lab.yaml
    python benchmarks/contexts_ladder.py results/doubt-lab        (writes contexts_ladder.json and the pages' tables)

Without a folder it writes the tables again from contexts_ladder.json and contexts_information.json.
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

PAGE, WHERE = ROOT / "docs/contexts.md", ROOT / "docs/where.md"
DECODE = "plain"
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
    return {
        "n": first["n"], "unit": first["unit"], "answers": first["answers"], "problems": len(sizes), "rungs": rungs,
        "arms": arms(results), "where": where(results),
    }  # fmt: skip


def arms(results: Path) -> list[dict[str, Any]]:
    """What finished models do with the bare problem, and what they had learnt from."""
    levels = pl.read_parquet(results / "analysis/levels.parquet").filter(
        pl.col("training_seed").is_null(), decode_id=DECODE, split="test", budget="full"
    )
    against = pl.read_parquet(results / "analysis/comparisons.parquet").filter(
        decode_id=DECODE, split="test", budget="full", against="base", comparison=words.MATCHED, claim=words.METHOD
    )
    doubts = pl.read_parquet(results / "analysis/doubt.parquet").filter(
        pl.col("marker").is_null(), pl.col("without").is_null(), pl.col("tokens").is_null(), pl.col("model_id").str.contains("all-seeds") | (pl.col("model_id") == "base"),
        estimand=words.DOUBTS, decode_id=DECODE, split="test", budget="full",
    )  # fmt: skip
    found = []
    for arm in ("base", "unguided", "unguided-short", "guided"):
        level = {row["estimand"]: row for row in levels.filter(arm=arm).iter_rows(named=True)}
        differences = against.filter(arm=arm, estimand=words.ACCURACY).to_dicts()
        learnt = json.loads((results / f"arms/{arm}/audit.json").read_text()) if arm != "base" else {}
        found.append({
            "arm": arm, "learnt_tokens": learnt.get("used_profile", {}).get("mean_tokens"), "right": interval(level[words.ACCURACY]),
            "difference": interval(differences[0]) if differences else None, "tokens": interval(level[words.MEAN_TOKENS]),
            "doubts": interval(doubts.filter(arm=arm).row(0, named=True)),
        })  # fmt: skip
    return found


def where(results: Path) -> list[dict[str, Any]]:
    """Of each reader how far it is from the base, and how much of that falls on "Perhaps"; of arms the first training."""
    table = pl.read_parquet(results / "analysis/context_kl.parquet")
    found, found_of_all = table.filter(grouping=words.BY_DOUBT), table.filter(name=words.EVERY_TOKEN)
    rows = []
    for reader in found["reader"].unique(maintain_order=True):
        if "/seed-" in reader and "/seed-0/" not in reader:
            continue
        of = found.filter(reader=reader)
        every = found_of_all.filter(reader=reader).row(0, named=True)
        perhaps = of.filter(name="perhaps", place=words.WHOLE_WORD).row(0, named=True)
        share = [perhaps[key] for key in ("share", "share_low", "share_high")]
        rows.append({"reader": reader, "tokens": every["positions"], "every": interval(every), "perhaps": perhaps["estimate"],
                     "times": perhaps["times_mean"], "share": share})  # fmt: skip
    return rows


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


def arms_table(found: dict[str, Any]) -> str:
    lines = [
        "| arm | tokens learnt from | right | difference from the base, points | tokens | doubts per answer |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["arms"]:
        right = shown([100 * value for value in row["right"]], 1)
        difference = shown([100 * value for value in row["difference"]], 1) if row["difference"] else "–"
        learnt = f"{row['learnt_tokens']:.0f}" if row["learnt_tokens"] else "–"
        lines.append(
            f"| {row['arm']} | {learnt} | {right} % | {difference} | {shown(row['tokens'], 0)} | {shown(row['doubts'], 2)} |"
        )
    return "\n".join(lines)


def where_table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['where'][0]['tokens']:,} tokens of the base's own samples.",
        "",
        '| reader | KL a token | of "Perhaps" | times the mean | its share of all KL |',
        "|---|---|---|---|---|",
    ]
    for row in found["where"]:
        share = shown([100 * value for value in row["share"]], 0)
        reader = row["reader"].removesuffix("/seed-0/at-100")
        lines.append(f"| {reader} | {shown(row['every'], 3)} | {row['perhaps']:.3f} | {row['times']:.1f} | {share} % |")
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
    return {
        "ladder": ladder_table(ladder), "nats": nats_table(ladder), "hints": hints_table(hints), "arms": arms_table(ladder),
    }  # fmt: skip


def main(results: str = "") -> None:
    stored = HERE / "contexts_ladder.json"
    if results:
        stored.write_text(json.dumps(measured(ROOT / results), indent=1) + "\n")
    found, hints = (json.loads(path.read_text()) for path in (stored, HERE / "contexts_information.json"))
    PAGE.write_text(filled(PAGE.read_text(), tables_of(found, hints)))
    WHERE.write_text(filled(WHERE.read_text(), {"where": where_table(found)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
