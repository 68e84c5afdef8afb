"""The doubt lab made small, from raw problems to the report: who is told the answer stops doubting, and teaches guessing."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import Clone
from lab.search import parse_search
from selfdistill.doubt.counting import Markers
from selfdistill.tables.ladder import LADDER
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("doubt-lab")
EXAMPLES = 96


def made_small(study: dict[str, Any]) -> None:
    """Fewer problems, one seed, and a learning rate that makes up for the few steps."""
    arms = study["arms"]
    study["arms"] = {name: arms[name] | {"seeds": [0]} for name in ("unguided", "guided")}
    study["hypotheses"] = {"told-against-not-told": study["hypotheses"]["told-against-not-told"]}
    study["contexts"] = {name: study["contexts"][name] for name in ("guided", "no-thought")}
    study["ladder"] |= {"contexts": ["no-thought", "guided"], "draws": 1, "problems": 40, "pool": 60, "solved": [1, 1]}
    study["training"] |= {
        "samples": 140,
        "draws": 1,
        "examples": EXAMPLES,
        "batch": 8,
        "lr": 1.0e-3,
        "lr_floor": 2.0e-4,
    }
    del study["disagreement"]  # what a sibling told cannot be read again where each problem has one answer
    study["evaluation"] |= {"budgets": {"quick": 20, "full": 80}, "draws": 1, "pass_at": [1], "resamples": 200}
    study["evaluation"]["decodes"] = {"base": ["plain"], "final": ["plain"], "earlier": []}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = Clone(tmp_path_factory.mktemp("doubt-lab"))
    study = yaml.safe_load((clone.folder / "config/doubt-lab.yaml").read_text())
    made_small(study)
    (clone.folder / "small.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    said = clone.snakemake(study="small.yaml")
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    return clone.folder / "results/doubt-lab"


def graded(results: Path, model: str) -> pl.DataFrame:
    return read_table(results / f"models/{model}/graded.parquet", GRADED)


def accuracy(table: pl.DataFrame) -> float:
    return table.filter(pl.col("verdict") == "correct").height / table.height


def doubts(texts: pl.Series) -> float:
    return sum(Markers().counts(text).total for text in texts) / len(texts)


def test_both_arms_learn_right_answers_to_the_same_problems_in_as_many_steps(made: Path) -> None:
    sets = [read_table(made / f"arms/{arm}/dataset.parquet", DATASET) for arm in ("unguided", "guided")]
    assert [table.height for table in sets] == [EXAMPLES] * 2
    assert sets[0]["problem_id"].to_list() == sets[1]["problem_id"].to_list()
    right = dict(read_table(made / "problems/train.parquet", PROBLEMS).select("problem_id", "answer").iter_rows())
    for model in ("samples-plain", "samples-plain/in-guided"):
        learnt = graded(made, model).join(pl.concat(sets), on="request_id", how="semi")
        assert learnt.height == EXAMPLES and set(learnt["verdict"]) == {"correct"}
        assert all(right[problem] in text for problem, text in learnt.select("problem_id", "text").iter_rows())
    steps = [
        json.loads((made / f"runs/{arm}/seed-0/manifest.json").read_text())["steps"] for arm in ("unguided", "guided")
    ]
    assert steps[0] == steps[1]


def test_who_is_told_more_writes_less_and_doubts_less(made: Path) -> None:
    texts = [graded(made, model)["text"] for model in ("ladder-unguided", "ladder/in-no-thought", "ladder/in-guided")]
    assert doubts(texts[0]) > doubts(texts[1]) > doubts(texts[2])
    lengths = [sum(map(len, written)) / len(written) for written in texts]
    assert lengths == sorted(lengths, reverse=True)
    assert read_table(made / "analysis/ladder.parquet", LADDER).height > 0


def test_learning_from_the_told_loses_the_search_and_learning_from_the_others_does_not(made: Path) -> None:
    base, unguided, guided = (
        graded(made, model) for model in ("base", "unguided/seed-0/at-100", "guided/seed-0/at-100")
    )
    problems = read_table(made / "problems/eval.parquet", PROBLEMS)
    chance = sum(1 / parse_search(text).level for text in problems["problem"]) / problems.height
    assert accuracy(base) > 0.7
    assert accuracy(unguided) > accuracy(base) - 0.15
    assert accuracy(guided) < chance + 0.2
    assert doubts(guided["text"]) < 0.5 < doubts(unguided["text"])


def test_the_report_tells_of_it(made: Path) -> None:
    page = (made / "report.html").read_text()
    assert "What it was told" in page and "Right answers to the same problems" in page
