"""The report in a real browser: it opens from disk, runs nothing, asks the network for nothing, and fits a phone."""

import re
import subprocess
from pathlib import Path

import pytest

from report_fixture import report_inputs
from selfdistill.reporting.page import build_report

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
PHONE = 500  # pixels: the narrowest window that desktop Chromium opens


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "report.html"
    build_report(report_inputs(), path)
    return path


def opened(chromium: str, page: Path, profile: Path, *options: str) -> tuple[str, str]:
    """The document after loading, and what the browser wrote to its log."""
    command = [chromium, *QUIET, f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0", *options]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def console_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if re.search(r"CONSOLE|Uncaught|Refused to", line)]


def test_the_report_opens_without_a_word_on_the_console(chromium: str, report: Path, tmp_path: Path) -> None:
    document, log = opened(chromium, report, tmp_path / "profile")
    assert console_lines(log) == []
    assert 'id="provenance"' in document and document.count("<svg") == 11
    assert "<script" not in document


def test_the_console_is_really_listened_to(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text("<!doctype html><title>loud</title><script>throw new Error('heard')</script>", encoding="utf-8")
    assert "heard" in "\n".join(console_lines(opened(chromium, page, tmp_path / "profile")[1]))


def test_a_script_that_slipped_through_would_be_refused_by_the_policy(
    chromium: str, report: Path, tmp_path: Path
) -> None:
    page = tmp_path / "slipped.html"
    slipped = "<script>document.title = 'it ran'</script><img src=x onerror=\"document.title = 'it ran'\"></main>"
    page.write_text(report.read_text(encoding="utf-8").replace("</main>", slipped), encoding="utf-8")
    document, log = opened(chromium, page, tmp_path / "profile")
    assert "<title>it ran" not in document
    assert console_lines(log)


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_the_page_never_scrolls_sideways(chromium: str, report: Path, tmp_path: Path, width: int) -> None:
    probe = "<script>document.title = `wide ${document.documentElement.scrollWidth} of ${innerWidth}`</script></body>"
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text(encoding="utf-8"))
    page = tmp_path / "probed.html"
    page.write_text(html.replace("</body>", probe), encoding="utf-8")
    document, _ = opened(chromium, page, tmp_path / "profile", f"--window-size={width},900")
    measured = re.search(r"<title>wide (\d+) of (\d+)", document)
    assert measured, document[:300]
    assert int(measured[1]) <= int(measured[2]) == width
