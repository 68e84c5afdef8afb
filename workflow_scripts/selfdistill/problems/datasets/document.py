"""Writes docs/datasets.md from the registry, so that the page and the loaders cannot differ (a test compares them)."""

from collections.abc import Mapping

from selfdistill.foundation.suggestions import listed
from selfdistill.problems.datasets.dataset import Counted, Dataset
from selfdistill.problems.datasets.options import COMMON, Count, Flag, Option, Some, Span
from selfdistill.problems.datasets.registry import all_datasets

BEGINNING = """# Public datasets

A loader turns the files of a public dataset, as its hub serves them, into problems of ours. Some read the authors' own files
as well: whoever puts those into the folder of the study file needs no hub. Every raw row is either kept or counted under the reason for which it was dropped. What a file must hold is checked; a file that is something else
(a page that asks to sign in, a Git LFS pointer, other columns) is one sentence.

This page is made from `workflow_scripts/selfdistill/problems/datasets/` (`make datasets`); the head of each module
there says which facts were confirmed where, and which are from memory. Licences and sizes are as publicly stated; read
the dataset's own card before passing anything on.

## For all of them
- A picture is a property of a problem, judged from its text: it needs none (`no`), one would help (`helps`), or the
  text cannot be understood without it (`yes`). The option `pictures` says which to keep. Names of pictures that did not
  come along are taken out of texts that stand without them; the source of a drawing ([asy], TikZ) stays.
- LaTeX whose backslashes a program has eaten is mended where one reading is possible (a form feed and `rac` is
  `\\frac`, a tab and `imes` is `\\times`) and counted; what has none is dropped. Control characters are taken out.
- Dropped: a link; a problem that builds on another one's answer ("Let T = TNYWR", "the number you will receive", "as in
  problem 12"), while "Let T = 8" stays.
- Dropped: systems and cases, choices by letter, words, dots, approximations, answers that were cut off (braces, brackets or
  dollars without their other half), and whatever the grader cannot read. A list, `x=1 or x=2` and ±2 are one answer where the
  grader's own reader reads them ([grading](grading.md)). What could be read in two ways is not guessed.
- Answers lose dollars, a box around them and a full stop. Units, degrees, per cent and `x =` stay: the grader sees past them.
- One row of each problem is kept, and none where two rows of a problem give different answers.
- Where a dataset gives a solution, it stands under the key `solution` of the problem's line, without the marks of its
  format. One with a link or with LaTeX that cannot be mended is left out, and the problem stays.
- A level is a stratum: it can be compared within a dataset, not between two.
"""

LOADERS = """## The loaders

A revision is one whose files public code or notes describe as this loader reads them; its whole name stands in the
loader's module.

"""


COUNTS = """## What was kept of real copies

Real copies of these datasets lie in public repositories. Their rows were put into the files that the loaders read and
converted with the options of the last column, else with none. A conversion that gives less than 98 % of the
problems of a whole copy (marked *), asked for in the same way, says `ALARM` in its log and in the report; asked for otherwise,
it does where the share of usable rows is more than ten points lower than that of a copy with 500 rows or more. It is no
error. Different copies of the same exams differ by less than one problem in a hundred (949 of 952, 929 of 933, 968 of
975); what goes wrong goes wrong by much.

"""

NOT_COUNTED = """
No copy that could be converted was found of: {names}. Of NuminaMath-CoT's other sources and of the tags of Omni-MATH-2 none was
found either.
"""

PICTURES = """## How often a picture is misjudged

29,229 different texts, from the copies above, from others of the same exams and from MMLU, TheoremQA, college_math, Gaokao 2023, SAT, AQuA, MathQA, CARP, OlymMATH,
odyssey-math and HARP's proofs, of which 1,250 are twins: the text of a problem with [asy] or TikZ code, without the code. The rules were made on one half (by the
parity of the text's hash). Of the other half (14,651) 300 rows, drawn with the seed 12, were read one by one by the author of the rules: 100 that the rules call `yes`,
100 `helps` (70 without a drawing's source and 30 with one), 100 `no` in which a word such as "figure", "shown", "graph", "grid", "table" or "below"
stands.

| called | read | judged otherwise | of the texts as they are | of the twins |
|---|---|---|---|---|
| `yes` | 100 | 15 stand without a picture (2 of them do not even speak of one) | 3 of 17 | 12 of 83 |
| `helps`, without a drawing's source | 70 | 17 cannot be understood without one | 3 of 20 | 14 of 50 |
| `helps`, with one | 30 | 0 | 0 of 30 | |
| `no` | 100 | 5 cannot be understood without one | 2 of 92 | 3 of 8 |

What is misjudged: `yes` for texts that describe all of a simple figure ("two rectangles make a T", "a cone is cut into four
pieces of the same height"); `helps` for texts that give many numbers but not how the parts lie ("as shown, two right triangles are joined",
a point that the picture alone names); `no` for a table or a shaded part that is mentioned in other words. Seven of these 37 led to rules
that were added afterwards (a missing table, "this grid", "placed as shown", "is shaded?"), so that the figures are those of the rules before.
All 52 texts as they are that the rules now call `yes` (MMLU and TheoremQA apart) were read as well, though not blindly: 12 stand
without a picture. A problem whose picture was taken away without a word ("What is the value of x?") cannot be known, and is `no`.
"""

