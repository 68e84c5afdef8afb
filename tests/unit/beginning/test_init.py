"""`forklock init`: a whole, commented and checked study of one's own problems and model, or a sentence and nothing."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.beginning.choices import thinks_by_name
from selfdistill.beginning.commented import commented, section_within
from selfdistill.commands.main import run
from selfdistill.foundation.errors import UserError
from selfdistill.study.section import Section
from selfdistill.study.study import Study

GIVEN = ("--model", "resources/lab/model", "--where", "cpu")


def problem(number: int, **more: Any) -> dict[str, Any]:
    told = f"Start with {number}. Add {3 * number + 1}. Subtract {number % 7}. Multiply by {number % 5 + 2}."
    answer = (4 * number + 1 - number % 7) * (number % 5 + 2)
    return {"problem": told, "answer": str(answer), "level": 1 + number % 3} | more


def write(file: str, rows: list[dict[str, Any]]) -> str:
    Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the project brings, and forty problems of one's own."""
    monkeypatch.chdir(tmp_path)
    Path("resources").symlink_to(ROOT / "resources")
    Path("config").mkdir()
    shutil.copy(ROOT / "config/throughputs.yaml", "config")
    write("mine.jsonl", [problem(number) for number in range(10, 50)])
    return tmp_path


def test_a_study_is_written_whole_commented_and_right(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "mine", "--problems", "mine.jsonl", *GIVEN]) == 0
    said = capsys.readouterr().out
    text = Path("config/mine.yaml").read_text()
    study = yaml.safe_load(text)
    learn, ask = (Path(f"config/mine-to-{use}.jsonl").read_text().splitlines() for use in ("learn", "ask"))
    assert sorted([*learn, *ask]) == sorted(Path("mine.jsonl").read_text().splitlines())
    assert f"{len(learn)} problems to learn from, {len(ask)} to be asked, 2 trainings." in said
    assert (study["training"]["samples"], study["model"]["thinks"]) == (len(learn), True)
    assert max(map(len, text.splitlines())) <= 130
    assert run(["check", "config/mine.yaml"]) == 0
    for told in re.findall(r"^  (forklock .*)$", said, re.MULTILINE):
        assert run(told.split()[1:]) == 0, told


def test_every_key_that_is_written_has_the_sentence_of_the_schema(here: Path) -> None:
    run(["init", "mine", "--problems", "mine.jsonl", *GIVEN])
    text = " ".join(Path("config/mine.yaml").read_text().replace("#", " ").split())
    missing = [key for key, sentence in sentences(Study, yaml.safe_load(Path("config/mine.yaml").read_text())) if sentence not in text]  # fmt: skip
    assert missing == []


