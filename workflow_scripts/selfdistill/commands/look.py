"""Close what the present look settled, and move a study with looks on to the next one.

forklock look config/my.yaml

Then the same snakemake command as before samples on for what is open. What moves a study is one small file, looks.json
beside its results, that is written whole: killed before it, the study is at the look it was; killed after, at the next.
"""

import argparse
import sys
from pathlib import Path

from selfdistill.analysis.looks import after
from selfdistill.commands.given import add_study
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.wording import plural
from selfdistill.study.load import study_of
from selfdistill.study.looks import RECORD, record_of, write_record
from selfdistill.study.results import work_folder
from selfdistill.tables.analysis import LOOKS, VERDICTS
from selfdistill.tables.whole import read_table

SUMMARY = "Close what the present look settled, and move a study with looks on to the next one."
FINISHED = 3  # exit status where no look is left to go to


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)


def run(asked: argparse.Namespace) -> int:
    study = study_of(asked.study)
    if not study.evaluation.looks:
        raise UserError(f"evaluation.looks: {asked.study} has no looks; there is no next one.")
    file = work_folder(study.results) / RECORD
    record = record_of(study, file)
    tables = {name: Path(study.results) / f"analysis/{name}.parquet" for name in ("verdicts", "looks")}
    if missing := next((path for path in tables.values() if not path.is_file()), None):
        raise UserError(
            f"{missing}: is not there; run this study to its report first, which judges look {record.current}."
        )
    looks = read_table(tables["looks"], LOOKS)
    if set(looks["hypothesis"]) != set(record.hypotheses) or looks["look"].max() != record.current:
        raise UserError(
            f"{tables['looks']}: does not judge look {record.current}; run this study to its report first, then the next look."
        )
    following = after(record, read_table(tables["verdicts"], VERDICTS), looks)
    if record.current == len(record.looks):
        return finished(f"look {record.current} was the last; every problem that the study may ask was asked.")
    if not following.open:
        return finished(
            f"every hypothesis is closed at look {record.current} of {len(record.looks)}; nothing more is to be sampled."
        )
    write_record(following, file)
    closed = [name for name in following.closed if name not in record.closed]
    print(
        f"{study.study}: look {following.current} of {len(record.looks)}, {record.looks[record.current]} problems; "
        f"closed by look {record.current}: {', '.join(closed) or 'nothing'}; {plural(len(following.open), 'hypothesis', 'hypotheses')} "
        f"open: {', '.join(following.open)}. Run the study again.",
        file=sys.stderr,
    )
    return 0


def finished(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return FINISHED