WORD_PROBLEMS = """## What the sets of word problems share

SVAMP was made of ASDiv and MAWPS, MAWPS was gathered from where ASDiv was, and SVAMP's split was drawn without regard to stories. The study's
filter of contamination, with its defaults, finds between the authors' files (of MAWPS: MWPToolkit's) so many problems of the first that
resemble so many of the second. Asked again with numerals for the words of numbers ("five bags"), it finds a few more; asked with every number
alike, it finds the same story with other numbers, which stays in training. `python benchmarks/word_problem_overlap.py data`:

| train | evaluation | as they are | numerals for words | every number alike |
|---|---|---|---|---|
| GSM8K train (7,473) | GSM8K test (1,319) | 0 and 0 | 0 and 0 | 3 and 2 |
| GSM8K train (7,473) | SVAMP test (300) | 0 and 0 | 0 and 0 | 0 and 0 |
| GSM8K train (7,473) | ASDiv (2,137) | 0 and 0 | 0 and 0 | 5 and 5 |
| SVAMP train (699) | GSM8K test (1,319) | 0 and 0 | 0 and 0 | 0 and 0 |
| SVAMP train (699) | SVAMP test (300) | 22 and 20 | 22 and 20 | 221 and 141 |
| SVAMP train (699) | ASDiv (2,137) | 2 and 2 | 2 and 2 | 65 and 32 |
| MAWPS train (1,660) | GSM8K test (1,319) | 0 and 0 | 0 and 0 | 1 and 1 |
| MAWPS train (1,660) | SVAMP test (300) | 0 and 0 | 0 and 0 | 6 and 5 |
| MAWPS train (1,660) | ASDiv (2,137) | 298 and 273 | 315 and 284 | 703 and 343 |

So a study that trains on SVAMP's training split has met the story of nearly every second problem of its test split, and one that trains on MAWPS
that of every sixth of ASDiv; GSM8K's two splits share next to nothing, with each other or with the rest.
"""


def page() -> str:
    sections = [
        BEGINNING,
        LOADERS + _table(),
        COUNTS + _counts() + _not_counted(),
        PICTURES,
        WORD_PROBLEMS,
        *(_section(dataset) for dataset in all_datasets().values()),
    ]
    return "\n".join(sections)


def _counts() -> str:
    lines = [
        "| loader | copy | rows | kept | a picture would help | mended | dropped | options, and what the copy is |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for dataset in all_datasets().values():
        lines += [f"| `{dataset.name}`{'*' if one.whole else ''} | {_of_copy(one)} |" for one in dataset.counted]
    return "\n".join(lines) + "\n"


def _of_copy(one: Counted) -> str:
    dropped = "; ".join(f"{count} {reason}" for reason, count in one.dropped.items()) or "none"
    options = "".join(f"`{name}: {str(value).replace(chr(39), '')}`; " for name, value in one.options.items())
    place = f"`{one.file}` of `{one.repository}` at `{one.commit[:10]}…`"
    cells = [place, one.rows, one.kept, one.helped, one.mended, dropped, options + one.note]
    return " | ".join(str(cell) for cell in cells)


def _not_counted() -> str:
    names = [f"`{dataset.name}`" for dataset in all_datasets().values() if not dataset.counted]
    return NOT_COUNTED.format(names=", ".join(names)) if names else ""


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
        [
            f"## {dataset.name}",
            dataset.about,
            "",
            f"Files: {files}{_elsewhere(dataset)}",
            "",
            *columns,
            "",
            _options(dataset.options),
        ]
    )


def _elsewhere(dataset: Dataset) -> str:
    layouts = [listed([f"`{pattern}`" for pattern in layout]) for layout in dataset.elsewhere]
    return f"; or, put into the folder by hand: {'; or '.join(layouts)}" if layouts else ""


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
