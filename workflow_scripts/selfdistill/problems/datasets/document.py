"""Writes docs/datasets.md from the registry, so that the page and the loaders cannot differ (a test compares them)."""

from collections.abc import Mapping

from selfdistill.foundation.suggestions import listed
from selfdistill.problems.datasets.dataset import Dataset
from selfdistill.problems.datasets.options import COMMON, Count, Flag, Option, Some, Span
from selfdistill.problems.datasets.registry import all_datasets

BEGINNING = """# Public datasets

A loader turns the files of a public dataset, as its hub serves them, into problems of ours. Every raw row is either kept
or counted under the reason for which it was dropped. What a file must hold is checked; a file that is something else
(a page that asks to sign in, a Git LFS pointer, other columns) is one sentence.

This page is made from `workflow_scripts/selfdistill/problems/datasets/` (`make datasets`); the head of each module
there says which facts were confirmed where, and which are from memory. Licences and sizes are as publicly stated; read
the dataset's own card before passing anything on.

## For all of them
- Dropped: a picture, a link, or a text that speaks of a picture that did not come along; LaTeX whose backslashes a
  program has eaten; control characters are taken out.
- Dropped: several answers (lists, "or", ±), choices by letter, words, dots, approximations, and whatever math-verify cannot
  read. What could be read in two ways is not guessed.
- Answers lose dollars, a box around them and a full stop. Units, degrees, per cent and `x =` stay: the grader sees past them.
- One row of each problem is kept, and none where two rows of a problem give different answers.
- A level is a stratum: it can be compared within a dataset, not between two.
"""

LOADERS = """## The loaders

A revision is one whose files public code or notes describe as this loader reads them; its whole name stands in the
loader's module.

"""


def page() -> str:
    sections = [BEGINNING, LOADERS + _table(), *(_section(dataset) for dataset in all_datasets().values())]
    return "\n".join(sections)


def _table() -> str:
    lines = ["| loader | repository on the hub | revision | licence as stated |", "|---|---|---|---|"]
    for dataset in all_datasets().values():
        revision = f"`{dataset.revision[:10]}…`" if dataset.revision else "not known"
        lines.append(f"| `{dataset.name}` | `{dataset.hub}` | {revision} | {dataset.licence} |")
    return "\n".join(lines) + "\n"


def _section(dataset: Dataset) -> str:
    files = ", ".join(f"`{pattern}`" for pattern in dataset.files)
    columns = [
        "| theirs | ours |",
        "|---|---|",
        *(f"| {theirs} | {ours} |" for theirs, ours in dataset.columns.items()),
    ]
    return "\n".join(
        [f"## {dataset.name}", dataset.about, "", f"Files: {files}", "", *columns, "", _options(dataset.options)]
    )


def _options(own: Mapping[str, Option]) -> str:
    lines = ["| option | default | what it does |", "|---|---|---|"]
    for name, option in {**own, **COMMON}.items():
        among = f" Known: {listed(option.among)}." if isinstance(option, Some) else ""
        lines.append(f"| `{name}` | {_default(option)} | {option.about}{among} |")
    return "\n".join(lines) + "\n"


def _default(option: Option) -> str:
    match option:
        case Some():
            return "all" if option.default == option.among else f"`[{listed(option.default)}]`"
        case Span():
            return f"`{list(option.default)}`"
        case Count():
            return "all" if option.default is None else f"`{option.default}`"
        case Flag():
            return f"`{str(option.default).lower()}`"


if __name__ == "__main__":
    print(page(), end="")