def sentences(section: type[Section], content: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        field = section.model_fields[key]
        inner = section_within(field.annotation)
        if inner is None or not isinstance(value, dict):
            assert field.description, f"{before}{key} has no sentence"
        yield f"{before}{key}", " ".join((field.description or "").split())
        if inner is not None and isinstance(value, dict):
            named = value.values() if str(field.annotation).startswith("dict") else [value]
            for each in named:
                yield from sentences(inner, each, f"{before}{key}.")


def test_numbers_are_as_a_person_writes_them_and_one_seed_is_said_to_be_one_training(here: Path) -> None:
    run(["init", "mine", "--problems", "mine.jsonl", *GIVEN])
    assert run(["init", "field", "--problems", "mine.jsonl", "--model", "Qwen/Qwen3-4B", "--where", "slurm"]) == 0
    numbers = re.findall(r"lr_floor: (\S+)", "".join(map(Path.read_text, sorted(Path("config").glob("*.yaml")))))
    assert numbers == ["1.0e-06", "6.0e-06"]
    text = " ".join(Path("config/mine.yaml").read_text().replace("#", " ").split())
    assert "With one seed a verdict speaks of one training; with several, as [0, 1, 2], of the method." in text


def test_what_is_written_is_read_as_what_it_was() -> None:
    for file in ("config.yaml", "config/smoke.yaml", "config/doubt-lab.yaml", "config/qwen3.5-4b.yaml"):
        study = yaml.safe_load((ROOT / file).read_text())
        assert yaml.safe_load(commented(study)) == study


def test_the_context_has_room_for_a_prompt_that_is_reworded(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["init", "mine", "--problems", "mine.jsonl", *GIVEN])
    reworded(" And once more: put the answer in a box.")
    assert run(["check", "config/mine.yaml"]) == 0


def test_check_finds_the_prompt_that_no_longer_fits_by_tokens_and_not_by_letters(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = problem(60, problem="Start with 1. " + "9" * 100)
    letters = problem(61, problem="Start with 2. " + "Multiply " * 20)
    assert len(digits["problem"]) < len(letters["problem"])
    write("learn.jsonl", [problem(number) for number in range(100, 130)])
    write("ask.jsonl", [letters, digits, *(problem(number) for number in range(10, 50))])
    run(["init", "mine", "--problems", "learn.jsonl", "ask.jsonl", *GIVEN])
    reworded(" Once more." * 20)
    assert run(["check", "config/mine.yaml"]) == 1
    assert re.search(
        r"model.context: ask.jsonl, line 2 takes \d+ tokens as a prompt, and with the 256 of", capsys.readouterr().err
    )


def reworded(more: str) -> None:
    study = yaml.safe_load(Path("config/mine.yaml").read_text())
    study["problems"]["prompt"] += more
    Path("config/mine.yaml").write_text(yaml.safe_dump(study))


def test_two_files_are_taken_as_they_are(here: Path) -> None:
    write("learn.jsonl", [problem(number) for number in range(100, 130)])
    assert run(["init", "two", "--problems", "learn.jsonl", "mine.jsonl", *GIVEN]) == 0
    sources = yaml.safe_load(Path("config/two.yaml").read_text())["problems"]["sources"]
    assert {each["path"]: each["use"] for each in sources.values()} == {"learn.jsonl": "train", "mine.jsonl": "eval"}
    assert [file.name for file in Path("config").glob("*.jsonl")] == []


def test_a_family_is_not_divided(here: Path) -> None:
    write("mine.jsonl", [problem(number, family=f"of-{number // 4}") for number in range(40)])
    run(["init", "mine", "--problems", "mine.jsonl", *GIVEN])
    learn, ask = (
        {json.loads(line)["family"] for line in Path(f"config/mine-to-{use}.jsonl").read_text().splitlines()}
        for use in ("learn", "ask")
    )
    assert learn and ask and not learn & ask


def test_questions_are_asked_again_until_an_answer_will_do(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("My Study\nmine\ngone.jsonl\nmine.jsonl\n\nmoon\n\n"))
    assert run(["init"]) == 0
    said = capsys.readouterr()
    assert "'My Study' is no study's name" in said.err and "there is no file 'gone.jsonl'" in said.err
    assert "'moon' is no place to run; there are: cpu, gpu, slurm." in said.err
    assert yaml.safe_load(Path("config/mine.yaml").read_text())["model"]["path"] == "resources/lab/model"


@pytest.mark.parametrize("said", ["ada's.jsonl", "mine.jsonl\\"])
def test_a_name_that_cannot_be_read_is_asked_for_again(
    said: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.jsonl").rename("ada's.jsonl")
    monkeypatch.setattr("sys.stdin", Terminal(f'mine\n{said}\n"ada\'s.jsonl"\n\n\n'))
    assert run(["init"]) == 0
    assert f"problems: {said!r} is no list of files (no " in capsys.readouterr().err
    assert Path("config/mine.yaml").is_file()


def test_whoever_gives_up_gets_a_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("mine\n"))
    with pytest.raises(UserError, match="the questions were not answered; nothing was written"):
        run(["init"])
    assert not list(Path("config").glob("mine*"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_what_is_missing_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(UserError, match="--model, --where not given, and there is no terminal to ask in"):
        run(["init", "mine", "--problems", "mine.jsonl"])


def test_a_model_on_the_hub_may_be_named_before_it_is_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--model", "Qwen/Qwen3-4B-Thinking-2507", "--where", "slurm")
    assert run(["init", "field", "--problems", "mine.jsonl", *given]) == 0
    study, said = yaml.safe_load(Path("config/field.yaml").read_text()), capsys.readouterr().out
    assert study["model"]["path"] == "hub/Qwen3-4B-Thinking-2507" and study["model"]["thinks"] is True
    assert (study["training"]["lr"], study["training"]["gpus"], study["sampling"]["gpus"]) == (5.0e-6, 1, 1)
    assert "model.thinks: true is a guess from its name" in said
    assert "snakemake --profile slurm --sdm conda results/field/report.html --configfile config/field.yaml" in said


@pytest.mark.parametrize(
    ("hub", "thinks"),
    [
        ("Qwen/Qwen3-4B", True), ("Qwen/Qwen3.5-4B", True), ("Qwen/Qwen3-4B-Instruct-2507", False), ("Qwen/QwQ-32B", True),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", True), ("HuggingFaceTB/SmolLM3-3B", True), ("google/gemma-3-4b-it", False),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", False), ("somebody/model", None), ("thinkers/model", None),
    ],
)  # fmt: skip
def test_a_name_says_whether_a_model_thinks_or_says_nothing(hub: str, thinks: bool | None) -> None:
    assert thinks_by_name(hub) is thinks


def test_a_guess_is_called_one_in_the_file(here: Path) -> None:
    run(["init", "mine", "--problems", "mine.jsonl", "--model", "Qwen/Qwen3-4B", "--where", "gpu"])
    text = Path("config/mine.yaml").read_text()
    study = yaml.safe_load(text)
    assert (study["model"]["thinks"], study["decodes"]["t07"]["max_tokens"]) == (True, 8192)
    assert "This is a guess from the model's name" in " ".join(text.replace("#", " ").split())


@pytest.mark.parametrize(("answers", "thinks"), [("perhaps\nyes\n", True), ("\n", False)])
def test_where_a_name_says_nothing_a_person_is_asked(
    answers: str, thinks: bool, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answers))
    assert run(["init", "mine", "--problems", "mine.jsonl", "--model", "somebody/model", "--where", "gpu"]) == 0
    text = Path("config/mine.yaml").read_text()
    assert yaml.safe_load(text)["model"]["thinks"] is thinks and "guess" not in text
    assert "'perhaps' is neither yes nor no" in capsys.readouterr().err or not thinks


def test_what_is_said_of_a_model_counts_more_than_its_name(here: Path) -> None:
    told = ("--model", "Qwen/Qwen3-4B", "--where", "gpu", "--thinks", "no")
    run(["init", "mine", "--problems", "mine.jsonl", *told])
    assert yaml.safe_load(Path("config/mine.yaml").read_text())["model"]["thinks"] is False


def test_the_last_words_of_check_say_what_it_could_not_look_at(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["init", "mine", "--problems", "mine.jsonl", "--model", "somebody/model", "--where", "cpu"])
    assert run(["check", "config/mine.yaml"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        "mine: nothing is wrong as far as is known. Not looked at: the model's files and chat template, model.thinks, and "
        "whether prompts fit model.context; disk."
    )


def test_a_model_that_nobody_timed_is_no_mistake(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It can be checked, run and followed; only what it costs is not known."""
    shutil.copytree(ROOT / "resources/lab/model", "my-model")
    given = ("--model", "my-model", "--where", "cpu")
    assert run(["init", "own", "--problems", "mine.jsonl", *given]) == 0
    assert run(["check", "config/own.yaml"]) == 0 and run(["diff", "config/own.yaml"]) == 0
    assert run(["status", "config/own.yaml"]) == 0
    said = capsys.readouterr()
    assert "completions would be sampled, 2 of 2 trainings would run anew." in said.out
    assert "what is left is not reckoned: config/throughputs.yaml: models has no entry" in said.err
    with pytest.raises(UserError, match="whose known_by is a part of 'my-model'"):
        run(["plan", "config/own.yaml"])


WRONG = {
    "a name that is none": (["My Study", "--problems", "mine.jsonl", *GIVEN], r"name: 'My Study' is no study's name; write small"),
    "a study that is there": (["smoke", "--problems", "mine.jsonl", *GIVEN], r"config/smoke.yaml is there already, and is left"),
    "results of that name": (["done", "--problems", "mine.jsonl", *GIVEN], r"results/done holds the results of a study"),
    "a file that is not there": (["mine", "--problems", "gone.jsonl", *GIVEN], r"there is no file 'gone.jsonl'; give JSON Lines"),
    "one file twice": (["mine", "--problems", "mine.jsonl", "./mine.jsonl", *GIVEN], r"mine.jsonl is given twice"),
    "three files": (["mine", "--problems", "a", "b", "c", *GIVEN], r"give one file, which is divided, or two"),
    "a spreadsheet": (["mine", "--problems", "table.csv", *GIVEN], r"table.csv, line 1: is not JSON"),
    "an empty file": (["mine", "--problems", "none.jsonl", *GIVEN], r"^problems: none.jsonl is empty; give JSON Lines with problem"),
    "three problems": (["mine", "--problems", "few.jsonl", *GIVEN], r"^few.jsonl: \d problems? (is|are) left to learn from, .*; add problems\.$"),
    "answers in prose": (["mine", "--problems", "prose.jsonl", *GIVEN], r"(?s)prose.jsonl, line 2: .*prose.jsonl, line 4: "),
    "problems all alike": (["mine", "--problems", "alike.jsonl", *GIVEN], r"alike.jsonl: its problems are all alike"),
    "a name that ends a line": (["mine\n", "--problems", "mine.jsonl", *GIVEN], r"name: 'mine\\n' is no study's name"),
    "a model that ends a line": (["mine", "--problems", "mine.jsonl", "--model", "a/b\n", "--where", "cpu"], r"model: there is no folder 'a/b\\n'"),
    "a model that is not there": (["mine", "--problems", "mine.jsonl", "--model", "gone", "--where", "cpu"], r"model: there is no folder 'gone'"),
    "a model of nothing": (["mine", "--problems", "mine.jsonl", "--model", "config", "--where", "cpu"], r"config: is not a model folder|holds no config.json"),
    "nowhere": (["mine", "--problems", "mine.jsonl", "--model", "resources/lab/model", "--where", "slrum"], r"'slrum' is no place to run; did you mean 'slurm'"),
    "too long a problem": (["mine", "--problems", "long.jsonl", *GIVEN], r"which leaves no room for an answer"),
}  # fmt: skip


@pytest.mark.parametrize("given", WRONG)
def test_a_mistake_is_a_sentence_and_nothing_is_written(here: Path, given: str) -> None:
    shutil.copy(ROOT / "config/smoke.yaml", "config")
    Path("results/done").mkdir(parents=True)
    Path("table.csv").write_text("problem,answer,level\n1+1,2,1\n")
    prose = [problem(number, **({"answer": "\\frac{"} if number in (1, 3) else {})) for number in range(20)]
    write("prose.jsonl", prose)
    write("none.jsonl", [])
    write("few.jsonl", [problem(number) for number in (3, 17, 40)])
    write("alike.jsonl", [problem(number, family="one") for number in range(20)])
    write("long.jsonl", [problem(1, problem="Start with 1. " + "Add 12. " * 200), *map(problem, range(20))])
    before = {file: file.read_bytes() for file in sorted(here.rglob("*")) if file.is_file() and "resources" not in file.parts}  # fmt: skip
    command, sentence = WRONG[given]
    with pytest.raises(UserError, match=sentence):
        run(["init", *command])
    after = {file: file.read_bytes() for file in sorted(here.rglob("*")) if file.is_file() and "resources" not in file.parts}  # fmt: skip
    assert after == before


def test_problems_that_stand_there_twice_are_noted_once(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write("mine.jsonl", [problem(number) for number in [*range(10, 50), 10, 11, 12]])
    assert run(["init", "mine", "--problems", "mine.jsonl", *GIVEN]) == 0
    said = capfd.readouterr()
    noted = re.findall(r"(\d) of its problems stood elsewhere already", said.out)
    assert said.err == "" and sum(map(int, noted)) == 3 and len(noted) <= 2


def test_where_nothing_can_be_written_nothing_stays(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def full_disk(path: Path, text: str) -> None:
        if path.suffix == ".yaml":
            raise OSError(28, "No space left on device", str(path))
        path.write_text(text)
        written.append(path)

    monkeypatch.setattr("selfdistill.beginning.begin.write_text", full_disk)
    with pytest.raises(UserError, match=r"config/mine.yaml: cannot be written \(No space left on device\)"):
        run(["init", "mine", "--problems", "mine.jsonl", *GIVEN])
    assert len(written) == 2 and not any(path.exists() for path in written)


def test_a_reader_that_has_read_enough_is_no_fault() -> None:
    done = subprocess.run(
        f"{sys.executable} workflow_scripts/forklock.py plan config/smoke.yaml | head -1", shell=True, cwd=ROOT, capture_output=True, text=True
    )  # fmt: skip
    assert done.stderr == "" and done.stdout.startswith("smoke: ")
