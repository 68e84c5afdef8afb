"""What makes a site of the repository's pages, which link to each other and to files as they lie in the repository.

MkDocs calls it (`hooks` in mkdocs.yml). Every tracked page stands in the site under its own path, and so does every file that
one of them links to; a link to a folder leads to the folder's page.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<!`)(?P<text>\[(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*\])\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
ITEM = re.compile(r"[ ]*(?:[-*]|\d+\.) ")
README = "README.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = [page for page in tracked_pages() if not page.startswith(".")]
    wanted = dict.fromkeys([*pages, *(target for page in pages for target in files_linked_from(page))])
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    return Files([*of_theme, *(File.generated(config, name, abs_src_path=str(ROOT / name)) for name in wanted)])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = Path(page.file.src_uri).parent
    return lists_apart(LINK.sub(lambda link: to_a_page(link, here), markdown))


def tracked_pages() -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def files_linked_from(page: str) -> Iterator[str]:
    for link in re.finditer(r"\]\(([^)\s#]+)", (ROOT / page).read_text(encoding="utf-8")):
        target = normpath(str(Path(page).parent / link[1]))
        if "://" not in link[1] and (ROOT / target).is_file():
            yield target


def lists_apart(markdown: str) -> str:
    """With an empty line before each list, which MkDocs asks for and GitHub does not."""
    lines: list[str] = []
    within_fence = within_list = False
    for line in markdown.split("\n"):
        within_fence ^= line.lstrip().startswith("```")
        begins = not within_fence and not within_list and ITEM.match(line) is not None
        lines += [""] * (begins and bool(lines and lines[-1].strip()))
        within_list = (within_list and bool(line.strip())) or begins
        lines.append(line)
    return "\n".join(lines)


def to_a_page(link: re.Match[str], here: Path) -> str:
    """A link to a folder: to its page where it has one, else the text alone."""
    folder = ROOT / here / link["target"]
    if "://" in link["target"] or not folder.is_dir():
        return link[0]
    if (folder / README).is_file():
        return f"{link['text']}({link['target'].rstrip('/')}/{README}{link['anchor'] or ''})"
    return link["text"][1:-1]
