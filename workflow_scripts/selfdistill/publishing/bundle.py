"""Packs a finished study into one archive with which others can read it, check it and run it again."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from selfdistill.analysis.what_made import other_plugins
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.models.lineage import RECORD
from selfdistill.publishing.archive import digest_of, write_archive
from selfdistill.publishing.crate import METADATA, crate_text
from selfdistill.publishing.leaks import refuse_leaks
from selfdistill.publishing.members import (
    CODE,
    NOT_FINISHED,
    REPORT,
    RESULTS,
    REVISIONS,
    STUDY,
    Kind,
    Member,
    code_of,
    named_by,
    results_of,
    weights_of,
)
from selfdistill.publishing.texts import (
    CITATION,
    ENVIRONMENT,
    README,
    ZENODO,
    About,
    about_study,
    citation_text,
    code_in_words,
    environment_text,
    readme_text,
    zenodo_text,
)
from selfdistill.study.models import finished_models, trained_arms
from selfdistill.study.plugins import plugin_files
from selfdistill.study.results import RUN_RECORD, work_folder
from selfdistill.study.study import Study
from selfdistill.study.unlike import ABSENT, unlike
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, ESTIMATES, VERDICTS
from selfdistill.tables.whole import read_table

RECORDED = {
    "forklock", "commit", "uncommitted changes", "python", "created", "versions", "study_sha256", "started", "sampling",
    "trainings",
}  # fmt: skip
CHECKED = {"levels": ESTIMATES, "comparisons": COMPARISONS, "verdicts": VERDICTS}


@dataclass(frozen=True)
class Wishes:
    """What a person asks of a bundle beside its study."""

    weights: bool = False
    authors: Sequence[str] = ()
    licence: str = ""
    allowed: Sequence[str] = ()


@dataclass(frozen=True)
class Packed:
    files: int
    bytes: int
    digest: str
    notes: Sequence[str]


def pack(study: Study, file: Path, out: Path, wishes: Wishes) -> Packed:
    """`file` is the study file. Everything is looked at before anything is written."""
    refuse_others(study, Path(study.results))
    code = code_of()
    about = about_bundle(study, wishes, code)
    members = members_of(study, file, wishes, code, about)
    refuse_leaks(members, wishes.allowed)
    digests = {member.name: digest_of(member) for member in members}
    crate = Member(METADATA, Kind.OURS, text=crate_text(members, digests, about))
    digests[METADATA] = digest_of(crate)
    whole = [*members, crate]
    digest = write_archive(whole, digests, {"study": study.study, "forklock": about.version}, out)
    left_out = [f"{member.name}: packed without the account or address in it." for member in code if member.text]
    return Packed(len(whole) + 1, out.stat().st_size, digest, [*unlike_the_run(study, about), *left_out])


def members_of(study: Study, file: Path, wishes: Wishes, code: Sequence[Member], about: About) -> list[Member]:
    found = [Member(STUDY, Kind.OURS, file), *results_of(study), *code, *named_by(study, code)]
    revisions = work_folder(study.results) / REVISIONS
    if revisions.is_file():  # where a run looks for it, so that it takes the same commits
        found.append(Member(f"{CODE}/{study.results}/{REVISIONS}", Kind.OURS, revisions))
    found += _weights(study) if wishes.weights else []
    texts = {
        README: readme_text, ENVIRONMENT: environment_text, CITATION: citation_text, ZENODO: zenodo_text,
    }  # fmt: skip
    found += [Member(name, Kind.OURS, text=text(about)) for name, text in texts.items()]
    return sorted({member.name: member for member in reversed(found)}.values(), key=lambda member: member.name)


def _weights(study: Study) -> Iterator[Member]:
    """The trained models, and a base that a run elsewhere would not get from the hub."""
    for model in trained_models(study):
        yield from weights_of(Path(study.results) / "runs" / model, f"{RESULTS}/runs/{model}")
    if not study.model.hub:
        yield from weights_of(Path(study.model.path), f"{CODE}/{study.model.path}")


def trained_models(study: Study) -> list[str]:
    """Every finished training's last checkpoint."""
    return finished_models(study, list(trained_arms(study)))


def about_bundle(study: Study, wishes: Wishes, code: Sequence[Member]) -> About:
    verdicts = read_table(Path(study.results) / "analysis/verdicts.parquet", VERDICTS)
    answers = verdicts.filter(pl.col("role") == words.HYPOTHESIS)["sentence"].to_list()
    needs = list(_needed(study, wishes.weights, {member.name for member in code}))
    return about_study(study, record_of(study), answers, needs, wishes.authors, wishes.licence, wishes.weights)


def record_of(study: Study) -> dict[str, Any]:
    """What the report wrote down of how the results were made."""
    path = Path(study.results) / RUN_RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not set(record) >= RECORDED:
            raise ValueError("not what a report writes")
    except FileNotFoundError:
        raise UserError(
            f"{path}: is not there; run the study to its report again, which writes down what made it."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); run the study to its report again, which writes it anew."
        ) from error
    return record


def unlike_the_run(study: Study, about: About) -> Iterator[str]:
    """What a reader should know of who packs a study by other code, or beside another record, than made its report."""
    made, packed = about.made_by, about.packed_with
    if any(made[key] != packed[key] for key in ("forklock", "commit")) or "yes" in (
        made["uncommitted changes"],
        packed["uncommitted changes"],
    ):
        yield (
            f"the report was made with Forklock {made['forklock']}, {code_in_words(made)}, and the packed code is Forklock "
            f"{packed['forklock']}, {code_in_words(packed)}: it may make other numbers."
        )
    record = (Path(study.results) / RECORD).read_bytes()
    if made["study_sha256"] != hashlib.sha256(record).hexdigest():
        yield (
            f"{Path(study.results) / RECORD} was written anew after the report was made; run the study to its report again."
        )
    if others := other_plugins(plugin_files(study.plugins), made):
        yield (
            f"plugins: {', '.join(others)}: the report was made with another file of that name, or without one; a run of the bundle "
            "may make other numbers. Run the study to its report again."
        )


def _needed(study: Study, weights: bool, tracked: set[str]) -> Iterator[str]:
    """What a run needs that is neither packed nor fetched by the run itself."""
    folder = study.model.path
    if not study.model.hub and not weights and f"{CODE}/{folder}/config.json" not in tracked:
        there = (Path(folder) / "config.json").is_file()
        yield f"`{CODE}/{folder}`: the model's folder{f', of digest {model_digest(folder)}' if there else ''}"
    for name, source in study.problems.sources.items():
        if source.loader and not source.hub:
            yield f"`{CODE}/{source.path}`: the dataset of the source {name}, where the hub from which it comes cannot be reached"


def refuse_others(study: Study, results: Path) -> None:
    """Results that another study file made, and tables of another version of this code."""
    record = results / RECORD
    try:
        recorded = yaml.safe_load(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{record}: {NOT_FINISHED}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"{record}: cannot be read ({type(error).__name__}); run the study again, which writes it anew."
        ) from error
    if not isinstance(recorded, dict):
        raise UserError(f"{record}: is no study; run the study again, which writes it anew.")
    # What only one of them knows is of another version of the code.
    if changed := [key for key, values in unlike([study.as_param(), recorded]).items() if ABSENT not in values]:
        raise UserError(
            f"{', '.join(changed[:5])}: {record} says otherwise, so the results are not of this study file; run the study again, or give "
            "the file that made them."
        )
    if not (results / REPORT).is_file():
        raise UserError(f"{results / REPORT}: {NOT_FINISHED}")
    for name, schema in CHECKED.items():
        read_table(results / f"analysis/{name}.parquet", schema)
