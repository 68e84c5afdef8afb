"""What a study says of files is held against the files while the study is read."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.load import load_study

LAB = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    shutil.copytree(ROOT / "resources", tmp_path / "resources", ignore=shutil.ignore_patterns("__pycache__"))
    return copy.deepcopy(LAB)


@pytest.mark.parametrize("end", ["\n", "", "\n\n"])
def test_a_source_holds_as_many_problems_as_lines_with_text(study: dict[str, Any], tmp_path: Path, end: str) -> None:
    problem = json.dumps({"problem": "1+1?", "answer": "2", "level": 1})
    for name in ("quiz", "exam", "olympiad"):
        (tmp_path / f"resources/lab/problems/{name}.jsonl").write_text("\n".join([problem] * 4) + end)
    del study["mechanism"]  # which reads more texts than these
    study["evaluation"]["budgets"] = {"quick": 3, "full": 13}
    with pytest.raises(UserError, match="asks for 13 problems, but the eval sources hold 12 at most"):
        load_study(study, tmp_path)
    study["evaluation"]["budgets"]["full"] = 12
    load_study(study, tmp_path)


def test_a_chat_switch_that_the_models_template_does_not_read_is_told_while_the_study_is_read(
    study: dict[str, Any], tmp_path: Path
) -> None:
    model = tmp_path / "resources/lab/model"
    study["model"]["chat"] = {"enable_thinking": False}
    with pytest.raises(
        UserError, match=r"model\.chat\.enable_thinking: the chat template of resources/lab/model reads no"
    ):
        load_study(study, tmp_path)
    template = "{% if enable_thinking %}<think>{% endif %}{{ messages[0].content }}"
    (model / "chat_template.jinja").write_text(template)
    load_study(study, tmp_path)
    (model / "chat_template.jinja").unlink()
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer | {"chat_template": template}))
    load_study(study, tmp_path)


def test_missing_sources_are_all_told_and_their_lines_not_counted(study: dict[str, Any], tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "resources/lab/problems")
    with pytest.raises(UserError) as error:
        load_study(study, tmp_path)
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        f"problems.sources.{name}.path" for name in LAB["problems"]["sources"]
    ]


def test_a_study_cannot_begin_with_its_own_checkpoint(study: dict[str, Any], tmp_path: Path) -> None:
    """Nor by another way to the same folder."""
    study["results"] = "results/lab"
    checkpoint = tmp_path / "results/lab/runs/ssd/seed-0/at-100"
    shutil.copytree(tmp_path / "resources/lab/model", checkpoint)
    (tmp_path / "another-way").symlink_to(checkpoint)
    for path in ("results/lab/runs/ssd/seed-0/at-100", "another-way"):
        study["model"]["path"] = path
        with pytest.raises(
            UserError, match=f"model.path: {path!r} lies in the results of this very study .results/lab."
        ):
            load_study(study, tmp_path)
    for results in ("results/second", "results"):  # the second holds the folder of the first study, and is not it
        study["results"] = results
        load_study(study, tmp_path)


def test_a_checkpoint_that_is_not_made_yet_says_which_study_makes_it(study: dict[str, Any], tmp_path: Path) -> None:
    study["results"] = "results/second"
    study["model"]["path"] = "results/warm/runs/reference/seed-0/at-100"
    said = r"the study whose results go to results/warm; .*: snakemake --cores 2 results/warm/runs/reference/seed-0/manifest.json --configfile "
    with pytest.raises(UserError, match=f"{said}THE-FILE-OF-THAT-STUDY"):
        load_study(study, tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/first.yaml").write_text("study: warm\n")
    with pytest.raises(UserError, match=f"{said}config/first.yaml"):
        load_study(study, tmp_path)


def test_examples_that_are_not_there_are_told(study: dict[str, Any], tmp_path: Path) -> None:
    study["problems"]["examples"] = "shown.jsonl"
    with pytest.raises(UserError, match=r"problems\.examples: there is no file 'shown\.jsonl'; correct its path"):
        load_study(study, tmp_path)
    (tmp_path / "shown.jsonl").write_text("{}")
    load_study(study, tmp_path)


def test_a_prompt_that_asks_for_another_format_than_is_graded_is_told(study: dict[str, Any], tmp_path: Path) -> None:
    study["grading"] = {**study.get("grading", {}), "answer": "line"}
    with pytest.raises(UserError, match=r"problems\.prompt: asks for \\boxed\{\}, but grading\.answer: line counts"):
        load_study(study, tmp_path)
    for prompt in ("{problem}\nEnd with a line of Answer: and no \\boxed.", "{problem}"):
        study["problems"]["prompt"] = prompt
        load_study(study, tmp_path)
    study["grading"]["answer"] = "lines"
    with pytest.raises(UserError, match=r"grading\.answer"):
        load_study(study, tmp_path)
