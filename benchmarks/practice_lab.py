"""The practice lab for docs/practice.md: what its trainings did on their own questions and on held-out ones, and its verdicts.

    make report CONFIG=config/practice-lab.yaml
    python benchmarks/practice_lab.py results/practice-lab        (writes practice_lab.json and the page's tables)

Without a folder it writes the tables again from practice_lab.json. Held-out problems are those of the test split.
"""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "workflow_scripts")]

from contexts_ladder import filled, interval, shown  # noqa: E402

from selfdistill.tables import words  # noqa: E402

PAGE, STORED = ROOT / "docs/practice.md", HERE / "practice_lab.json"
DECODE, WIDEST = "plain", "full"
PARTS = ("of-four", "of-six")
OWN = (words.REWARD, words.DOUBTS)


def measured(results: Path) -> dict[str, Any]:
    changes = pl.read_parquet(results / "analysis/practice_changes.parquet")
    levels = pl.read_parquet(results / "analysis/levels.parquet").filter(
        decode_id=DECODE, split="test", estimand=words.ACCURACY
    )
    cost = pl.read_parquet(results / "analysis/practice_cost.parquet")
    arms = ["base", *cost["arm"].unique(maintain_order=True)]
    return {
        "arms": [
            {
                "arm": arm,
                "trainings": cost.filter(arm=arm).height,
                **{measure: own(changes.filter(arm=arm, measure=measure)) for measure in OWN},
                **{part: level(levels.filter(arm=arm, budget=part)) for part in PARTS},
            }
            for arm in arms
        ],
        "problems": {part: int(levels.filter(arm="base", budget=part)["n"][0]) for part in PARTS},
        "verdicts": verdicts(pl.read_parquet(results / "analysis/verdicts.parquet")),
    }


def own(rows: pl.DataFrame) -> dict[str, Any] | None:
    """Over all trainings of the arm; of one that replays nothing, for its answers are another's."""
    pooled = rows.filter(pl.col("training_seed").is_null(), claim=words.CHECKPOINTS)
    found = (pooled if pooled.height else rows).to_dicts()
    return {"ends": [found[0]["first"], found[0]["last"]], "change": interval(found[0])} if found else None


def level(rows: pl.DataFrame) -> list[float] | None:
    """Over all trainings of an arm; of one training its own."""
    pooled = rows.filter(pl.col("training_seed").is_null())
    found = (pooled if pooled.height else rows).to_dicts()
    return interval(found[0]) if found else None


def verdicts(table: pl.DataFrame) -> list[dict[str, Any]]:
    columns = [
        "hypothesis",
        "question",
        "arm",
        "against",
        "claim",
        "margin",
        "estimate",
        "low",
        "high",
        "unit",
        "n",
        "verdict",
    ]
    return table.filter(role=words.HYPOTHESIS).select(columns).to_dicts()


def arms_table(found: dict[str, Any]) -> str:
    problems = " and ".join(f"{count} families of `{part}`" for part, count in found["problems"].items())
    lines = [
        f"Held out are problems of {problems} (test split).",
        "Brackets are 95 % intervals, changes those of these checkpoints.",
        "",
        "| arm (trainings) | its own questions, base → end, % | points | doubts an answer | change | of four, % | of six, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["arms"]:
        reward, doubts = (row[measure] for measure in OWN)
        name = "the base" if row["arm"] == "base" else f"`{row['arm']}` ({row['trainings']})"
        cells = [
            *changed(reward, 100, 0, 1), *changed(doubts, 1, 1, 1),
            *(shown([100 * value for value in row[part]], 1) if row[part] else "" for part in PARTS),
        ]  # fmt: skip
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def changed(row: dict[str, Any] | None, times: int, digits: int, of_change: int) -> list[str]:
    if row is None:
        return ["", ""]
    ends = " → ".join(f"{times * end:.{digits}f}" for end in row["ends"])
    return [ends, shown([times * value for value in row["change"]], of_change)]


def verdicts_table(found: dict[str, Any]) -> str:
    lines = ["| hypothesis | asked | difference, points | speaks of | verdict |", "|---|---|---|---|---|"]
    for row in found["verdicts"]:
        margin = f"{100 * row['margin']:.0f}"
        asked = f"not worse by {margin}" if row["question"] == "not_worse" else f"different; margin {margin}"
        known = row["estimate"] is not None and row["low"] is not None
        difference = shown([100 * value for value in interval(row)], 1) if known else "–"
        sides = f"`{row['arm']}` against {row['against']}"
        lines.append(f"| {row['hypothesis']}: {sides} | {asked} | {difference} | {row['claim']} | {row['verdict']} |")
    return "\n".join(lines)


def main(results: str = "") -> None:
    if results:
        STORED.write_text(json.dumps(measured(ROOT / results), indent=1) + "\n")
    found = json.loads(STORED.read_text())
    tables = {"practice-lab": arms_table(found), "practice-verdicts": verdicts_table(found)}
    PAGE.write_text(filled(PAGE.read_text(), tables))


if __name__ == "__main__":
    main(*sys.argv[1:])
