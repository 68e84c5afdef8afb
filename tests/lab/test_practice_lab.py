"""The practice lab made small, from questions to the report: who is taught by one who knows stops searching, and who is
rewarded does not."""

import contextlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from conftest import Clone
from lab.search import parse_search
from redone import counted_behind, examine, made_again, refuse_rowless, refuse_shared_names
from selfdistill.analysis.practice import practice
from selfdistill.analysis.practice_changes import practice_changes
from selfdistill.analysis.practice_runs import practised
from selfdistill.commands.status import planned_for
from selfdistill.doubt.counting import Markers
from selfdistill.planning.changes import changes
from selfdistill.planning.examined import THROUGHPUTS
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.planning.pace import left_of
from selfdistill.planning.standing import PRACTISE, standing
from selfdistill.publishing.bundle import Wishes
from selfdistill.publishing.hub import repositories
from selfdistill.publishing.members import results_of
from selfdistill.reporting.numbers.index import numbers
from selfdistill.study.load import study_of, typed_study
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, ESTIMATES, VERDICTS
from selfdistill.tables.practice import QUESTIONS, ROLLOUTS, UPDATES
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_CHANGES
from selfdistill.tables.problems import PROBLEMS as EVALUATED
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import empty_table
from selfdistill.tables.whole import read_table, write_table

pytestmark = pytest.mark.xdist_group("practice-lab")
# By the fourth generation a student of one who knows has stopped to search, and by the sixth eight problems are known by heart.
# Of each so many generations of so many questions.
ARMS = {"grpo": (4, 8), "sdpo": (4, 8), "sdpo-replays-grpo": (4, 8), "sdpo-cover-8": (6, 16), "null-teacher": (2, 8)}
(GENERATIONS, QUESTIONS_EACH), ROLLOUTS_EACH, PROBLEMS = ARMS["sdpo"], 8, 80


