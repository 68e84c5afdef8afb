"""A finished study as one archive: study, tables, report, figures, locks and code, to be read, checked and run again.

forklock bundle config/my.yaml --author "Ada Lovelace" --license CC-BY-4.0
forklock bundle config/my.yaml --weights --out published/my.zip
forklock bundle config/my.yaml --hub OWNER/NAME                 (also folders for a hub, in my-hub/; with --upload they are sent)
forklock bundle --check my.zip                                  (is it as it was made?)
forklock bundle --check my.zip --against results/my             (does a new run have the same tables?)
forklock bundle --check my.zip --unpack elsewhere --rows        (to a folder where the study makes its tables anew)

A secret, or a path of this machine, in any text of it is refused with its file and line, and nothing is written. Journals are
never packed; weights are, where --weights asks for them. The digest that is printed at the end stands for the whole archive: it is
that of the list of files in it, bundle.json.
"""

import argparse
import sys
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.archive import Opened, checked, refuse_to_replace
from selfdistill.publishing.bundle import Wishes, pack
from selfdistill.publishing.hub import as_prepared, prepare, refuse_prepared, refuse_without_token, repositories, upload
from selfdistill.publishing.members import CODE
from selfdistill.publishing.rerun import compared
from selfdistill.publishing.texts import known_licence
from selfdistill.publishing.unpack import unpack
from selfdistill.study.load import study_of
from selfdistill.study.study import Study

SUMMARY = "A finished study as one archive that others can read, check and run again."

OF_PACKING = ("study", "out", "weights", "author", "license", "allow", "hub", "upload", "public")
OF_CHECKING = ("digest", "against", "unpack", "rows")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, nargs="?", help="the study file")
    parser.add_argument("--out", type=Path, help="the archive; STUDY.zip unless given")
    parser.add_argument(
        "--weights", action="store_true", help="also the trained models, and a base that lies outside the project"
    )
    parser.add_argument("--author", action="append", default=[], metavar="NAME", help="of the study; once for each")
    parser.add_argument("--license", default="", metavar="SPDX", help="of what the study made, as CC-BY-4.0")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="PATH", help="a path in a text that may be read by all"
    )
    parser.add_argument(
        "--hub", metavar="OWNER/NAME", help="also prepare the trained models and the samples, with cards, for a hub"
    )
    parser.add_argument(
        "--upload", action="store_true", help="with --hub: send them, by the token in HF_TOKEN; private"
    )
    parser.add_argument("--public", action="store_true", help="with --upload: for all to see")
    parser.add_argument("--check", type=Path, metavar="FILE", help="check an archive instead, every byte of it")
    parser.add_argument("--digest", default="", metavar="HEX", help="with --check: the digest that was published")
    parser.add_argument(
        "--against", type=Path, metavar="RESULTS", help="with --check: results of a new run to hold against it"
    )
    parser.add_argument("--unpack", type=Path, metavar="FOLDER", help="with --check: unpack it, if it is unchanged")
    parser.add_argument(
        "--rows", action="store_true", help="with --unpack: a run there makes only the analysis and the report anew"
    )


def run(asked: argparse.Namespace) -> int:
    refuse_idle(asked)
    if asked.check:
        return check(asked)
    if asked.study is None:
        raise UserError("bundle: name the study file, as config/my.yaml, or an archive to --check.")
    if asked.upload and not asked.hub:
        raise UserError("--upload: say where to, with --hub OWNER/NAME.")
    if asked.upload:
        refuse_without_token()
    study = study_of(asked.study)
    out = asked.out or Path(f"{study.study}.zip")
    refuse_to_replace(out, study.study)
    wishes = Wishes(asked.weights, asked.author, known_licence(asked.license), asked.allow)
    return to_hub(asked, study, out, wishes) if asked.hub else written(asked, study, out, wishes)


def refuse_idle(asked: argparse.Namespace) -> None:
    """What would be asked for in vain."""
    if asked.check and (idle := next((name for name in OF_PACKING if getattr(asked, name)), "")):
        told = f"--{idle}" if idle != "study" else str(asked.study)
        raise UserError(f"{told}: is for packing a study, and --check looks at an archive; ask for one of the two.")
    if not asked.check and (idle := next((name for name in OF_CHECKING if getattr(asked, name)), "")):
        raise UserError(f"--{idle}: name the archive with --check FILE; a changed one is not opened.")
    if asked.public and not asked.upload:
        raise UserError("--public: nothing is sent without --upload; give both, or neither.")


def to_hub(asked: argparse.Namespace, study: Study, out: Path, wishes: Wishes) -> int:
    folder = out.with_name(f"{out.stem}-hub")
    if not asked.upload:
        refuse_prepared(folder)
    found = repositories(study, asked.hub, wishes)
    if folder.exists():
        folders = as_prepared(found, folder, wishes.allowed)
        print(f"{folder}: sent as it was prepared, with its cards as they are now")
    else:
        written(asked, study, out, wishes)
        folders = prepare(found, folder)
        for repository, place in zip(found, folders, strict=True):
            print(f"{place}: for {repository.name}")
    if asked.upload:
        upload(found, folders, asked.public)
        print(f"uploaded {len(found)} repositories, {'public' if asked.public else 'private'}")
    return 0


def written(asked: argparse.Namespace, study: Study, out: Path, wishes: Wishes) -> int:
    packed = pack(study, asked.study, out, wishes)
    print(f"{out}: {packed.files:,} files, {packed.bytes / 1e6:,.1f} MB\ndigest {packed.digest}")
    for note in packed.notes:
        print(f"note: {note}", file=sys.stderr)
    if not asked.author or not asked.license:
        print(
            "note: without --author and --license nobody can cite it well, or knows what may be done with it.",
            file=sys.stderr,
        )
    return 0


def check(asked: argparse.Namespace) -> int:
    if asked.rows and not asked.unpack:
        raise UserError("--rows: say where to, with --unpack FOLDER.")
    opened = checked(asked.check, asked.digest)
    print(f"{asked.check}: {len(opened.contents['files']):,} files are as they were packed\ndigest {opened.digest}")
    if asked.unpack:
        unpack(asked.check, opened, asked.unpack, asked.rows)
        print(f"unpacked into {asked.unpack}; run the study in {asked.unpack / CODE}")
    return hold_against(asked.check, opened, asked.against) if asked.against else 0


def hold_against(bundle: Path, opened: Opened, results: Path) -> int:
    tables = compared(bundle, opened, results)
    for table in tables:
        print(f"  {table.name:<28} {table.said}")
    unlike = sum(not table.same for table in tables)
    rounded = sum(table.same and not table.exact for table in tables)
    but = f", {rounded} of them but for times and rounding" if rounded else ""
    print(f"{len(tables) - unlike} of {len(tables)} tables are the same{but}")
    return int(bool(unlike))
