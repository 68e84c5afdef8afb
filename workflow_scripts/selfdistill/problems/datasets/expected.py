"""Did a conversion keep as many problems as those of real copies did? Far fewer are an alarm, and no error: a study may
know better, but it must not be found out after the GPUs have run.

Two copies of one exam, typed by different people, differ by less than one problem in a hundred here (949 of 952, 929 of
933, 968 of 975), and versions of the grader by fewer. What goes wrong goes wrong by much: a file that is cut short, other
columns, eaten backslashes, a filter that takes every drawing for a missing picture (25 of 30, 870 of 933).
"""

from collections.abc import Mapping
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset
from selfdistill.problems.datasets.options import checked_options

ENOUGH = 0.98  # of the documented number, where the same was asked for: of 30 problems none may be missing
TOLERANCE = (
    0.1  # of the share, where something else was asked for: a level or a subject may hold more that cannot be graded
)
FEWEST, MANY = 50, 500  # rows of a conversion, and of the copy it is compared with, from which a share says anything
OVER_LIMIT, SKIPPED = "over the limit", "left for another study"
NOT_WANTED = ("not asked for", OVER_LIMIT, SKIPPED)


def alarm(dataset: Dataset, asked: Mapping[str, Any], kept: int, dropped: Mapping[str, int]) -> str:
    """One sentence, or nothing where all is well or nothing is known."""
    same = [one for one in dataset.counted if one.whole and _options(dataset, one.options) == _options(dataset, asked)]
    for one in same:
        if kept < ENOUGH * one.kept:
            return f"{dataset.name}: {kept} problems are kept, where {one.kept} were of {_place(one)}; {LOOK}"
    usual = {name: value for name, value in asked.items() if name == "pictures"}
    if same or _options(dataset, usual)["pictures"] != _options(dataset, {})["pictures"]:
        return ""
    share = _share(kept, dropped)
    for one in dataset.counted:
        documented = _share(one.kept, one.dropped)
        if one.rows >= MANY and share is not None and documented and share < documented - TOLERANCE:
            return (
                f"{dataset.name}: {share:.0%} of what was asked for is kept, where {documented:.0%} was of {_place(one)}; "
                f"{LOOK}"
            )
    return ""


LOOK = (
    "look at what was dropped and why, and whether the files are whole and of the revision that the loader describes."
)


def _options(dataset: Dataset, given: Mapping[str, Any]) -> dict[str, Any]:
    whole = checked_options(dataset.name, dataset.options, given)
    return {name: sorted(value) if isinstance(value, list | tuple) else value for name, value in whole.items()}


def _place(one: Counted) -> str:
    return f"the copy in {one.repository}"


def _share(kept: int, dropped: Mapping[str, int]) -> float | None:
    """Of the rows that were asked for, those that could be used. What a limit leaves out could be, for all that is known."""
    usable = kept + dropped.get(OVER_LIMIT, 0) + dropped.get(SKIPPED, 0)
    lost = sum(count for reason, count in dropped.items() if not reason.endswith(NOT_WANTED))
    return usable / (usable + lost) if usable + lost >= FEWEST else None
