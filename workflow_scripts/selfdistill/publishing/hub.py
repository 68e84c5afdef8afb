"""Folders as a hub takes them, a repository each: every trained model with its card, and the samples as a dataset with theirs.

They are prepared on this machine and looked at; only `upload` needs a network, and a token in the environment.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import sync_tree
from selfdistill.models.hub.downloads import reason
from selfdistill.models.lineage import LINEAGE
from selfdistill.publishing.archive import digest_of
from selfdistill.publishing.bundle import Wishes, about_bundle, refuse_others, trained_models
from selfdistill.publishing.cards import Room, dataset_card, model_card, tables_of
from selfdistill.publishing.leaks import refuse_leaks
from selfdistill.publishing.members import Kind, Member, code_of, weights_of
from selfdistill.study.models import evaluated, reference_arms, runs, sources_of_samples
from selfdistill.study.names import parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables.practice import ROLLOUTS
from selfdistill.tables.problems import PROBLEMS as PROBLEM
from selfdistill.tables.problems import REFERENCES
from selfdistill.tables.sampling import GRADED, LATER_GRADED
from selfdistill.tables.schema import Schema
from selfdistill.tables.whole import read_table

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")
TOKEN = "HF_TOKEN"
CARD = "README.md"
TRAINING, ANSWERS, ROLLED, PROBLEMS, SOLUTIONS = (
    "training_samples", "evaluation_answers", "practice_rollouts", "problems", "references",
)  # fmt: skip
# What a row is, and by which columns it is read.
ROOMS: dict[str, tuple[str, Schema]] = {
    TRAINING: ("A row is a completion that the base drew to be learnt from; `model_id` says as what.", GRADED),
    ANSWERS: ("A row is a completion by which the model `model_id` is judged.", GRADED),
    ROLLED: ("A row is a completion that a model gave, or read again, while it trained, and learnt from.", ROLLOUTS),
    PROBLEMS: ("A row is a problem; `train` to learn from, `eval` to be judged by.", PROBLEM),
    SOLUTIONS: ("A row is a source's own solution to a training problem.", REFERENCES),
}


@dataclass(frozen=True)
class Repository:
    kind: Literal["model", "dataset"]
    name: str  # OWNER/NAME
    members: Sequence[Member]

    @property
    def folder(self) -> str:
        return f"{self.kind}s/{self.name.partition('/')[2]}"


def repositories(study: Study, name: str, wishes: Wishes) -> list[Repository]:
    """Nothing is written yet, and all of it was looked at."""
    if not REPOSITORY.fullmatch(name):
        raise UserError(f"--hub: {name!r} is no name of a repository; write OWNER/NAME.")
    refuse_others(study, Path(study.results))
    about, inputs, samples = about_bundle(study, wishes, code_of()), tables_of(study), f"{name}-samples"
    found = [
        Repository("model", f"{name}-{_of(model)}", [
            Member(CARD, Kind.OURS, text=model_card(study, model, about, samples, inputs)),
            *_lineage(Path(study.results) / "runs" / model),
            *(Member(member.name.partition("/")[2], member.kind, member.source) for member in weights_of(Path(study.results) / "runs" / model, "model")),
        ])
        for model in trained_models(study)
    ]  # fmt: skip
    tables = list(_samples(study))
    of_rooms: dict[str, list[int]] = {}
    for member in tables:
        of_rooms.setdefault(member.name.partition("/")[0], []).append(_rows(member))
    rooms = {room: Room(ROOMS[room][0], sum(rows), len(rows)) for room, rows in of_rooms.items()}
    card = Member(CARD, Kind.OURS, text=dataset_card(study, about, samples, rooms))
    found.append(Repository("dataset", samples, [card, *tables]))
    for repository in found:
        refuse_leaks(repository.members, wishes.allowed)
    return found


def _of(model: str) -> str:
    arm, seed, _ = parse_model_id(model)
    return f"{arm}-seed-{seed}"


def _lineage(folder: Path) -> list[Member]:
    return [Member(LINEAGE, Kind.OURS, folder / LINEAGE)] if (folder / LINEAGE).is_file() else []


def _samples(study: Study) -> list[Member]:
    results = Path(study.results)
    rooms = {TRAINING: sources_of_samples(study), ANSWERS: evaluated(study)}
    found = [
        Member(f"{room}/{model.replace('/', '-')}.parquet", Kind.QUOTES, results / "models" / model / "graded.parquet")
        for room, models in rooms.items()
        for model in dict.fromkeys(models)
    ]
    found += [
        Member(f"{ROLLED}/{run.replace('/', '-')}.parquet", Kind.QUOTES, results / "runs" / run / "rollouts.parquet")
        for run in runs(study)
        if study.arms[run.partition("/")[0]].practises
    ]
    if reference_arms(study):
        found.append(Member(f"{SOLUTIONS}/train.parquet", Kind.QUOTES, results / "problems/references.parquet"))
    return [
        *found,
        *(
            Member(f"{PROBLEMS}/{use}.parquet", Kind.QUOTES, results / f"problems/{use}.parquet")
            for use in ("train", "eval")
        ),
    ]


def _rows(member: Member) -> int:
    """Counted from a table that was read by its schema, so that one of another version is told before it is published."""
    assert member.source is not None
    schema = ROOMS[member.name.partition("/")[0]][1]
    return read_table(member.source, schema, (next(iter(schema)),), LATER_GRADED if schema is GRADED else ()).height


def refuse_prepared(folder: Path) -> None:
    if folder.exists():
        raise UserError(
            f"{folder}: is there already; send what is in it with --upload, or remove it, or name another place with --out."
        )


def as_prepared(found: Sequence[Repository], folder: Path, allowed: Sequence[str]) -> list[Path]:
    """The folders that were prepared before. Cards may have been edited since; nothing else may be other than the results."""
    for repository in found:
        place = folder / repository.folder
        made = {member.name: member for member in repository.members}
        there = {path.relative_to(place).as_posix(): path for path in sorted(place.rglob("*")) if path.is_file()}
        copies = {name: Member(name, member.kind, there.get(name)) for name, member in made.items() if name != CARD}
        changed = [
            name for name, copy in copies.items() if copy.source is None or digest_of(copy) != digest_of(made[name])
        ]
        if changed or CARD not in there:
            raise UserError(
                f"{place / (changed or [CARD])[0]}: is not what the study has now; remove {folder}, prepare it again, and look at it."
            )
        if added := sorted(there.keys() - made.keys()):
            raise UserError(f"{place / added[0]}: was not prepared, and would be sent, too; take it out of the folder.")
        refuse_leaks([Member(CARD, Kind.OURS, there[CARD])], allowed)
    return [folder / repository.folder for repository in found]


def prepare(found: Sequence[Repository], folder: Path) -> list[Path]:
    """Writes all folders, or none."""
    refuse_prepared(folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        for repository in found:
            for member in repository.members:
                target = part / repository.folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                if member.source is None:
                    target.write_text(member.text, encoding="utf-8")
                else:
                    shutil.copyfile(member.source, target)
        sync_tree(part)
        part.rename(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror or error}); give another place with --out, or make room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [folder / repository.folder for repository in found]


def refuse_without_token() -> str:
    if not (token := os.environ.get(TOKEN, "").strip()):
        raise UserError(
            f"--upload: needs a token that may write, in the variable {TOKEN}; the folders can be uploaded later by hand."
        )
    return token


def upload(found: Sequence[Repository], folders: Sequence[Path], public: bool) -> None:
    """Private unless asked otherwise: what is public cannot be taken back."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi

    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=refuse_without_token())
    for repository, folder in zip(found, folders, strict=True):
        name, kind = repository.name, repository.kind
        try:
            hub.create_repo(name, repo_type=kind, private=not public, exist_ok=True)
            hub.upload_folder(
                repo_id=name, repo_type=kind, folder_path=folder, commit_message="Results of a study, by Forklock"
            )
        except (OSError, HTTPError) as error:  # whatever the hub's client raises is an OSError
            raise UserError(
                f"{name}: could not be uploaded ({reason(error)}); what was prepared lies in {folder}. See to the token's rights and the "
                "network, and run this again, or upload it by hand: what is there already is not sent twice."
            ) from error
