"""What makes a site of the repository's pages, which link to each other and to files as they lie in the repository.

MkDocs calls it (`hooks` in mkdocs.yml). Every tracked page stands in the site under its own path, and so does every file that
one of them links to; a link to a folder leads to the folder's page. A diagram, which would be drawn by a program fetched from
elsewhere, is told in lines.
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
DIAGRAM = re.compile(r"^```mermaid\nflowchart \w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ARROW = re.compile(r"\s*--(?:\s+(?P<label>[^>\n]+?)\s+--)?>\s*")
BOX = re.compile(r"(?P<name>\w+)(?:\[\(?(?P<text>[^\]]+?)\)?\])?$")
ITEM = re.compile(r"[ ]*(?:[-*]|\d+\.) ")
README = "README.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = [page for page in tracked_pages() if not page.startswith(".")]
    wanted = dict.fromkeys([*pages, *(target for page in pages for target in files_linked_from(page))])
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    return Files([*of_theme, *(File.generated(config, name, abs_src_path=str(ROOT / name)) for name in wanted)])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = Path(page.file.src_uri).parent
    return lists_apart(LINK.sub(lambda link: to_a_page(link, here), DIAGRAM.sub(in_lines, markdown)))


def tracked_pages() -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def files_linked_from(page: str, told: set[str] | None = None) -> Iterator[str]:
    """A report that a page links to comes with the tables that it links to itself. Each file once: two may link to each other."""
    told = set() if told is None else told
    links = r'href="([^"#]+)' if page.endswith(".html") else r"\]\(([^)\s#]+)"
    for link in re.finditer(links, (ROOT / page).read_text(encoding="utf-8")):
        target = normpath(str(Path(page).parent / link[1]))
        if "://" not in link[1] and target not in told and (ROOT / target).is_file():
            told.add(target)
            yield target
            yield from files_linked_from(target, told) if target.endswith(".html") else ()


def in_lines(diagram: re.Match[str]) -> str:
    """The arrows of a flow chart, a line each, with the words of its boxes."""
    flows = [ARROW.split(line.strip()) for line in diagram[1].splitlines()]  # box, label, box, label, box
    boxes = [BOX.match(box) for flow in flows for box in flow[::2]]
    words = {box["name"]: box["text"].replace("<br/>", " ") for box in boxes if box and box["text"]}

    def told(box: str) -> str:
        name = box.partition("[")[0]
        return words.get(name, name)

    def arrow(label: str | None) -> str:
        return f" → ({label}) → " if label else " → "

    lines = ["".join(arrow(part) if at % 2 else told(str(part)) for at, part in enumerate(flow)) for flow in flows]
    return "\n".join(["```text", *lines, "```"])


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
