"""The command `forklock`: every subcommand says what it does, and what is wrong in a sentence."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.commands.main import COMMANDS, module_of, parser_of, run
from selfdistill.foundation.errors import UserError
from selfdistill.machine.provenance import code_version


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does_and_how_it_is_called(command: str) -> None:
    module = module_of(command)
    assert module.SUMMARY.endswith(".") and f"forklock {command}" in str(module.__doc__)
    said = parser_of(command, module).format_help()
    assert str(module.__doc__).split("\n")[0] in said


def test_the_overview_lists_all_commands_and_a_slip_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run([])
    said = capsys.readouterr().out
    assert all(f"  {command} " in said for command in COMMANDS)
    assert run(["statsu"]) == 2
    assert "forklock has no command 'statsu'; did you mean 'status'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(["--version"])
    assert capsys.readouterr().out.strip() == f"forklock {code_version()}"


def test_without_being_installed_it_runs_from_the_clone() -> None:
    done = subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", "check", "--file-alone", "config/smoke.yaml"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == "smoke: nothing is wrong.\n"


def changed(folder: Path, **sections: Any) -> str:
    study = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    for name, changes in sections.items():
        study[name] = (study[name] | changes) if isinstance(changes, dict) else changes
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    return str(file)


def test_check_tells_all_that_is_wrong_beyond_the_file_at_once_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"problem": "What is 1+1?", "answer": "2", "level": 1},
        {"problem": "What is 1+2?", "answer": "three or so {", "level": 1},
        {"problem": "What is 1+3?", "answer": "\\frac{", "level": 1},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    study = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    sources = {"mine": {"path": str(tmp_path / "train.jsonl"), "use": "train"}}
    sources |= {name: source for name, source in study["problems"]["sources"].items() if source["use"] == "eval"}
    file = changed(
        tmp_path,
        problems=study["problems"] | {"sources": sources},
        model=study["model"] | {"chat": {"enable_thinking": False}},
    )
    assert run(["check", file]) == 1
    said = capsys.readouterr().err
    lines = Path(file).read_text().splitlines()
    chat = 1 + next(number for number, line in enumerate(lines) if "chat:" in line)
    assert f"error: {file}:{chat + 1}: model.chat.enable_thinking: the chat template of" in said
    assert "line 3: the answer '\\\\frac{' is not one that math-verify can read" in said
    assert (
        f"training.samples: asks for {study['training']['samples']} problems, but the train sources hold 3 at most"
        in said
    )
    assert said.count("error: ") == int(said.rsplit(": ", 1)[1].split()[0]) >= 3


def test_check_says_what_it_cannot_look_at_yet(capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", "config/qwen3.5-4b.yaml"])
    said = capsys.readouterr().err
    assert "not looked at: config/qwen3.5-4b.yaml:16: model.path: hub/Qwen3.5-4B is not there yet" in said


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("init", "rehearse", "examine")])
def test_a_study_file_that_is_not_there_is_a_sentence(command: str) -> None:
    with pytest.raises(UserError, match=r"gone\.yaml: there is no such study file; give its path"):
        run([command, "gone.yaml"])
