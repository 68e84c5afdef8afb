"""The site of the docs: no link of any page leads nowhere, every page is in its menu, and it can be built."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from test_guides import anchors, prose, tracked

from conftest import ROOT

PAGES = sorted(name for name in tracked() if name.endswith(".md"))
TARGET = re.compile(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"|^\[[^\]]+\]: (\S+)", re.MULTILINE)


class WithTags(yaml.SafeLoader):
    """MkDocs names Python objects in its file, which are nothing to us."""


WithTags.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def broken_links(page: str, text: str) -> Iterator[str]:
    here = (ROOT / page).parent
    for found in TARGET.findall(prose(re.sub(r"`[^`\n]+`", "", text))):
        target = "".join(found)
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (here / path).resolve() if path else ROOT / page
        if not file.exists() or not file.is_relative_to(ROOT):
            yield target
        elif file.is_file() and str(file.relative_to(ROOT)) not in tracked():
            yield f"{target} (which no clone has)"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield target


def test_no_link_of_any_page_leads_nowhere() -> None:
    told = {page: list(broken_links(page, (ROOT / page).read_text())) for page in PAGES}
    assert {page: broken for page, broken in told.items() if broken} == {}


def test_every_way_to_break_a_link_is_seen() -> None:
    text = '[a](gone.md) [b](grading.md#gone) ![c](gone.png) <img src="gone.svg"> [d](#gone) [e](../../outside.md) [f](grading.md)'
    assert list(broken_links("docs/questions.md", text)) == [
        "gone.md", "grading.md#gone", "gone.png", "gone.svg", "#gone", "../../outside.md",
    ]  # fmt: skip


def menu(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        [place] = entry.values()
        yield from menu(place) if isinstance(place, list) else [place]


def test_every_page_is_in_the_menu_once() -> None:
    named = list(menu(yaml.load((ROOT / "mkdocs.yml").read_text(), WithTags)["nav"]))
    assert len(named) == len(set(named)) and set(named) <= set(PAGES)
    assert {page for page in PAGES if re.fullmatch(r"docs/[^/]+\.md", page)} <= set(named)


@pytest.fixture
def mkdocs() -> None:
    """Continuous integration must have it; elsewhere an older environment may lack it."""
    if not find_spec("mkdocs"):
        reason = "mkdocs is not installed: make environment"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.mark.usefixtures("mkdocs")
def test_the_site_is_built_whole_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "docs/run-a-study.html").read_text()
    assert "<li>" in page and "<p>- " not in page
    assert (tmp_path / "config.yaml").is_file()  # which the first page links to
    first = (tmp_path / "index.html").read_text()
    assert 'class="mermaid' not in first  # for which the theme would fetch a program from elsewhere
    assert (
        "raw sources → problems → plan" in first and "train with instruments → (gradients and weights) → noise" in first
    )
    assert [name for file in tmp_path.rglob("*.html") for name in loaded_by(file.read_text()) if "://" in name] == []
    lacking = {
        (file.name, name)
        for file in tmp_path.rglob("*.html")
        if file.name != "404.html"
        for name in wanted_by(file.read_text())
        if ":" not in name and not (file.parent / name.partition("#")[0]).exists()
    }
    assert lacking == set()


@pytest.mark.usefixtures("mkdocs")
def test_pages_that_link_to_each_other_come_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_from_file_location("site_of_the_docs", ROOT / "docs/site.py")
    assert spec is not None and spec.loader is not None
    site = module_from_spec(spec)
    spec.loader.exec_module(site)
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text("[a](one.html) [b](one.html)")
    (tmp_path / "one.html").write_text('<a href="two.html"><a href="rows.csv">')
    (tmp_path / "two.html").write_text('<a href="one.html"><a href="two.html"><a href="rows.csv">')
    (tmp_path / "rows.csv").touch()
    assert list(site.files_linked_from("page.md")) == ["one.html", "two.html", "rows.csv"]


def wanted_by(page: str) -> list[str]:
    """All that a page links to and loads: styles and scripts, too."""
    return [unquote(name) for name in re.findall(r'<(?:a|img|link|script)\b[^>]*?(?:src|href)="([^"]+)"', page)]


def loaded_by(page: str) -> list[str]:
    """What a page shows or runs as soon as it is opened; the address that it may be found under is not loaded."""
    links = [tag for tag in re.findall(r"<link\b[^>]*>", page) if not re.search(r'rel="?(canonical|prev|next)', tag)]
    tags = [*links, *re.findall(r"<(?:script|img)\b[^>]*>", page)]
    return [found[1] for tag in tags if (found := re.search(r'(?:src|href)="([^"]+)"', tag))]