def made_small(study: dict[str, Any]) -> None:
    """Five arms of one seed, and fewer and smaller rounds."""
    study["arms"] = {name: study["arms"][name] | {"seeds": [0]} for name in ARMS}
    for name, (generations, questions) in ARMS.items():
        if (generations, questions) != ARMS["sdpo"]:
            arm = study["arms"][name]
            of_its_own = {"generations": generations, "questions": questions}
            arm |= {"practice": arm.get("practice", {}) | of_its_own, "unequal_budget": True}
    study["hypotheses"] = {
        "told-forgets-to-search": study["hypotheses"]["told-forgets-to-search"] | {"claim": "checkpoints"}
    }
    study["practice"] |= {"generations": GENERATIONS, "questions": QUESTIONS_EACH}
    study["evaluation"] |= {"budgets": {"quick": 20, "full": PROBLEMS}, "draws": 1, "resamples": 200, "mixtures": {}}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("practice-lab"))
    study = yaml.safe_load((clone.folder / "config/practice-lab.yaml").read_text())
    made_small(study)
    (clone.folder / "small.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    said = clone.snakemake(study="small.yaml")
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    return clone


@pytest.fixture(scope="module")
def made(clone: Clone) -> Path:
    return clone.folder / "results/practice-lab"


def graded(results: Path, model: str) -> pl.DataFrame:
    return read_table(results / f"models/{model}/graded.parquet", GRADED)


def rollouts(results: Path, arm: str) -> pl.DataFrame:
    return read_table(results / f"runs/{arm}/seed-0/rollouts.parquet", ROLLOUTS)


def accuracy(table: pl.DataFrame) -> float:
    return table.filter(pl.col("verdict") == "correct").height / table.height


def error(chance: float) -> float:
    """The standard error of one answer to each problem."""
    return float((chance * (1 - chance) / PROBLEMS) ** 0.5)


def guessing(made: Path) -> float:
    """Who takes any of the candidates of the held-out problems is right so often."""
    problems = read_table(made / "problems/eval.parquet", EVALUATED).filter(pl.col("rank") < PROBLEMS)
    return sum(1 / parse_search(text).level for text in problems["problem"]) / problems.height


def doubts(texts: pl.Series) -> float:
    return sum(Markers().counts(text).total for text in texts) / len(texts)


def test_what_forklock_says_of_a_finished_practice(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone.folder)
    study = study_of(Path("small.yaml"))
    parts = standing(study)
    steps = {part.name: (part.done, part.total) for part in parts if part.stage == PRACTISE}
    assert steps == {f"{arm}/seed-0": (2 * generations,) * 2 for arm, (generations, _) in ARMS.items()}
    assert {part.state for part in parts} == {"done"}
    figures = Figures(load_throughputs(THROUGHPUTS), study, THROUGHPUTS)
    planned = planned_for(study, figures)
    assert left_of(parts, planned).cpu_hours == 0
    begun = [replace(part, done=0) if part.stage == PRACTISE else part for part in parts]
    [practising] = [stage.expected for stage in planned if stage.name == PRACTISE]
    assert left_of(begun, planned).cpu_hours == pytest.approx(practising.cpu_hours) and practising.cpu_hours > 0
    found = changes(study)
    assert [(each.run, each.why) for each in found.trained if not each.kept] == []
    assert [each for each in found.sampled if each.new] == []
    assert study.practice
    longer = study.model_copy(update={"practice": study.practice.model_copy(update={"rollouts": 4})})
    anew = {each.run: each.why for each in changes(longer).trained if not each.kept}
    assert anew.keys() == steps.keys() and "practice.rollouts: 8, now 4" in anew["grpo/seed-0"]
    assert anew["sdpo-replays-grpo/seed-0"].startswith("the answers of grpo/seed-0")


def test_every_answer_is_kept_with_whom_it_was_given_by_and_what_was_learnt_of_it(made: Path) -> None:
    asked = read_table(made / "arms/grpo/questions.parquet", QUESTIONS)
    for arm, (generations, questions) in ARMS.items():
        kept, answers = rollouts(made, arm), generations * questions * ROLLOUTS_EACH
        assert kept.height == answers and kept["request_id"].n_unique() == kept.height
        assert kept.group_by("generation").agg(pl.col("policy").n_unique())["policy"].to_list() == [1] * generations
        assert kept["policy"].n_unique() == generations and set(kept["problem_id"]) <= set(asked["problem_id"])
        assert (kept["reward"] == (kept["verdict"] == "correct").cast(pl.Float64)).all()
        means = kept.group_by("generation", "problem_id", pl.col("draw") // ROLLOUTS_EACH).agg(
            pl.col("advantage").mean()
        )["advantage"]
        assert means.abs().to_list() == pytest.approx([0.0] * len(means), abs=1e-9)
        updates = read_table(made / f"runs/{arm}/seed-0/updates.parquet", UPDATES)
        assert updates["step"].to_list() == list(range(1, 2 * generations + 1))
        manifest = json.loads((made / f"runs/{arm}/seed-0/manifest.json").read_text())
        assert manifest["steps"] == 2 * generations and manifest["sequences"] == answers


def test_who_is_taught_by_one_who_knows_guesses_and_who_is_rewarded_searches_on(made: Path) -> None:
    base, rewarded, taught = (graded(made, model) for model in ("base", "grpo/seed-0/at-100", "sdpo/seed-0/at-100"))
    right, chance = accuracy(base), guessing(made)
    assert right > 0.7
    assert accuracy(rewarded) > right - 3 * error(right)
    assert abs(accuracy(taught) - chance) < 3 * error(chance)
    assert doubts(taught["text"]) < 0.5 < 2 < doubts(rewarded["text"])
    (row,) = read_table(made / "analysis/verdicts.parquet", VERDICTS).filter(role=words.HYPOTHESIS).to_dicts()
    assert row["high"] < -0.3 and row["verdict"] == "worse"


def test_the_change_is_seen_while_it_trains(made: Path) -> None:
    first, last = (rollouts(made, "sdpo").filter(generation=number) for number in (1, GENERATIONS))
    assert first["reward"].mean() > 0.7 and last["reward"].mean() < 0.4  # type: ignore[operator]
    assert last["n_tokens"].mean() < 0.6 * first["n_tokens"].mean()  # type: ignore[operator]
    assert last["doubts"].mean() < 0.2 * first["doubts"].mean()  # type: ignore[operator]


def test_eight_problems_are_learnt_by_heart_and_others_are_lost(made: Path) -> None:
    """The reward comes back without doubt: what was learnt is the answers."""
    table, held_out = rollouts(made, "sdpo-cover-8"), graded(made, "sdpo-cover-8/seed-0/at-100")
    first, last = (table.filter(generation=number) for number in (1, ARMS["sdpo-cover-8"][0]))
    assert table["problem_id"].n_unique() == 8
    assert first["reward"].mean() > 0.7 and last["reward"].mean() > 0.85  # type: ignore[operator]
    assert last["doubts"].mean() < 0.2 * first["doubts"].mean()  # type: ignore[operator]
    base = graded(made, "base")
    assert accuracy(held_out) < accuracy(base) - 3 * 2**0.5 * error(accuracy(base))
    assert doubts(held_out["text"]) < 0.5 * doubts(base["text"])


def test_a_teacher_who_is_told_nothing_changes_nothing(made: Path) -> None:
    base, same = (graded(made, model) for model in ("base", "null-teacher/seed-0/at-100"))
    assert abs(accuracy(same) - accuracy(base)) < 3 * 2**0.5 * error(accuracy(base))  # both are drawn
    assert doubts(same["text"]) > 0.8 * doubts(base["text"])


def test_answers_of_another_are_learnt_from_without_sampling_any(made: Path) -> None:
    given, replayed = rollouts(made, "grpo"), rollouts(made, "sdpo-replays-grpo")
    same = ["generation", "problem_id", "draw", "policy", "request_id", "token_ids", "logprobs", "reward"]
    assert replayed.select(same).equals(given.select(same))
    assert given["teacher_ids"].null_count() == given.height and replayed["teacher_ids"].null_count() < given.height
    assert not [file for file in made.glob("runs/sdpo-replays-grpo/**/*") if "rollouts/" in str(file)]
    assert graded(made, "sdpo-replays-grpo/seed-0/at-100")["text"].to_list() != graded(made, "base")["text"].to_list()


def test_the_report_tells_of_it(made: Path) -> None:
    page = (made / "report.html").read_text()
    assert "On-policy" in page and "Error" not in (made / "logs/report.log").read_text()
    told = dict(re.findall(r"<li><strong>([\w-]+):</strong> (the reward .*?)</li>", page))
    assert re.match(r"the reward (rose|is not shown to change,) from ", told["grpo"])
    assert re.match(
        r"the reward fell from .* answers shrank from .* and doubt fell from .* and fell from ", told["sdpo"]
    )


def test_what_decides_no_weight_is_no_reason_to_practise_again(clone: Clone) -> None:
    study = yaml.safe_load((clone.folder / "small.yaml").read_text())
    study["sampling"]["batch"] = 32
    study["practice"]["turns"] = "apart"
    (clone.folder / "other.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    assert clone.jobs_to_run(study="other.yaml") == {"study_record": 1, "report": 1}


def test_what_goes_to_others_tells_of_the_practice_and_has_its_rollouts(clone: Clone, made: Path) -> None:
    with contextlib.chdir(clone.folder):
        study = study_of(Path("small.yaml"))
        assert {member.name for member in results_of(study)} >= {"results/report.html", "results/provenance.json"}
        found = {repository.name: repository.members for repository in repositories(study, "ada/lab", Wishes())}
    cards = {name: members[0].text for name, members in found.items()}
    rolled = [member.name for member in found["ada/lab-samples"] if member.name.startswith("practice_rollouts/")]
    assert len(rolled) == len(ARMS)
    rows = sum(rollouts(made, arm).height for arm in ARMS)
    assert f"- `practice_rollouts`: {rows:,} rows in {len(ARMS)} tables" in cards["ada/lab-samples"]
    assert "training_samples" not in cards["ada/lab-samples"]
    card = cards["ada/lab-grpo-seed-0"]
    manifest = json.loads((made / "runs/grpo/seed-0/manifest.json").read_text())
    for line in (
        "| `rollouts` | 8 |", f"| `optimiser steps` | {manifest['steps']} |", "reward 1 for a right answer by the grader, else 0",
        "`practice_rollouts` of the dataset `ada/lab-samples`", manifest["base_digest"],
    ):  # fmt: skip
        assert line in card, line
    assert "`epochs`" not in card and "the teacher is told" not in card
    assert "| `the teacher is told` | wording guided, solution sibling |" in cards["ada/lab-sdpo-seed-0"]
    assert "| `the teacher is told` | nothing |" in cards["ada/lab-null-teacher-seed-0"]


def test_numbers_of_a_practice_are_made_again(clone: Clone) -> None:
    examine(clone.folder, "small.yaml", ("practice", "practice_changes", "practice_signal", "practice_cost"))


def test_the_answers_of_its_generation_are_behind_a_reward(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone.folder)
    study = study_of(Path("small.yaml"))
    rewards = [found for found in counted_behind(study, "practice") if found[0].row["measure"] == words.REWARD]
    assert rewards and all(rows == number.row["counted"] for number, rows in rewards)
    for number, rows in counted_behind(study, "practice_changes"):
        questions = ARMS[number.row["arm"]][1]
        assert rows == (1 + number.row["generations"]) * questions * ROLLOUTS_EACH, number.name


def test_numbers_of_several_trainings_of_an_arm_are_made_again(clone: Clone, made: Path, tmp_path: Path) -> None:
    """The second training of one arm is that of another: both together, and the method."""
    results = tmp_path / "results/practice-lab"
    for seed, arm in enumerate(("grpo", "sdpo")):
        shutil.copytree(made / f"runs/{arm}/seed-0", results / f"runs/grpo/seed-{seed}")
    shutil.copytree(made / "problems", results / "problems")
    (results / "analysis").mkdir()
    (tmp_path / "resources").symlink_to(clone.folder / "resources")
    raw = yaml.safe_load((clone.folder / "small.yaml").read_text())
    raw["arms"]["grpo"]["seeds"] = [0, 1]
    study = typed_study(raw)
    names = ("grpo/seed-0", "grpo/seed-1")
    files = [[f"{results}/runs/{run}/{kind}.parquet" for run in names] for kind in ("rollouts", "updates", "log")]
    runs = practised(dict.fromkeys(names, ROLLOUTS_EACH), f"{results}/problems/train.parquet", *files)
    write_table(practice(runs), results / "analysis/practice.parquet", PRACTICE)
    write_table(practice_changes(runs), results / "analysis/practice_changes.parquet", PRACTICE_CHANGES)
    for table, schema in (("verdicts", VERDICTS), ("levels", ESTIMATES), ("comparisons", COMPARISONS)):
        write_table(empty_table(schema), results / f"analysis/{table}.parquet", schema)
    with contextlib.chdir(tmp_path):
        refuse_rowless(study, made_again(study, ("practice", "practice_changes")))
        refuse_shared_names(study, ("practice", "practice_changes"))
        found = numbers(study)
    both, method = (
        found[f"practice_changes/mean-reward:grpo/all-seeds:{claim}"] for claim in ("checkpoints", "method")
    )
    assert both.row["estimate"] == method.row["estimate"] and both.row["low"] != method.row["low"]
