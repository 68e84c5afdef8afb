"""The thirty mistakes of docs/questions.md: each is made, and told in the one sentence that stands there."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.commands.main import run
from selfdistill.foundation.errors import UserError

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TOLD = {int(number): sentence.replace("`", "") for number, _, sentence in ROW.findall((ROOT / "docs/questions.md").read_text())}  # fmt: skip
FILE = "config/my.yaml"


class Desk:
    """A newcomer's folder: the project, forty problems, and a study of them that nothing is wrong with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = (folder / FILE).read_text()

    @classmethod
    def made_in(cls, folder: Path) -> "Desk":
        for name in ("resources", "workflow_scripts"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "config").mkdir()
        shutil.copy(ROOT / "config/throughputs.yaml", folder / "config")
        rows = [{"problem": f"Start with {n}. Add {3 * n}.", "answer": str(4 * n), "level": 1} for n in range(10, 50)]
        cls.write_problems(folder / "learn.jsonl", rows[:20])
        cls.write_problems(folder / "ask.jsonl", rows[20:])
        run(
            ["init", "my", "--problems", "learn.jsonl", "ask.jsonl", "--model", "resources/lab/model", "--where", "cpu"]
        )
        return cls(folder)

    @staticmethod
    def write_problems(file: Path, rows: list[dict[str, Any]]) -> None:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def replace(self, before: str, after: str) -> None:
        assert before in self.text, before
        (self.folder / FILE).write_text(self.text.replace(before, after, 1))

    def change(self, change: Callable[[dict[str, Any]], Any]) -> None:
        study = yaml.safe_load(self.text)
        change(study)
        (self.folder / FILE).write_text(yaml.safe_dump(study, sort_keys=False))

    def change_problem(self, **changes: Any) -> None:
        rows = [json.loads(line) for line in (self.folder / "learn.jsonl").read_text().splitlines()]
        rows[6] = {key: value for key, value in (rows[6] | changes).items() if value is not None}
        self.write_problems(self.folder / "learn.jsonl", rows)

    def own_model(self) -> Path:
        shutil.copytree(ROOT / "resources/lab/model", self.folder / "model")
        self.replace("path: resources/lab/model", "path: model")
        return self.folder / "model"

    def change_json(self, name: str, **changes: Any) -> None:
        file = self.own_model() / name
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Desk.made_in(folder).folder


Mistake = Callable[[Desk], list[str] | None]  # what is called, where it is not `forklock check config/my.yaml`


def pickled(desk: Desk) -> None:
    (desk.own_model() / "model.safetensors").rename(desk.folder / "model/pytorch_model.bin")


def pointer(desk: Desk) -> None:
    (desk.own_model() / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def other_results(desk: Desk) -> None:
    study = yaml.safe_load(desk.text)
    (desk.folder / "results/my").mkdir(parents=True)
    (desk.folder / "results/my/study.yaml").write_text(yaml.safe_dump(study | {"seed": 1}))


def spreadsheet(desk: Desk) -> None:
    (desk.folder / "learn.jsonl").write_text("problem,answer,level\n1+1,2,1\n")


def latin(desk: Desk) -> None:
    (desk.folder / "learn.jsonl").write_bytes('{"problem": "Größe?", "answer": "1", "level": 1}\n'.encode("latin-1"))


def twice(desk: Desk) -> None:
    (desk.folder / FILE).write_text(desk.text + "seed: 3\n")


def twin(study: dict[str, Any]) -> None:
    study["arms"]["hotter"] = study["arms"]["ssd"]


MISTAKES: dict[int, Mistake] = {
    # the study file
    1: lambda desk: desk.replace("  path: resources/lab/model", "\tpath: resources/lab/model"),
    2: lambda desk: desk.replace("temperature: 0.7", "temprature: 0.7"),
    3: lambda desk: desk.replace("lr: 3.0e-05", "lr: 3e-5"),
    4: twice,
    5: lambda desk: desk.change(lambda study: study.pop("evaluation")),
    6: lambda desk: desk.replace("seeds: [0]", "seeds: 0"),
    7: lambda desk: desk.replace("decode: t11", "decode: t1.1"),
    8: lambda desk: desk.change(lambda study: study["hypotheses"]["ssd-at-0-7"].update(arm="sdd")),
    9: lambda desk: desk.change(twin),
    10: lambda desk: desk.change(lambda study: study["decodes"]["t07"].update(max_tokens=4096)),
    11: lambda desk: desk.change(lambda study: study["training"].update(samples=500)),
    12: lambda desk: desk.change(lambda study: study["problems"].update(prompt="Solve it.")),
    # the problems
    13: lambda desk: desk.replace("path: learn.jsonl", "path: lern.jsonl"),
    14: spreadsheet,
    15: lambda desk: desk.change_problem(level=None),
    16: lambda desk: desk.change_problem(answer="\\frac{64"),
    17: lambda desk: desk.change_problem(problem="Start with 10. Add 30."),
    18: latin,
    # the model
    19: lambda desk: desk.replace("path: resources/lab/model", "path: hub/My-Model"),
    20: pickled,
    21: pointer,
    22: lambda desk: desk.change_json("tokenizer_config.json", chat_template=None),
    23: lambda desk: desk.change_json("config.json", max_position_embeddings=64),
    24: lambda desk: desk.change(lambda study: study["model"].update(chat={"enable_thinking": False})),
    # the command and the folder
    25: lambda desk: ["forklock", "chek", FILE],
    26: lambda desk: ["elsewhere", "check", FILE],
    27: lambda desk: ["forklock", "check", "config/my-one.yaml"],
    28: lambda desk: ["make", "plan", f"STUDY={FILE}"],
    29: lambda desk: ["forklock", "plan", FILE, "--pilot", "results/my"],
    # results that are there
    30: other_results,
}  # fmt: skip


def test_the_page_has_thirty_and_so_has_the_test() -> None:
    assert list(TOLD) == list(MISTAKES) == list(range(1, 31))


@pytest.mark.parametrize("number", MISTAKES)
def test_a_mistake_is_told_in_its_sentence(
    number: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    command = MISTAKES[number](desk) or ["forklock", "check", FILE]
    errors = [line for line in said(command, capsys).splitlines() if not line.startswith("make: ")]
    wrong = [line for line in errors if not line.startswith(("note: ", "not looked at: ", "my: "))]
    assert len(wrong) == 1, errors
    assert re.fullmatch(as_pattern(TOLD[number]), wrong[0]), wrong[0]


def said(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    if command[0] == "forklock":
        try:
            assert run(command[1:])
        except UserError as error:
            return f"error: {error}"
        return capsys.readouterr().err
    if command[0] == "make":
        called = ["make", "--file", str(ROOT / "Makefile"), *command[1:]]
        done = subprocess.run(called, capture_output=True, text=True)
    else:
        called = [sys.executable, str(ROOT / "workflow_scripts/forklock.py"), *command[1:]]
        done = subprocess.run(called, cwd="/", capture_output=True, text=True)
    assert done.returncode
    return done.stderr


def as_pattern(sentence: str) -> str:
    """A dot-dot-dot stands for what is this machine's or needs not be read."""
    return ".*".join(map(re.escape, sentence.split("…")))
