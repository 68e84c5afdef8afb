"""The doubt lab made small, from raw problems to the report: who is told the answer stops doubting, and teaches guessing."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import Clone
from lab.search import parse_search
from redone import counted_behind, examine
from selfdistill.doubt.counting import Markers
from selfdistill.study.load import study_of
from selfdistill.tables import words
from selfdistill.tables.analysis import VERDICTS
from selfdistill.tables.ladder import LADDER
from selfdistill.tables.mechanism import CONTEXT_KL
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("doubt-lab")
EXAMPLES = 80
# The third is matched in length, which tests/unit/training/test_correct_dataset.py examines.
ARMS = ("unguided", "guided")


def made_small(study: dict[str, Any]) -> None:
    """Two arms of one seed, and fewer problems."""
    study["arms"] = {name: study["arms"][name] | {"seeds": [0]} for name in ARMS}
    study["hypotheses"] = {"told-against-not-told": study["hypotheses"]["told-against-not-told"]}
    study["ladder"] |= {"draws": 1, "problems": 40, "pool": 60, "solved": [1, 1]}
    study["disagreement"] |= {"contexts": ["guided"], "arms": [], "texts": 12}
    study["training"] |= {"samples": 120, "draws": 2, "examples": EXAMPLES, "batch": 8}
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
    sets = [read_table(made / f"arms/{arm}/dataset.parquet", DATASET) for arm in ARMS]
    assert [table.height for table in sets] == [EXAMPLES] * 2
    assert sets[0]["problem_id"].to_list() == sets[1]["problem_id"].to_list()
    right = dict(read_table(made / "problems/train.parquet", PROBLEMS).select("problem_id", "answer").iter_rows())
    for model in ("samples-plain", "samples-plain/in-guided"):
        learnt = graded(made, model).join(pl.concat(sets), on="request_id", how="semi")
        assert learnt.height >= EXAMPLES and set(learnt["verdict"]) == {"correct"}
        assert all(right[problem] in text for problem, text in learnt.select("problem_id", "text").iter_rows())
    steps = [json.loads((made / f"runs/{arm}/seed-0/manifest.json").read_text())["steps"] for arm in ARMS]
    assert steps[0] == steps[1]


def test_who_is_told_more_writes_less_and_doubts_less(made: Path) -> None:
    rungs = ("ladder-unguided", "ladder/in-not-1", "ladder/in-no-thought", "ladder/in-regenerated", "ladder/in-guided")
    texts = [graded(made, model)["text"] for model in rungs]
    written = [doubts(each) for each in texts]
    assert written[0] > written[2] > written[3] > written[4] == 0 and written[1] > written[3]
    lengths = [sum(map(len, each)) / len(each) for each in texts]
    assert lengths[0] > lengths[2] > lengths[3] >= lengths[4]
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
    (row,) = read_table(made / "analysis/verdicts.parquet", VERDICTS).filter(role=words.HYPOTHESIS).to_dicts()
    assert row["high"] < -0.3 and row["verdict"] == "worse"


def test_readers_that_were_told_disagree_where_a_guess_begins(made: Path) -> None:
    found = read_table(made / "analysis/context_kl.parquet", CONTEXT_KL)
    row = found.filter(grouping=words.BY_DOUBT, name="perhaps", place=words.WHOLE_WORD).row(0, named=True)
    assert row["share_low"] > 0.1 and row["times_mean"] > 4


def test_the_report_tells_of_it(made: Path) -> None:
    page = (made / "report.html").read_text()
    assert "What it was told" in page and "Right answers to the same problems" in page


def test_numbers_of_the_ladder_and_of_disagreement_are_made_again(made: Path) -> None:
    examine(made.parents[1], "small.yaml", ("ladder", "ladder_tests", "information", "context_kl"))


def test_as_many_rows_are_behind_a_number_as_its_row_counts(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.parents[1])
    study = study_of(Path("small.yaml"))
    for number, rows in counted_behind(study, "context_kl"):
        assert rows == number.row["positions"], number.name
    for number, rows in counted_behind(study, "information"):
        assert rows == number.row["texts"] + number.row["left_out"], number.name
    levels = [(number, rows) for number, rows in counted_behind(study, "ladder") if number.row["against"] is None]
    assert levels and all(rows == number.row["answers"] for number, rows in levels)
