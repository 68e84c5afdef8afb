"""Writes docs/tables.md: every table of a study and every column of it, from the schemas, their comments and examples.

python -m selfdistill.tables.document > docs/tables.md      `make tables` does it too; a test keeps them in step
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfdistill.tables.columns import SAME_EVERYWHERE
from selfdistill.tables.described import Column, described
from selfdistill.tables.exampleless import WHY
from selfdistill.tables.places import Place, placed_schemas, places_of
from selfdistill.tables.schema import dtype_name

EXAMPLES = Path(__file__).parents[3] / "docs/examples/tables.json"
STAGES = {
    "problems": "Problems",
    "contexts": "What is asked under a context",
    "sampling": "Plans, samples and grades",
    "training": "Training",
    "practice": "Training on one's own answers",
    "analysis": "The analysis",
    "practice_analysis": "What training on one's own answers did",
    "doubt": "Words of doubt",
    "mechanism": "Probes, gradients and weights",
    "ladder": "The ladder of information",
    "annotation": "A model as judge",
}
GOES_ON = ("of", "that", "to", "in", "behind", "which", "whose", "with", "as", "after", "under", "shown")
SYMBOLS = ("f", "tr", "ρ", "log2")
NOUNS = {
    "the estimand's": "value",
    "the estimand's²": "variance",
    "the measure's": "value",
    "gradient²": "squared norm",
    "weight²": "squared norm",
    "% of training": "percent",
}
BEGINNING = """# Every table of a study

All results are Parquet files in the folder of the results, which any program reads that reads Parquet.
[Reading the tables](reading-the-tables.md) recomputes three numbers of a report from them. NAME in braces stands for
the name of a model, an arm, a seed or a part; a model's name may hold slashes, as `ssd/seed-0/at-100`.

This page is made from `workflow_scripts/selfdistill/tables/` (`make tables`): the meaning of a column is the comment
beside it there. A table is refused that has other columns than these. The examples are of
`config/smoke.yaml` and, where it has none, of `docs/examples/every-table.yaml` or `config/practice-lab.yaml`, of which each value is true and none
means anything. Where all of them have nothing, the reason stands beside "null". The examples of a table are of its
fullest row, and what that row lacks is of another: values that exclude each other, as a verdict and a value that
only other verdicts have, come from two. They were taken by

```
snakemake --cores 2 --configfile config/smoke.yaml
snakemake --cores 2 --configfile docs/examples/every-table.yaml
python docs/examples/fill_sheet.py results/every-table > filled.csv
sed 's/rows: 40/&, filled: filled.csv/' docs/examples/every-table.yaml > filled.yaml
snakemake --cores 2 --configfile filled.yaml
snakemake --cores 2 --configfile config/practice-lab.yaml
PYTHONPATH=workflow_scripts python -m selfdistill.tables.examples results/smoke results/every-table results/practice-lab > docs/examples/tables.json
```

A unit stands where a column is a number. "The estimand's" is that of what the column `estimand` names: a share where
it is a rate or an accuracy, tokens where it is a length. A share is between 0 and 1, and a difference of shares of
0.01 is one point. Null is no value: nothing was measured, or the question does not arise.
"""


def page() -> str:
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    schemas = sorted(placed_schemas(), key=lambda schema: [*STAGES].index(stage_of(schema)))
    parts = [
        BEGINNING,
        "## All tables",
        "",
        *index(schemas),
        "",
        "## Columns that mean the same everywhere",
        "",
        *common(),
    ]
    for stage, heading in STAGES.items():
        parts += ["", f"## {heading}"]
        for schema in filter(lambda name: stage_of(name) == stage, schemas):
            parts += ["", *section(schema, examples.get(schema, {}))]
    return "\n".join(parts) + "\n"


def stage_of(schema: str) -> str:
    return schema.partition(".")[0]


def index(schemas: list[str]) -> Iterator[str]:
    yield "| file | made by the rule | what it holds |"
    yield "|---|---|---|"
    for schema in schemas:
        about = first_sentence(described(schema).about)
        for place in places_of(schema):
            yield f"| [`{place.file}`](#{anchor(title(schema))}) | {rules(place)} | {cell(about)} |"


def common() -> Iterator[str]:
    yield "Where a table says nothing else of them."
    yield ""
    yield "| column | unit | meaning |"
    yield "|---|---|---|"
    for name, words in SAME_EVERYWHERE.items():
        column = Column.of(name, words)
        yield f"| `{name}` | {cell(column.unit)} | {cell(sentence(column.meaning, column.unit))} |"


def section(schema: str, examples: dict[str, Any]) -> Iterator[str]:
    table, places = described(schema), places_of(schema)
    yield f"### {title(schema)}"
    yield ""
    yield table.about
    yield ""
    yield from (f"- `{place.file}`, made by {rules(place)}" for place in places)
    yield ""
    yield "| column | type | unit | meaning | example |"
    yield "|---|---|---|---|---|"
    for column in [*run_column(places), *table.columns]:
        yield row(column, examples, WHY.get(schema, {}).get(column.name, ""))


def title(schema: str) -> str:
    """The name of its files: those of practice and of probes share some names, so that the folder stands before them."""
    return places_of(schema)[0].file.removesuffix(".parquet")


def anchor(heading: str) -> str:
    """As GitHub and mkdocs make it."""
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter in "-_")


def run_column(places: list[Place]) -> list[Column]:
    return [Column.of("run", SAME_EVERYWHERE["run"])] if places[0].of_runs else []


def rules(place: Place) -> str:
    return ", ".join(f"`{rule}`" for rule in place.rule.split(", "))


def first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."


def row(column: Column, examples: dict[str, Any], why: str) -> str:
    cells = [f"`{column.name}`", dtype_name(column.dtype), column.unit, sentence(column.meaning, column.unit)]
    shown = f"`null`: {why}" if why else example(examples, column.name)
    return f"| {' | '.join(map(cell, cells))} | {shown} |"


def sentence(meaning: str, unit: str = "") -> str:
    """As one, begun with what is counted where the meaning goes on from its unit; a capital where it begins with a word of
    ours and not with a value that may stand in the column."""
    if unit and meaning.split()[0] in GOES_ON:
        meaning = f"{NOUNS.get(unit, unit)} {meaning}"
    capital = meaning if begins_with_value(meaning) else meaning[0].upper() + meaning[1:]
    return capital if capital.endswith((".", "…")) else f"{capital}."


def begins_with_value(meaning: str) -> bool:
    """With a value that may stand in the column, or with a symbol."""
    before, bar, _ = meaning.partition(" | ")
    words = before.split(":")[0].split()
    return bool(bar and (":" not in before or len(words) == 1)) or words[0] in SYMBOLS


def example(examples: dict[str, Any], name: str) -> str:
    value = examples[name]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{in_code(text)}`" if text else '`""`'


def in_code(text: str) -> str:
    """Within backticks, in a cell of a table."""
    return text.replace("\n", " ⏎ ").replace("`", "'").replace("|", "\\|")


def cell(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
