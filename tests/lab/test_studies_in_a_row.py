"""A study's checkpoint is another study's model, and an arm learns the dataset's own solutions: from problems to the report."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import ROOT, Clone
from lab.chains import OPERATORS, apply, parse_problem
from selfdistill.models.digests import model_digest
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("smoke")
CHECKPOINT = "results/smoke/runs/ssd/seed-0/at-100"
EXAMPLES = 64


def solved(text: str) -> str:
    problem = parse_problem(text)
    lines, value = [], problem.start
    for operation, operand in problem.steps:
        result = apply(operation, value, operand)
        lines.append(f"Then {value}{OPERATORS[operation]}{operand}={result}.")
        value = result
    return "\n".join(lines)


def with_solutions(folder: Path) -> None:
    """Of the lab's training problems every third gets none, as in a dataset that is not whole."""
    rows = [json.loads(line) for line in (ROOT / "resources/lab/problems/drills.jsonl").read_text().splitlines()[:300]]
    for row in rows[::3] + rows[1::3]:
        row["solution"] = solved(row["problem"])
    (folder / "solved.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def second(study: dict[str, Any]) -> None:
    study |= {
        "study": "second",
        "results": "results/second",
        "hypotheses": {},
        "arms": {"solved": {"samples": "reference"}},
    }
    study["model"]["path"] = CHECKPOINT
    del study["mechanism"]
    sources = study["problems"]["sources"]
    study["problems"] |= {
        "sources": {"solved": {"path": "solved.jsonl", "use": "train"}, "quiz": sources["quiz"]},
        "reference": "{solution}\n</think>\n\nThe answer is \\boxed{{answer}}.",
    }
    study["training"] |= {"samples": 100, "examples": EXAMPLES, "checkpoints": [100]}
    study["evaluation"] |= {"budgets": {"quick": 12, "full": 30}}
    study["evaluation"]["decodes"] = {"base": ["t07"], "final": ["t07"], "earlier": []}


def test_a_study_begins_with_anothers_checkpoint_and_learns_the_datasets_solutions(
    smoke_made: Path, tmp_path: Path
) -> None:
    clone = Clone.copy_of(smoke_made, tmp_path / "clone")
    with_solutions(clone.folder)
    study = clone.changed_study(second)
    said = clone.snakemake(study=study)
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    results = clone.folder / "results/second"

    dataset = read_table(results / "arms/solved/dataset.parquet", DATASET)
    train = read_table(results / "problems/train.parquet", PROBLEMS)
    audit = json.loads((results / "arms/solved/audit.json").read_text())
    assert dataset.height == EXAMPLES and set(dataset["model_id"]) == {"reference"}
    assert audit["without_solution"] + audit["kept"] == train.height and audit["without_solution"] > 0
    taught = train.join(dataset, on="problem_id", maintain_order="left")
    assert taught["problem_id"].to_list() == dataset["problem_id"].to_list()  # by the ranking
    row = taught.row(0, named=True)
    wanted = f"{solved(row['problem'])}\n</think>\n\nThe answer is \\boxed{{{row['answer']}}}.<|im_end|>"
    assert text_of(clone.folder / CHECKPOINT, row["completion_ids"]) == wanted
    assert not list((results / "models").glob("samples-*"))  # nothing was sampled for it

    base, first = model_digest(clone.folder / CHECKPOINT), model_digest(clone.folder / "resources/lab/model")
    told = json.loads((results / "lineage.json").read_text())
    assert told["digest"] == base and told["unchanged"]
    assert (told["lineage"]["study"], told["lineage"]["arm"], told["lineage"]["percent"]) == ("smoke", "ssd", 100)
    assert told["lineage"]["samples_of"] == "samples-t11" and told["lineage"]["base"]["digest"] == first
    made = json.loads((results / "runs/solved/seed-0/at-100/lineage.json").read_text())
    assert made["study"] == "second" and made["base"] == {
        "digest": base, "path": CHECKPOINT, "lineage": told["lineage"],
    }  # fmt: skip
    assert pl.read_parquet(results / "models/base/plan.parquet")["model_id"].unique().to_list() == ["base"]

    page = (results / "report.html").read_text()
    assert "a checkpoint of study smoke, arm ssd, seed 0, trained on" in page
    assert "The dataset’s own solutions" in page
    again = clone.snakemake(study=study)
    assert "Nothing to be done" in again.stdout + again.stderr


def text_of(model: Path, ids: list[int]) -> str:
    from transformers import AutoTokenizer

    return str(AutoTokenizer.from_pretrained(str(model)).decode(ids))
