"""The thirty mistakes of docs/questions.md: each is made, and told in the one sentence that stands there.

What interrupts a run stands in a second table: it is brought about as it happens, and told in its sentence.
"""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ENVIRONMENT, PATIENCE, READY, ROOT
from selfdistill.commands.main import run
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.journal.journal import Journal
from selfdistill.training.handover.checkpoints import WorkFolder

ROW = re.compile(r"^\| (\w+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = {number: sentence.replace("`", "") for number, _, sentence in ROW.findall((ROOT / "docs/questions.md").read_text())}  # fmt: skip
TOLD = {int(number): sentence for number, sentence in ROWS.items() if number.isdecimal()}
CUT_SHORT = {letter: sentence for letter, sentence in ROWS.items() if not letter.isdecimal()}
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


SAMPLE = {
    "request_id": "a", "token_ids": [1], "text": "x", "n_tokens": 1, "finish_reason": "stop", "logprob": -1.0,
    "engine": "hf", "engine_version": "1", "seconds": 0.1,
}  # fmt: skip
JOURNAL = Path("results/my/models/base/journal-0")


def opened_by_a_reader(pipe: str) -> int | None:
    """Its end to write to, once somebody has opened it to read: to wait for that would be for ever, where nobody does."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def stopped_by_hand() -> str:
    """At a moment that is sure: the command waits for a study file that nobody has begun to write."""
    os.mkfifo("waits.yaml")
    command = [sys.executable, "workflow_scripts/forklock.py", "check", "waits.yaml"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        while (writer := opened_by_a_reader("waits.yaml")) is None and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1]
    assert writer is not None and process.returncode == 1, said
    os.close(writer)
    return said.splitlines()[-1]


def lock_left_behind() -> str:
    """As Snakemake leaves it when it is killed; this is its own sentence."""
    Path("Snakefile").write_text('rule all:\n    output: "made"\n    shell: "touch made"\n')
    Path(".snakemake/locks").mkdir(parents=True)
    Path(".snakemake/locks/0.output.lock").write_text("made\n")
    status, said = READY.run(["snakemake", "--cores", "1"], Path.cwd())
    assert status and not Path("made").exists()
    return " ".join(said[said.index("Directory cannot be locked") :].split())


def killed_in_a_line() -> str:
    with Journal(JOURNAL, "hf") as journal:
        journal.append(SAMPLE)
        journal.append(SAMPLE | {"request_id": "b"})
    [lines] = JOURNAL.glob("*.jsonl")
    lines.write_bytes(lines.read_bytes()[:-7])
    with Journal(JOURNAL, "hf") as again:
        assert again.held().to_list() == ["a"]
        return again.damaged[0]


def full_disk() -> str:
    with Journal(JOURNAL, "hf") as journal:
        journal.append(SAMPLE)
        assert journal._writer is not None
        with open("/dev/full", "wb") as full:  # the kernel's own refusal
            os.dup2(full.fileno(), journal._writer)
        with pytest.raises(UserError) as refused:
            journal.append(SAMPLE | {"request_id": "b"})
        journal._writer = None
    with Journal(JOURNAL, "hf") as again:
        assert again.held().to_list() == ["a"]
    return f"error: {refused.value}"


def two_samplers() -> str:
    with Journal(JOURNAL, "hf"), pytest.raises(UserError) as refused:
        Journal(JOURNAL, "hf").__enter__()
    return f"error: {refused.value}"


def two_trainers() -> str:
    work = Path("results/my/runs/ssd/seed-0/work")
    with WorkFolder(work).locked(), pytest.raises(UserError) as refused, WorkFolder(work).locked():
        pass
    return f"error: {refused.value}"


INTERRUPTIONS = {
    "a": stopped_by_hand, "b": lock_left_behind, "c": killed_in_a_line, "d": full_disk, "e": two_samplers, "f": two_trainers,
}  # fmt: skip


def test_the_page_has_every_interruption() -> None:
    assert list(CUT_SHORT) == list(INTERRUPTIONS)


@pytest.mark.parametrize("letter", INTERRUPTIONS)
def test_an_interruption_is_told_in_its_sentence(
    letter: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORKLOCK_WORK", raising=False)
    told = INTERRUPTIONS[letter]()
    assert re.fullmatch(as_pattern(CUT_SHORT[letter]), told), told
