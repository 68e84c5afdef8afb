"""Before anything is read, `all` is a number: of lines, or as the figures state it; and the plan counts what is asked."""

from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.planning.cost import answers_of, requests_of, stages, total
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.sampling.asked import Asked
from selfdistill.study.load import load_study
from selfdistill.study.loaders import LOADERS
from selfdistill.study.study import Study

FILE = ROOT / "config/throughputs.yaml"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def read(name: str, evaluation: dict[str, Any], sources: dict[str, Any] | None = None) -> Study:
    raw = yaml.safe_load((ROOT / name).read_text())
    raw["evaluation"] |= evaluation
    raw["problems"]["sources"] |= sources or {}
    return load_study(raw, ROOT)


def figures(study: Study, **problems: int) -> Figures:
    stated = load_throughputs(FILE)
    made = {name: {"value": value, "how": "assumed", "from": "this test"} for name, value in problems.items()}
    return Figures(type(stated).model_validate(stated.model_dump(by_alias=True) | {"problems": made}), study, FILE)


def test_a_study_of_numbers_is_itself() -> None:
    study = read("config/smoke.yaml", {})
    assert counted(study, figures(study)) is study


def test_all_of_a_file_are_its_lines() -> None:
    study = read("config/smoke.yaml", {"budgets": {"quick": 30, "full": "all"}, "mixtures": {"hard": {"olympiad": "all", "quiz": 7}}})  # fmt: skip
    found = counted(study, figures(study)).evaluation
    assert found.budgets == {"quick": 30, "full": 360 + 240 + 240}
    assert found.mixtures == {"hard": {"olympiad": 240, "quiz": 7}}


def test_all_of_a_public_dataset_is_as_the_figures_state_it_and_no_more_than_its_limit() -> None:
    given = {name: {"loader": name, "path": f"hub/{name}", "use": "eval", "options": options} for name, options in (
        ("aime-25", {}), ("math-500", {"limit": 100}), ("amc23", {"limit": 100}))}  # fmt: skip
    study = read(
        "config/smoke.yaml", {"budgets": {"quick": 30, "full": "all"}, "mixtures": {"new": {"aime-25": "all"}}}, given
    )
    stated = figures(study, **{"aime-25": 30, "math-500": 500, "amc23": 40})
    found = counted(study, stated).evaluation
    assert found.budgets["full"] == 840 + 30 + 100 + 40
    assert found.mixtures["new"] == {"aime-25": 30}
    assert {key for key in stated.used if key.startswith("problems.")} == {
        "problems.aime-25", "problems.math-500", "problems.amc23"
    }  # fmt: skip


def test_a_number_that_is_not_stated_is_asked_for_by_name() -> None:
    given = {"new": {"loader": "aime-25", "path": "hub/aime-25", "use": "eval"}}
    study = read("config/smoke.yaml", {"budgets": {"quick": 30, "full": "all"}}, given)
    with pytest.raises(UserError, match=r"throughputs\.yaml: problems\.aime-25 is not stated; measure it"):
        counted(study, figures(study))


@pytest.mark.parametrize(
    ("mixtures", "draws", "answers"),
    [
        ({}, {}, 2 * 100),
        ({"a": {"x": 10}}, {"a": 16}, 2 * 100 + 14 * 10),
        # The tenth of x that both take are asked as often as the second wants.
        ({"a": {"x": 10, "y": 5}, "b": {"x": 30}}, {"a": 16, "b": 4}, 2 * 100 + 2 * (30 + 5) + 12 * (10 + 5)),
    ],
)
def test_further_draws_are_counted_once_each(mixtures: dict, draws: dict, answers: int) -> None:
    asked = Asked.model_validate({
        "dtype": "float32", "decodes": {}, "train": [], "train_samples": 0, "eval": ["t07"], "eval_problems": 100,
        "draws": 2, "stream": "", "seed": 0, "shards": 1, "mixtures": mixtures, "mixture_draws": draws,
    })  # fmt: skip
    assert answers_of(asked) == answers


def test_at_an_earlier_look_fewer_problems_are_counted_and_no_further_draws() -> None:
    asked = Asked.model_validate({
        "dtype": "float32", "decodes": {}, "train": [], "train_samples": 0, "eval": ["t07", "t15"], "eval_problems": 100,
        "draws": 2, "stream": "", "seed": 0, "shards": 1, "mixtures": {"a": {"x": 10}}, "mixture_draws": {"a": 16},
        "problems_at": {"t07": 30},
    })  # fmt: skip
    assert requests_of(asked) == 2 * 30 + (2 * 100 + 14 * 10)


def test_further_draws_cost_what_as_many_more_answers_cost() -> None:
    def requests(**evaluation: Any) -> int:
        study = read("config/smoke.yaml", evaluation)
        known = figures(study)
        return total(stages(counted(study, known), known)).requests

    mixture = {"mixtures": {"hard": {"olympiad": "all"}}}
    usual = requests(budgets={"quick": 30, "full": "all"})
    assert requests(budgets={"quick": 30, "full": 840}) == usual
    assert requests(budgets={"quick": 30, "full": "all"}, **mixture) == usual
    # The base at three decodes; four arms and the twin at two.
    more = requests(budgets={"quick": 30, "full": "all"}, **mixture, mixture_draws={"hard": 4})
    assert more - usual == 240 * 3 * (3 + 2 * 5)


def test_the_shipped_figures_know_every_loader() -> None:
    assert sorted({name.split()[0] for name in load_throughputs(FILE).problems}) == LOADERS


def test_all_of_a_split_are_as_many_as_the_figures_state_for_it() -> None:
    given = {name: {"loader": "gsm8k", "path": f"hub/{name}", "use": "eval", "options": options} for name, options in (
        ("usual", {}), ("held-out", {"splits": ["test"]}), ("both", {"splits": ["train", "test"], "limit": 120}))}  # fmt: skip
    study = read("config/smoke.yaml", {"mixtures": {name: {name: "all"} for name in given}}, given)
    found = counted(study, figures(study, **{"gsm8k": 100, "gsm8k test": 30})).evaluation
    assert found.mixtures == {"usual": {"usual": 100}, "held-out": {"held-out": 30}, "both": {"both": 120}}
