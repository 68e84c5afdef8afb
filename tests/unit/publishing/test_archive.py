"""The archive has the same bytes for the same content, and whoever changes a byte of it is found out."""

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.archive import CONTENTS, checked, digest_of, refuse_to_replace, write_archive
from selfdistill.publishing.members import Kind, Member
from selfdistill.publishing.unpack import unpack


def written(out: Path, *texts: tuple[str, str]) -> str:
    members = [Member(name, Kind.OURS, text=text) for name, text in texts]
    return write_archive(members, {member.name: digest_of(member) for member in members}, {"study": "x"}, out)


FILES = (("b/two.json", "{}"), ("a.md", "one " * 1000), ("c.parquet", "PAR1"))


def test_the_same_content_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    assert written(one, *FILES) == written(two, *reversed(FILES))
    assert one.read_bytes() == two.read_bytes()
    names = zipfile.ZipFile(one).namelist()
    assert names == ["a.md", "b/two.json", "c.parquet", CONTENTS]


def test_a_whole_archive_passes_with_its_digest_and_not_with_another(tmp_path: Path) -> None:
    digest = written(tmp_path / "x.zip", *FILES)
    assert checked(tmp_path / "x.zip", digest).digest == digest
    with pytest.raises(UserError, match="is another bundle, or a changed one"):
        checked(tmp_path / "x.zip", "0" * 64)


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: files.update({"a.md": b"two"}), "a.md is another file"),
        (lambda files: files.update({"a.md": files["a.md"] + b"x" * (1 << 21)}), "a.md is another file"),
        (lambda files: files.pop("a.md"), "a.md is missing"),
        (lambda files: files.update({"../evil.sh": b"x"}), "../evil.sh was added"),
        (lambda files: files.pop(CONTENTS), "is no bundle of forklock"),
        (lambda files: files.update({CONTENTS: b"[]"}), "is no bundle of forklock"),
        (lambda files: files.update({CONTENTS: b'{"bundle": 9, "files": {}}'}), "is a bundle of version 9"),
        (lambda files: files.update({CONTENTS: b'{"bundle": 1, "files": {}}'}), "lists no table, so it holds no study"),
    ],
)
def test_what_was_changed_is_named(tmp_path: Path, change: Callable[[dict[str, bytes]], None], said: str) -> None:
    written(tmp_path / "x.zip", *FILES)
    rewritten(tmp_path / "x.zip", change)
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        checked(tmp_path / "x.zip")


def test_no_flipped_byte_is_missed(tmp_path: Path) -> None:
    """Every byte in turn: found, or one of the zip format's own that says nothing of the content."""
    file = tmp_path / "x.zip"
    digest = written(file, ("a.md", "abc"), ("c.parquet", "PAR1"))
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            opened = checked(file, digest)
        except UserError:
            continue
        with zipfile.ZipFile(file) as archive:
            assert archive.read("a.md") == b"abc" and archive.read("c.parquet") == b"PAR1" and opened.digest == digest


