"""The guides speak of what is there: paths, modules, functions, make's targets and links; and their lines fit a window."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT
from selfdistill.commands.main import run

LIBRARY = ROOT / "workflow_scripts/selfdistill"
# Where a path in a guide may begin.
PLACES = (ROOT, LIBRARY, ROOT / "workflow_scripts", ROOT / "tests")
GENERATED = {
    "docs/datasets.md",
    "docs/grading.md",
    "docs/tables.md",
    "docs/study-file.md",
}  # by programs, with lines as long as their tables' cells
GUIDES = sorted(
    str(file.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "config/README.md", "benchmarks/README.md", "resources/models/README.md")
    for file in ROOT.glob(pattern)
)
COLUMNS = 110
YOURS = "config/my"  # how the files begin that a reader writes

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# `room/module.py: name` or `room/module.py: Class.name`.
NAMED_IN = re.compile(r"([\w./-]+\.(?:py|smk)): ([\w.]+)")
PATH = re.compile(r"[\w.][\w.-]*(?:/[\w.-]+)*/?")
MADE_NAMES = ("results", ".snakemake", ".venv", ".venv-vllm-cpu", ".venv-gpu")  # what runs make, not the repository


def prose(text: str) -> str:
    """Without fenced blocks; as many lines as before."""
    return FENCE.sub(lambda block: "\n" * block.group(0).count("\n"), text)


def spans(guide: str) -> list[str]:
    return [" ".join(span.split()) for span in CODE.findall(prose((ROOT / guide).read_text()))]


def tracked() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    return set(listed.stdout.splitlines())


def is_there(path: str) -> bool:
    return any((place / path).exists() for place in PLACES)


def names_of(file: Path) -> set[str]:
    """What a module defines: functions, classes, constants, and `Class.member`."""
    found: set[str] = set()
    if file.suffix == ".smk":
        return set(re.findall(r"^(?:def |rule )?(\w+)(?:\(| =|:)", file.read_text(), re.MULTILINE))
    for node in ast.parse(file.read_text()).body:
        found |= _names(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for member in node.body for name in _names(member)}
    return found


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def looks_like_ours(span: str) -> bool:
    """A path whose first part is a folder of the repository or a room of the library; or the bare name of a source file."""
    if not PATH.fullmatch(span) or span.split("/")[0] in MADE_NAMES or span.endswith(".parquet"):
        return False
    if "/" not in span:
        return span.endswith((".py", ".smk", ".md"))
    first = span.split("/")[0]
    return any((place / first).is_dir() for place in PLACES) or span.endswith((".py", ".smk"))


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_and_name_in_a_guide_is_there(guide: str) -> None:
    files = tracked()
    bare = {Path(file).name for file in files}
    here = (ROOT / guide).parent
    wrong = []
    for span in spans(guide):
        if named := NAMED_IN.fullmatch(span):
            path, name = named.groups()
            places = [place / path for place in PLACES if (place / path).is_file()]
            if not any(name in names_of(place) for place in places):
                wrong.append(span)
        elif span.startswith("selfdistill."):
            if not (ROOT / "workflow_scripts" / f"{span.replace('.', '/')}.py").is_file():
                wrong.append(span)
        elif span.startswith(YOURS):
            continue
        elif looks_like_ours(span) and not (span in bare or is_there(span) or (here / span).exists()):
            wrong.append(span)
    assert wrong == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_that_a_command_in_a_guide_takes_is_there(guide: str) -> None:
    text = (ROOT / guide).read_text()
    commands = [*(span for span in spans(guide) if " " in span), *FENCE.findall(text)]
    folders = "|".join(sorted({file.split("/")[0] for file in tracked() if "/" in file}))
    taken = {path for command in commands for path in re.findall(rf"(?<![\w./-])(?:{folders})/[\w./-]*\w", command)}
    assert {path for path in taken if not path.startswith(YOURS) and not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("guide", GUIDES)
def test_the_targets_of_make_that_a_guide_names_exist(guide: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = (ROOT / guide).read_text()
    code = [*CODE.findall(prose(text)), *FENCE.findall(text)]
    asked = {word for part in code for word in re.findall(r"^\s*make ([a-z-]+)", part, re.MULTILINE)}
    assert asked <= targets
    given = {
        word for part in code for line in re.findall(r"make [a-z].*", part) for word in re.findall(r"([A-Z]+)=", line)
    }
    assert given <= set(re.findall(r"\$\((?:if |or )?\$?\(?([A-Z]+)\)?", makefile)) | {"PYTHON"}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_of_a_guide_leads_somewhere(guide: str) -> None:
    here = (ROOT / guide).parent
    broken = []
    for target in LINK.findall(prose((ROOT / guide).read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = here / path if path else ROOT / guide
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(file: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", sorted(set(GUIDES) - GENERATED))
def test_the_lines_of_a_guide_fit_a_window(guide: str) -> None:
    """Outside tables, fenced blocks and the targets of links."""
    lines = enumerate(prose((ROOT / guide).read_text()).split("\n"), start=1)
    long = [number for number, line in lines if not line.startswith("|") and len(LINK.sub("]", line)) > COLUMNS]
    assert long == []


def test_the_architecture_shows_every_room_in_its_order() -> None:
    tree = (ROOT / "docs/architecture.md").read_text().split("## The rooms of the library")[1].split("```")[1]
    shown: list[str] = []
    above: list[str] = []
    for indent, name in re.findall(r"^( *)([a-z_]+)/ ", tree, re.MULTILINE):
        above = [*above[: len(indent) // 2], name]
        shown.append("/".join(above))
    rooms = {str(file.parent.relative_to(LIBRARY)) for file in LIBRARY.rglob("__init__.py")} - {"."}
    assert set(shown) == rooms
    from_the_ground_up = [name for name in shown if "/" not in name]
    source = (ROOT / "tests/unit/foundation/test_rooms.py").read_text()
    order = re.findall(r'"(\w+)"', source.split("ROOMS = (")[1].split(")")[0])
    assert from_the_ground_up == order


def test_contributors_find_every_folder_of_tests() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {file.split("/")[1] for file in tracked() if re.match(r"tests/\w+/.*test_\w+\.py$", file)}
    assert {folder for folder in folders if f"| `{folder}/` |" not in table} == set()


def test_targets_stand_before_the_study_file_which_would_else_be_two() -> None:
    behind = re.compile(r"snakemake [^\n`]*--configfile \S+ [^-\s]\S*/\S+")
    assert behind.search("snakemake --cores 2 --configfile config/my.yaml results/my/report.html")
    wrong = {name: behind.findall((ROOT / name).read_text()) for name in tracked() if name.endswith(".md")}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_the_field_study_detects_what_its_plan_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join((ROOT / "docs/questions.md").read_text().split())
    said = re.search(r"of the field study's 1,000 it takes (\d+), and `forklock (plan \S+)` says ([\d.]+)\.", text)
    assert said is not None
    monkeypatch.chdir(ROOT)
    run(said[2].split())
    assert re.search(rf"^ssd-at-0-7 .* {said[1]} .* {said[3]} ", capsys.readouterr().out, re.MULTILINE)
