"""The examination of a loader: the lab's problems, written as its dataset has them, are read as they were."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from selfdistill.examination.checks import Found, Watch, examined, require, unwatched
from selfdistill.foundation.errors import UserError
from selfdistill.problems.datasets.convert import Conversion, convert
from selfdistill.problems.datasets.registry import dataset_of
from selfdistill.problems.sources import read_source
from selfdistill.rehearsal.recorded_shapes import Problem, write_in_shape
from selfdistill.rehearsal.rehearsal import lab_problems

FEW = 20
SOMETHING_ELSE = {
    "an empty file": (b"", "is empty"),
    "a web page": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
    "a Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "is a Git LFS pointer",
    ),
    "no file of its kind": (b"PAR1\xff\xfe\x00 neither this nor that", "download the dataset again"),
}
Check = Callable[[str, Path, list[Problem]], None]


def examine_loader(loader: str, watch: Watch = unwatched) -> Iterator[Found]:
    """`loader` is a built-in's name or the reference of a plugin's."""
    problems = lab_problems(("exam",))
    for claim, check in CHECKS.items():
        with TemporaryDirectory() as folder:
            yield from examined({claim: check}, loader, Path(folder), problems, watch=watch)


def unchanged(loader: str, folder: Path, problems: list[Problem]) -> None:
    write_in_shape(loader, folder / "raw", problems)
    rows, dropped = convert(loader, folder / "raw", {})
    require(dropped == {}, f"of {len(problems)} problems it drops some: {dropped}")
    read = [(row["problem"], row["answer"]) for row in rows]
    require(
        read == [problem[:2] for problem in problems], "problems or answers come through changed, or in another order"
    )
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    require(len(read_source("exam", "rows.jsonl", folder)) == len(rows), "what it makes is no source of problems")


def needs_what_it_names(loader: str, folder: Path, problems: list[Problem]) -> None:
    write_in_shape(loader, folder, problems[:FEW])
    whole = convert(loader, folder, {})
    wanted = {path for pattern in dataset_of(loader).files for path in folder.glob(pattern)}
    for path in _files(folder):
        if path not in wanted:
            path.unlink()
    require(
        _without_ids(convert(loader, folder, {})) == _without_ids(whole),
        "it reads files that `files` does not name, so they are not downloaded",
    )
    require(len(whole.rows) == len(problems[:FEW]), f"{len(whole.rows)} of {len(problems[:FEW])} problems are read")


def _without_ids(found: Conversion) -> Conversion:
    return found._replace(rows=[{key: value for key, value in row.items() if key != "id"} for row in found.rows])


def same_ids(loader: str, folder: Path, problems: list[Problem]) -> None:
    write_in_shape(loader, folder, problems[:FEW])
    first, again = ([row["id"] for row in convert(loader, folder, {}).rows] for _ in range(2))
    require(first == again, "read again, rows have other ids, so that nothing that was sampled would be theirs")


def says_what_is_missing(loader: str, folder: Path, _problems: list[Problem]) -> None:
    said = refused(loader, folder)
    require("holds no file" in said, f"of an empty folder it says {said!r}; find_files says which file is missing")


def says_what_is_something_else(
    content: bytes, expected: str, loader: str, folder: Path, problems: list[Problem]
) -> None:
    write_in_shape(loader, folder, problems[:4])
    files = _files(folder)
    for path in files:
        path.write_bytes(content)
    said = refused(loader, folder)
    require(expected in said, f"it says {said!r} where {expected!r} belongs; the readers of raw_files say so")
    require(any(str(path) in said for path in files), f"it does not say which file: {said!r}")
    require("\n" not in said.strip(), f"it says more than a sentence: {said!r}")


def refused(loader: str, folder: Path) -> str:
    try:
        convert(loader, folder, {})
    except UserError as error:
        return str(error)
    require(False, "it reads what is none of its files without a word")
    return ""


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


CHECKS: dict[str, Check] = {
    "problems and answers come through unchanged": unchanged,
    "the needed files are among those that are downloaded": needs_what_it_names,
    "ids stay the same": same_ids,
    "an empty folder is one sentence": says_what_is_missing,
    **{
        f"{what} is one sentence": partial(says_what_is_something_else, content, expected)
        for what, (content, expected) in SOMETHING_ELSE.items()
    },
}
