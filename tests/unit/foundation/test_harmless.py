"""What a terminal is told of another's study file cannot move its cursor, colour it or turn its lines."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT
from selfdistill.foundation.harmless import Harmless, harmless


def test_what_would_act_is_shown_by_its_number_and_what_is_written_stays() -> None:
    assert harmless("a\x1b[2Jb\x07\x9bc\u202ed\r") == "a⟨001B⟩[2Jb⟨0007⟩⟨009B⟩c⟨202E⟩d⟨000D⟩"
    written = "Größe\t1\n−3 points, ⟨x⟩ 数 שלום 🙂"
    assert harmless(written) == written


def test_a_stream_keeps_what_its_bars_need() -> None:
    into = io.StringIO()
    stream = Harmless(into, "\r")
    stream.writelines(["\r10 %", "\x1b[31m"])
    print("\x1b]0;title", file=stream, flush=True)  # type: ignore[call-overload]
    assert into.getvalue() == "\r10 %⟨001B⟩[31m⟨001B⟩]0;title\n"


def test_no_command_hands_an_escape_code_of_a_study_file_on(tmp_path: Path) -> None:
    for name in ("resources", "workflow_scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/throughputs.yaml", tmp_path / "config")
    text = (ROOT / "config/smoke.yaml").read_text()
    hostile = text.replace("path: resources/lab/model", 'path: "hub/\\x1b[2Jgone"\n  hub: some/model', 1)
    assert hostile != text
    (tmp_path / "config/mine.yaml").write_text(hostile)
    done = subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", "check", "config/mine.yaml"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "hub/⟨001B⟩[2Jgone is not there yet" in done.stderr and "\x1b" not in done.stdout + done.stderr
