"""Solved problems that every prompt shows first: read, checked against what they would give away, and put before the problem."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.problems.assemble import assemble
from selfdistill.problems.examples import Example, read_examples
from selfdistill.sampling.prompts import tokenise_prompts
from selfdistill.study.problems import Problems

MODEL = ROOT / "resources/lab/model"
SOLVED = {"problem": "Start with 3. Add 4.", "completion": "3+4=7. \\boxed{7}"}
ASKED = pl.DataFrame({"problem_id": ["a"], "problem": ["Start with 7. Add 5."]})
# As Qwen3's: a thought in an earlier turn is not shown again.
THOUGHTLESS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content.split('</think>')[-1] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def written(folder: Path, *rows: Any, name: str = "examples.jsonl") -> str:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return name


def model_with(folder: Path, template: str) -> Path:
    shutil.copytree(MODEL, folder / "model")
    (folder / "model/chat_template.jinja").write_text(template)
    return folder / "model"


def prompt_of(model: Path, *examples: Example) -> str:
    from tokenizers import Tokenizer

    ids = tokenise_prompts(ASKED, "{problem}\nBox it.", model, examples=examples)["prompt_ids"][0].to_list()
    return str(Tokenizer.from_file(str(model / "tokenizer.json")).decode(ids, skip_special_tokens=False))


def test_examples_are_earlier_turns_of_the_chat_in_the_studys_wording() -> None:
    first, second = Example("e", 1, "Start with 3.", "\\boxed{3}"), Example("e", 2, "Start with 4.", "\\boxed{4}")
    assert prompt_of(MODEL, first, second) == (
        "<|im_start|>user\nStart with 3.\nBox it.<|im_end|>\n<|im_start|>assistant\n\\boxed{3}<|im_end|>\n"
        "<|im_start|>user\nStart with 4.\nBox it.<|im_end|>\n<|im_start|>assistant\n\\boxed{4}<|im_end|>\n"
        "<|im_start|>user\nStart with 7. Add 5.\nBox it.<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )


def test_a_prompt_without_examples_is_what_it_was() -> None:
    assert prompt_of(MODEL).count("<|im_start|>") == 2


def test_a_template_that_hides_thoughts_shows_the_final_part_of_an_example(tmp_path: Path) -> None:
    model = model_with(tmp_path, THOUGHTLESS)
    shown = prompt_of(model, Example("e", 1, "Start with 3.", "3 it is.</think>\n\n\\boxed{3}"))
    assert "\\boxed{3}<|im_end|>" in shown and "3 it is" not in shown


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[-1].content }}", r"e, line 2: the chat template of .* shows no earlier turns; remove problems"),
        (
            "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}{{ messages[0].content }}",
            r"problems\.examples: the chat template of .* takes no earlier turns \(one turn only\); remove the examples",
        ),
    ],
)
def test_a_template_without_earlier_turns_is_told(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prompt_of(model_with(tmp_path, template), Example("e", 2, "Start with 3.", "\\boxed{3}"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "examples.jsonl: holds no examples; fill it or remove problems.examples from the study file"),
        (["{"], "line 1: is not JSON"),
        (["[]"], "line 1: is not a JSON object; write one object with problem and completion per line"),
        ([SOLVED, {"problem": "1"}], "line 2: completion is missing; every example needs one"),
        ([{"problem": " ", "completion": "x"}], "line 1: problem is empty; every example needs one"),
        ([{"problem": "1", "completion": 7}], "line 1: completion must be text but is 7"),
    ],
)
def test_each_fault_of_the_file_is_one_sentence(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(UserError) as told:
        read_examples(written(tmp_path, *rows), tmp_path)
    assert message in str(told.value) and "\n" not in str(told.value)


def test_a_missing_file_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read .*; correct its path in problems\.examples"):
        read_examples("none.jsonl", tmp_path)


EVALUATED = "A farmer sells 12 eggs each day at the market and keeps 3 of them for the breakfast of his family"


def study_with(folder: Path, *examples: Any) -> Problems:
    problems = [f"Number {n} of the {'abcdefghij'[n]} kind: what is {n} and {n}?" for n in range(8)]
    rows = [{"problem": text, "answer": str(n), "level": 1} for n, text in enumerate(problems)]
    written(folder, *rows[:4], name="train.jsonl")
    written(folder, *rows[4:], {"problem": EVALUATED, "answer": "7", "level": 1}, name="exam.jsonl")
    sources = {"t": {"path": "train.jsonl", "use": "train"}, "e": {"path": "exam.jsonl", "use": "eval"}}
    return Problems.model_validate(
        {"prompt": "{problem}", "sources": sources, "dev_share": 0.4, "examples": written(folder, *examples)}
    )


def test_examples_leave_the_tables_of_problems_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = study_with(tmp_path, SOLVED)
    without = assemble(shown.model_copy(update={"examples": None}), 1, tmp_path)
    for one, other in zip(assemble(shown, 1, tmp_path), without, strict=True):
        assert one.equals(other)
    assert "examples are training problems" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "method"),
    [(EVALUATED, "exact"), (f"{EVALUATED.upper()} ", "exact"), (f"{EVALUATED} today.", "ngram")],
)
def test_an_example_that_gives_an_evaluation_problem_away_is_refused_and_both_are_named(
    tmp_path: Path, problem: str, method: str
) -> None:
    study = study_with(tmp_path, SOLVED, {"problem": problem, "completion": "\\boxed{7}"})
    with pytest.raises(UserError) as told:
        assemble(study, 1, tmp_path)
    said = str(told.value)
    assert "examples.jsonl, line 2: the example" in said and "exam.jsonl, line 5" in said and f"({method}, " in said
    assert said.endswith("show another problem.") and "\n" not in said


def test_an_example_of_a_training_problem_is_allowed_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {"problem": "Number 1 of the b kind: what is 1 and 1?", "completion": "\\boxed{2}"}
    assemble(study_with(tmp_path, same), 1, tmp_path)
    assert "1 of the examples are training problems, too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("completion", "asked", "fits"),
    [
        ("3+4=7. \\boxed{7}", "boxed", True),
        ("hm</think>\\boxed{7}", "boxed", True),
        ("hm \\boxed{7}</think>7", "boxed", False),
        ("3+4=7.\nAnswer: 7", "boxed", False),
        ("3+4=7.\nAnswer: 7", "line", True),
        ("Answer: 7\nSo be it.", "line", False),
    ],
)
def test_an_example_is_itself_in_the_asked_format(tmp_path: Path, completion: str, asked: Any, fits: bool) -> None:
    study = study_with(tmp_path, {"problem": SOLVED["problem"], "completion": completion})
    if fits:
        assemble(study, 1, tmp_path, asked)
        return
    with pytest.raises(UserError, match=rf"line 1: the completion gives no answer .* \(grading\.answer: {asked}\)"):
        assemble(study, 1, tmp_path, asked)
