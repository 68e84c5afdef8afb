"""Two studies or more side by side, on the test problems that they share: first what differs between their files.

forklock compare results/my results/other
forklock compare config/my.yaml results/other --page both.html --table both.parquet

Decodes are the same where their settings are, whatever their names; arms where their names are. Every study is held against
the first, paired problem by problem: the level of an arm, what training gave over the base, and what one arm has over another
where a hypothesis asks. Where every trained side has two trainings or more, a row speaks of the method too. Before the numbers
stands what made the results, what is missing, and what each study itself says of its hypotheses.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from selfdistill.analysis.across_studies import across_studies, findings, read_studies
from selfdistill.analysis.left_out import left_out
from selfdistill.commands.given import refuse_place
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_text
from selfdistill.reporting.side_by_side import (
    SAME_FILES,
    SAME_MAKING,
    as_lines,
    files_differ,
    findings_table,
    is_page,
    making_differs,
    numbers,
    page,
)
from selfdistill.study.load import study_of
from selfdistill.study.unlike import unlike
from selfdistill.tables.analysis import ACROSS_STUDIES
from selfdistill.tables.whole import is_table, write_table

SUMMARY = "Two studies or more side by side, on the problems that they share."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY", help="study files, or folders of results")
    parser.add_argument("--page", type=Path, metavar="FILE.html", help="also write a page")
    parser.add_argument("--table", type=Path, metavar="FILE.parquet", help="also write the numbers")


def run(asked: argparse.Namespace) -> int:
    folders = [place if place.is_dir() else Path(study_of(place).results) for place in asked.studies]
    if len(folders) < 2:
        raise UserError("compare: name two studies or more.")
    if asked.page is not None:
        refuse_place("--page", asked.page, ".html", is_page)
    if asked.table is not None:
        refuse_place("--table", asked.table, ".parquet", lambda place: is_table(place, ACROSS_STUDIES))
    studies = read_studies(folders)
    names = [study.name for study in studies]
    differing = unlike([study.study.as_param() for study in studies])
    print("\n".join(as_lines(files_differ(names, differing), SAME_FILES)), end="\n\n")
    making = unlike([study.made for study in studies])
    print("\n".join(as_lines(making_differs(names, making), SAME_MAKING)), end="\n\n")
    if unsaid := left_out(studies):
        print("\n".join(["What is not held side by side", *(f"  {sentence}" for sentence in unsaid)]), end="\n\n")
    found = findings(studies)
    if (verdicts := findings_table(names, found)) is not None:
        print("\n".join(as_lines(verdicts)), end="\n\n")
    table = across_studies(studies)
    for content in numbers(table):
        print("\n".join(as_lines(content)), end="\n\n")
    write(asked.table, lambda place: write_table(table, place, ACROSS_STUDIES))
    write(asked.page, lambda place: write_text(place, page(names, differing, making, unsaid, found, table)))
    return 0


def write(place: Path | None, to: Callable[[Path], None]) -> None:
    if place is None:
        return
    try:
        to(place)
    except OSError as error:
        raise UserError(f"{place}: cannot be written ({error.strerror}); give another place.") from error
