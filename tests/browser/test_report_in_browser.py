"""The report in a real browser: it opens from disk, runs nothing, asks the network for nothing, and fits a phone."""

import re
import subprocess
from pathlib import Path

import pytest

from report_fixture import whole_inputs
from selfdistill.reporting.figures.catalogue import PLANS
from selfdistill.reporting.page import build_report

pytestmark = pytest.mark.xdist_group("browser")

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
PHONE = 500  # pixels: the narrowest window that desktop Chromium opens


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "report.html"
    build_report(whole_inputs(), path)
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
    assert 'id="provenance"' in document and document.count("<svg") == len(PLANS)
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


def measured(chromium: str, report: Path, folder: Path, width: int, script: str) -> str:
    """What a script finds on the page, as its title; the policy, which would refuse it, is taken out."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text(encoding="utf-8"))
    page = folder / "probed.html"
    page.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    document, _ = opened(chromium, page, folder / "profile", f"--window-size={width},900")
    found = re.search(r"<title>([^<]*)", document)
    assert found, document[:300]
    return found[1]


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_the_page_never_scrolls_sideways(chromium: str, report: Path, tmp_path: Path, width: int) -> None:
    script = "document.title = `${document.documentElement.scrollWidth} of ${innerWidth}`"
    wide, window = measured(chromium, report, tmp_path, width, script).split(" of ")
    assert int(wide) <= int(window) == width


TAPPED = """
const seen = token => getComputedStyle(token.querySelector(".said")).display;
const tokens = [...document.querySelectorAll(".tokens .t")];
const told = tokens.map(token => {
  const before = seen(token);
  token.focus({preventScroll: true});
  const box = token.querySelector(".said").getBoundingClientRect();
  const within = box.width > 0 && box.left >= 0 && box.right <= innerWidth && box.top > token.getBoundingClientRect().top;
  const after = seen(token);
  token.blur();
  return [before, after, within, seen(token)].join();
});
document.title = `${tokens.length} ${[...new Set(told)].join(" ")} ${document.documentElement.scrollWidth <= innerWidth}`;
"""


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_a_token_that_is_tapped_says_what_the_models_would_have_said_within_the_window(
    chromium: str, report: Path, tmp_path: Path, width: int
) -> None:
    assert measured(chromium, report, tmp_path, width, TAPPED) == "154 none,flex,true,none true"
    assert ".t:hover .said, .t:focus .said { display: flex; }" in report.read_text(encoding="utf-8")