def test_a_file_that_is_no_archive_or_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file; give the path of a bundle"):
        checked(tmp_path / "gone.zip")
    written(tmp_path / "x.zip", *FILES)
    (tmp_path / "half.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:200])
    with pytest.raises(UserError, match="is no whole zip archive"):
        checked(tmp_path / "half.zip")


def test_a_file_that_changes_while_it_is_packed_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    member = Member("a.json", Kind.OURS, tmp_path / "a.json")
    digests = {"a.json": digest_of(member)}
    (tmp_path / "a.json").write_text("2")
    with pytest.raises(UserError, match="changed while it was packed"):
        write_archive([member], digests, {}, tmp_path / "out/x.zip")
    assert os.listdir(tmp_path / "out") == []


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        written(tmp_path / "file/x.zip", *FILES)


def test_only_an_older_bundle_of_the_same_study_is_written_over(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("study: x\n")
    for out, of in ((study, "x"), (tmp_path, "x"), (tmp_path / "x.zip", "y")):
        written(tmp_path / "x.zip", *FILES)
        with pytest.raises(UserError, match=f"is there already, and is no bundle of the study {of}; name another"):
            refuse_to_replace(out, of)
    refuse_to_replace(tmp_path / "x.zip", "x")
    refuse_to_replace(tmp_path / "new.zip", "x")


def test_the_list_says_the_digest_of_every_file(tmp_path: Path) -> None:
    written(tmp_path / "x.zip", ("a.md", "abc"), ("c.parquet", "PAR1"))
    files = json.loads(zipfile.ZipFile(tmp_path / "x.zip").read(CONTENTS))["files"]
    assert files.pop("c.parquet")["bytes"] == 4
    assert files == {"a.md": {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "bytes": 3}}


def test_it_is_unpacked_whole_or_not_at_all(tmp_path: Path) -> None:
    digest = written(tmp_path / "x.zip", *FILES)
    opened = checked(tmp_path / "x.zip", digest)
    unpack(tmp_path / "x.zip", opened, tmp_path / "there", rows=False)
    found = {
        path.relative_to(tmp_path / "there").as_posix() for path in (tmp_path / "there").rglob("*") if path.is_file()
    }
    assert found == {CONTENTS, *(name for name, _ in FILES)}
    with pytest.raises(UserError, match="there: is there already; name a folder that is not"):
        unpack(tmp_path / "x.zip", opened, tmp_path / "there", rows=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/in: cannot be written"):
        unpack(tmp_path / "x.zip", opened, tmp_path / "file/in", rows=False)
    assert sorted(os.listdir(tmp_path)) == ["file", "there", "x.zip"]


OF_A_STUDY = ("results/models/base/graded.parquet", "rows")


@pytest.mark.parametrize("study", ["study: mine\n", "study: other\nresults: results/mine\n"])
def test_rows_are_placed_where_a_run_of_its_study_looks_for_them(tmp_path: Path, study: str) -> None:
    written(tmp_path / "x.zip", ("study.yaml", study), OF_A_STUDY)
    unpack(tmp_path / "x.zip", checked(tmp_path / "x.zip"), tmp_path / "there", rows=True)
    assert (tmp_path / "there/workflow/results/mine/models/base/graded.parquet").read_text() == "rows"


@pytest.mark.parametrize(
    "study",
    [
        "study: mine\nresults: {victim}", "study: ../../../victim", "study: mine\nresults: ../../victim", "results: null",
        "study: mine\nresults: a/../../../victim", "- a", "a: [", "results: [a]", "\0",
    ],
)  # fmt: skip
def test_a_forged_study_file_may_not_name_a_place_outside(tmp_path: Path, study: str) -> None:
    """Nothing of the folder that it names is written, and no time in it becomes another."""
    kept = tmp_path / "victim/models/base/graded.parquet"
    kept.parent.mkdir(parents=True)
    kept.write_text("precious")
    os.utime(kept, (1, 1))
    written(tmp_path / "evil.zip", ("study.yaml", study.format(victim=tmp_path / "victim")), OF_A_STUDY)
    with pytest.raises(
        UserError, match=r"evil.zip: its study.yaml names no folder of results below its own, .* do not"
    ):
        unpack(tmp_path / "evil.zip", checked(tmp_path / "evil.zip"), tmp_path / "there", rows=True)
    assert kept.read_text() == "precious" and kept.stat().st_mtime == 1
    assert sorted(os.listdir(tmp_path)) == ["evil.zip", "victim"]


@pytest.mark.parametrize("name", ["../evil.sh", "a/../../evil.sh", "/etc/evil.sh", "..\\evil.sh", "C:/evil.sh"])
def test_a_forged_list_may_not_name_a_place_outside(tmp_path: Path, name: str) -> None:
    written(tmp_path / "evil.zip", *FILES, (name, "x"))
    with pytest.raises(UserError, match="leads out of its folder"):
        checked(tmp_path / "evil.zip")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR])
def test_an_entry_that_became_a_link_or_a_device_is_found(tmp_path: Path, kind: int) -> None:
    written(tmp_path / "x.zip", *FILES)
    with zipfile.ZipFile(tmp_path / "x.zip") as whole, zipfile.ZipFile(tmp_path / "forged.zip", "w") as forged:
        for entry in whole.infolist():
            content = whole.read(entry)
            if entry.filename == "a.md":
                entry.external_attr = (kind | 0o777) << 16
            forged.writestr(entry, content)
    with pytest.raises(UserError, match=r"a\.md is no file, but a link or a folder"):
        checked(tmp_path / "forged.zip")
