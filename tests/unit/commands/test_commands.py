"""The command `forklock`: every subcommand says what it does, and what is wrong in a sentence."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.commands.main import COMMANDS, module_of, parser_of, run, run_here
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


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("config", "--rows: config is a folder; name a file in it that ends in .parquet."),
        ("config/gone.yaml", "--rows: config/gone.yaml does not end in .parquet; name a file that does."),
        ("README.md/x.parquet", "--rows: the folder README.md is a file; make it first, or name another."),
        ("not/there/x.parquet", "--rows: the folder not/there is not there; make it first, or name another."),
    ],
)
def test_rows_go_where_a_file_can_be(place: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        run(["redo", "config/smoke.yaml", "any", "--rows", place])
    assert str(raised.value) == said and not Path("not").exists()


def test_rows_are_written_over_no_file_that_is_there(tmp_path: Path) -> None:
    there = tmp_path / "graded.parquet"
    there.write_bytes(b"rows")
    with pytest.raises(UserError) as raised:
        run(["redo", "config/smoke.yaml", "any", "--rows", str(there)])
    assert str(raised.value) == f"--rows: {there} is there already; name another place, or remove it."
    assert there.read_bytes() == b"rows"


def test_a_file_in_the_way_is_a_sentence_whatever_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = changed(tmp_path, study="in-the-way")
    for name in ("config", "resources", "workflow_scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    folder = Path("results/in-the-way-rehearsal")
    folder.parent.mkdir()
    folder.write_text("")
    with pytest.raises(
        UserError, match=r"results/in-the-way-rehearsal.*: cannot be read or written \(Not a directory\); see to"
    ):
        run_here(["rehearse", study])


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf", "soon"])
def test_status_is_watched_every_so_many_seconds_above_none(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["status", "config/smoke.yaml", f"--watch={seconds}"])
    assert f"argument --watch: {seconds!r} is no number of seconds above 0" in capsys.readouterr().err


def told_by_check(file: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["check", file]) == 1
    said = capsys.readouterr().err.replace(file, "FILE")
    assert said.count("error: ") == int(said.rsplit("\n", 2)[1].split(": ")[1].split()[0])  # it ends with how many
    return said


def test_a_slip_of_type_hides_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    sources = study["problems"]["sources"] | {"drills": {"path": "gone.jsonl", "use": "train"}}
    file = changed(
        tmp_path,
        study="slips",
        problems=study["problems"] | {"sources": sources},
        model=study["model"] | {"path": "gone/model"},
        evaluation=study["evaluation"] | {"draws": 0},
    )
    said = told_by_check(file, capsys)
    assert "evaluation.draws: needs a whole number above 0" in said
    assert "model.path: there is no folder 'gone/model'" in said
    assert "problems.sources.drills.path: there is no file 'gone.jsonl'" in said
    assert "not looked at: FILE: study file: what rests on evaluation.draws is looked at once that is right." in said
    assert "3 things are wrong, and 2 could not be looked at." in said


def test_a_wrong_name_is_told_beside_four_slips_and_nothing_that_follows_from_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    t07 = {("tempreature" if key == "temperature" else key): value for key, value in study["decodes"]["t07"].items()}
    file = changed(
        tmp_path,
        study="slips",
        training=study["training"] | {"lr": "fast"},
        model=study["model"] | {"context": "long"},
        decodes=study["decodes"] | {"t07": t07},
        evaluation=study["evaluation"] | {"resamples": -1},
        arms=study["arms"] | {"ssd": study["arms"]["ssd"] | {"decode": "plian"}},
    )
    said = told_by_check(file, capsys)
    assert said.count("error: ") == 5
    assert "arms.ssd.decode: no decode is named 'plian'; did you mean 'plain'?" in said


@pytest.mark.parametrize("section", ["model", "problems", "decodes", "training", "arms", "evaluation", "study"])
def test_a_section_that_is_not_there_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str
) -> None:
    study = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in study.items() if key != section}))
    said = told_by_check(str(file), capsys)
    assert f"error: FILE: {section}: is missing" in said and said.count("error: ") == 1


def test_problems_to_learn_that_are_those_asked_are_told_before_a_job_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (ROOT / "resources/lab/problems/quiz.jsonl").read_text().splitlines(keepends=True)
    for name in ("learn", "ask"):
        (tmp_path / f"{name}.jsonl").write_text("".join(rows[:120]))
    study = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    uses = {"learn": "train", "ask": "eval"}
    sources = {name: {"path": str(tmp_path / f"{name}.jsonl"), "use": use} for name, use in uses.items()}
    training = study["training"] | {"samples": 100, "examples": 64}
    file = changed(tmp_path, study="same", problems=study["problems"] | {"sources": sources}, training=training)
    said = told_by_check(file, capsys)
    assert "problems.contamination: 120 training problems are too like one that is asked, and left out." in said
    assert (
        "training.samples: asks for 100 problems, and without copies and contamination there are 0; lower it." in said
    )


@pytest.mark.parametrize("results", ["blocked", "blocked/below"])
def test_results_that_can_be_no_folder_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, results: str
) -> None:
    for name in ("resources", "config", "config.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    file = changed(tmp_path, study="blocked", results=results)
    (tmp_path / "blocked").write_text("")
    monkeypatch.chdir(tmp_path)
    assert "results: blocked is a file; move it away, or name another folder." in told_by_check(file, capsys)


@pytest.mark.parametrize("text", ["passwd: files\ngroup: files\n", "127.0.0.1 localhost\n", "model: x\nA: b\nB: c\n"])
def test_of_a_file_that_is_no_study_nothing_is_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "no-study.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="(holds no keys|is no study file); config.yaml shows what") as raised:
        run(["check", str(file)])
    assert not any(word in str(raised.value) for word in ("passwd", "files", "localhost", "A:"))
