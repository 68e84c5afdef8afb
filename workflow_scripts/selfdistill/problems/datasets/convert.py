"""From a folder of raw files to the rows of our JSON Lines, and how many raw rows were dropped for each reason.

Cheap filters first; math-verify takes milliseconds an answer and so reads only what is left, after sampling if a limit
is set. Every raw row is either in the result or counted once.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import reference_in, without_place
from selfdistill.foundation.suggestions import suggested
from selfdistill.grading.answers import plain_form
from selfdistill.grading.verify import CORRECT, unreadable, verify_answers
from selfdistill.problems.datasets.dataset import Dataset, Dropped, Kept
from selfdistill.problems.datasets.expected import OVER_LIMIT, SKIPPED, alarm
from selfdistill.problems.datasets.gold import read_gold
from selfdistill.problems.datasets.latex import is_broken, mended
from selfdistill.problems.datasets.options import checked_options
from selfdistill.problems.datasets.pictures import NEEDS, REASONS, Need, has_link, needs_picture, without_marks
from selfdistill.problems.datasets.registry import dataset_of
from selfdistill.problems.datasets.text import clean, speaks_of_other_answers
from selfdistill.problems.normalise import problem_id
from selfdistill.study.loaders import LOADERS

SECONDS_PER_ANSWER = 10.0
LONGEST_PROBLEM = 10_000  # characters; longer ones are pages that were not cut apart


TYPES: dict[str, Any] = {
    "id": str,
    "problem": str,
    "answer": str,
    "level": int,
    "family": str | None,
    "solution": str | None,
}


class Conversion(NamedTuple):
    # Problem, answer, level, id, family, needs_picture, mended and, where there is one, solution: in the raw files' order.
    rows: list[dict[str, Any]]
    dropped: dict[str, int]  # by reason


def convert(loader: str, folder: Path, options: Mapping[str, Any], workers: int = 1) -> Conversion:
    if loader not in LOADERS and not reference_in(loader):
        raise UserError(f"loader {loader}: there is no such loader; {suggested(loader, LOADERS)}")
    dataset = dataset_of(loader)
    asked = checked_options(dataset.name, dataset.options, options)
    dropped: Counter[str] = Counter()
    kept = _gradable(_of_their_types(dataset, dataset.read(folder, asked)), asked, dropped, dataset.text_only)
    kept = _without_copies(kept, dropped, workers)
    kept = _readable(kept, asked["skip"] or 0, asked["limit"], dropped, workers)
    return Conversion([_fields(row) for row in kept], dict(sorted(dropped.items())))


def audit(loader: str, options: Mapping[str, Any], conversion: Conversion) -> dict[str, Any]:
    """What is to be known of a conversion: what was kept, mended and dropped, and whether that is far from the usual."""
    rows, dropped = conversion
    needs = Counter(row["needs_picture"] for row in rows)
    return {
        "loader": without_place(loader),
        "kept": len(rows),
        "mended": sum(row["mended"] for row in rows),
        "solutions": sum("solution" in row for row in rows),
        "pictures": {need: needs[need] for need in NEEDS if needs[need]},
        "dropped": dropped,
        "alarm": alarm(dataset_of(loader), options, len(rows), dropped),
    }


def _fields(row: Kept) -> dict[str, Any]:
    fields = row._asdict()
    if row.solution is None:
        del fields["solution"]
    return fields


def _of_their_types(dataset: Dataset, items: Iterable[Any]) -> Iterator[Kept | Dropped]:
    """As a loader says them: what is of another type is its mistake, and told by the row."""
    for item in items:
        if not isinstance(item, Kept | Dropped):
            raise UserError(f"loader {dataset.name}: yields Kept or Dropped for every row, but {item!r:.80}.")
        for part, kind in TYPES.items() if isinstance(item, Kept) else ():
            if not isinstance(value := getattr(item, part), kind):
                raise UserError(
                    f"loader {dataset.name}: the {part} of row {item.id!r:.80} is {value!r:.80}, of the type "
                    f"{type(value).__name__}; give {'a whole number' if kind is int else 'text'}, or drop the row."
                )
        yield item


def _gradable(
    items: Iterable[Kept | Dropped], asked: Mapping[str, Any], dropped: Counter[str], text_only: bool
) -> list[Kept]:
    kept: list[Kept] = []
    names: set[str] = set()
    for item in items:
        checked = _checked(item, asked, text_only) if isinstance(item, Kept) else item
        if isinstance(checked, Kept) and checked.id in names:
            checked = Dropped(checked.id, "id of another row")
        if isinstance(checked, Dropped):
            dropped[checked.reason] += 1
        else:
            names.add(checked.id)
            kept.append(checked)
    return kept


def _checked(row: Kept, asked: Mapping[str, Any], text_only: bool) -> Kept | Dropped:
    if len(row.problem) > LONGEST_PROBLEM:
        return Dropped(row.id, "problem too long")
    text, answer = mended(row.problem), mended(row.answer, formula=True)
    if is_broken(text) or is_broken(answer, formula=True):
        return Dropped(row.id, "broken LaTeX")
    problem = clean(without_marks(clean(text)))
    need: Need = "no" if text_only else needs_picture(clean(text))
    if not problem:
        return Dropped(row.id, "no problem")
    if has_link(problem):
        return Dropped(row.id, "a link")
    if not text_only and speaks_of_other_answers(problem):
        return Dropped(row.id, "speaks of another answer")
    if need not in asked["pictures"]:
        return Dropped(row.id, REASONS[need])
    gold = read_gold(clean(answer), asked.get("letters", False))
    if gold.reason:
        return Dropped(row.id, gold.reason)
    was_mended = (text, answer) != (row.problem, row.answer)
    return row._replace(
        problem=problem,
        answer=gold.answer,
        needs_picture=need,
        mended=was_mended,
        solution=_clean_solution(row.solution or "", was_mended),
    )


def _clean_solution(solution: str, row_was_eaten: bool) -> str | None:
    """None where there is none to learn from; the problem stays. Its lines are many, and one that begins with u is no \\nu."""
    text = mended(solution) if row_was_eaten or is_broken(solution) else solution
    return None if is_broken(text) or has_link(text) else clean(without_marks(clean(text))) or None


def _without_copies(rows: Sequence[Kept], dropped: Counter[str], workers: int) -> list[Kept]:
    """The first row of each problem; none of a problem whose rows give different answers, for one of them is wrong."""
    first: dict[str, Kept] = {}
    copies: list[tuple[str, Kept]] = []
    for row in rows:
        name = problem_id(row.problem)
        if first.setdefault(name, row) is not row:
            copies.append((name, row))
    doubtful = [(name, copy) for name, copy in copies if plain_form(copy.answer) != plain_form(first[name].answer)]
    pairs = [(first[name].answer, copy.answer) for name, copy in doubtful]
    reasons = verify_answers(pairs, SECONDS_PER_ANSWER, workers)
    quarrels = {name for (name, _), reason in zip(doubtful, reasons, strict=True) if reason not in CORRECT}
    for name, _ in copies:
        dropped["problem with two answers" if name in quarrels else "copy of another row"] += 1
    if quarrels:
        dropped["problem with two answers"] += len(quarrels)
    return [row for name, row in first.items() if name not in quarrels]


def _readable(rows: Sequence[Kept], skip: int, limit: int | None, dropped: Counter[str], workers: int) -> list[Kept]:
    """All rows that math-verify can read; or, in the order of their hashes, `limit` of them behind the first `skip`."""
    drawn = bool(skip) or limit is not None
    order = sorted(range(len(rows)), key=lambda n: _draw(rows[n].problem)) if drawn else range(len(rows))
    wanted = len(rows) if limit is None else skip + limit
    chosen: list[int] = []
    looked_at = 0
    while len(chosen) < wanted and looked_at < len(rows):
        piece = order[looked_at : looked_at + wanted - len(chosen)]
        bad = unreadable((rows[n].answer for n in piece), SECONDS_PER_ANSWER, workers)
        good = [n for n in piece if rows[n].answer not in bad]
        if len(good) < len(piece):
            dropped["unreadable answer"] += len(piece) - len(good)
        chosen += good
        looked_at += len(piece)
    if looked_at < len(rows):
        dropped[OVER_LIMIT] += len(rows) - looked_at
    if skip:
        dropped[SKIPPED] += len(chosen[:skip])
    return [rows[n] for n in sorted(chosen[skip:])]


def _draw(problem: str) -> bytes:
    """A rank that depends on the text alone, so that rows elsewhere, their order and the machine change nothing."""
    return hashlib.sha256(f"sample {problem_id(problem)}".encode()).digest()
