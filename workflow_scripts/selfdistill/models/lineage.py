"""Where a model that is a study's checkpoint comes from: which study, arm and seed, on what it was trained, and from which base.

Every exported checkpoint holds this as `lineage.json`, so that it is known wherever the folder goes; the base's own is in
it, and so on down to a model that nobody trained here. Of a checkpoint that an older version exported, the manifest of its
run tells, as long as the folder lies beside it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.study.names import EXPORT

LINEAGE = "lineage.json"
MANIFEST = "manifest.json"  # of a run, beside its checkpoints
RECORD = "study.yaml"  # of the study, in the folder of its results
FROM_RUN_TO_RESULTS = 2  # results/runs/arm/seed-0

Lineage = dict[str, Any]


def checkpoint_lineage(manifest: Mapping[str, Any], name: str) -> Lineage:
    """What a run's manifest says of one of its checkpoints, by the checkpoint's name. Older manifests say less."""
    made = manifest["checkpoints"][name]
    return {
        "study": manifest.get("study"),
        "arm": manifest["arm"],
        "training_seed": manifest["training_seed"],
        "percent": int(name.removeprefix("at-")),
        "step": made["step"],
        "digest": made["digest"],
        "samples_of": manifest.get("samples_of"),
        "examples": manifest["examples"],
        "dataset_digest": manifest["dataset_digest"],  # of one that practised, the digest of its questions
        "targets_digest": manifest.get("targets_digest"),
        "code": manifest.get("code"),
        "finished": manifest.get("finished"),
        "base": {
            "digest": manifest["base_digest"],
            "path": manifest.get("base_path"),
            "lineage": manifest.get("base_lineage"),
            # Where its weights come from, if not from its makers.
            **({"origin": manifest["base_origin"]} if manifest.get("base_origin") else {}),
        },
    }


def is_checkpoint(folder: Path) -> bool:
    """Whether anything tells of a training that made this folder."""
    return (folder / LINEAGE).is_file() or _manifest_beside(folder).is_file()


def lineage_of(folder: Path) -> Lineage | None:
    """None for a model that no study here made."""
    file = folder / LINEAGE if (folder / LINEAGE).is_file() else _manifest_beside(folder)
    if not file.is_file():
        return None
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if file.name == LINEAGE:
            return dict(told)
        return checkpoint_lineage(told, folder.resolve().name) | {"study": told.get("study") or _study_beside(file)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file}: cannot be read, so it is not known what {folder} was made from; bring it back as its training left it, "
            "or copy the checkpoint without it to another folder."
        ) from error


def described(folder: Path) -> dict[str, Any]:
    """The digest of a model's folder, its lineage, and whether its files are still those that the lineage tells of."""
    digest, lineage = model_digest(folder), lineage_of(folder)
    return {
        "path": str(folder),
        "digest": digest,
        "lineage": lineage,
        "unchanged": lineage is not None and lineage.get("digest") == digest,
    }


def generations(lineage: Lineage | None) -> Iterator[Lineage]:
    """A checkpoint, the one that it was trained from, and so on."""
    while lineage:
        yield lineage
        lineage = (lineage.get("base") or {}).get("lineage")


def _manifest_beside(folder: Path) -> Path:
    """Of a folder that is called as a checkpoint is; of any other folder what is beside it says nothing."""
    resolved = folder.resolve()
    return resolved.parent / MANIFEST if EXPORT.fullmatch(resolved.name) else resolved / "no checkpoint"


def _study_beside(manifest: Path) -> str | None:
    record = manifest.parents[FROM_RUN_TO_RESULTS + 1] / RECORD
    try:
        return str(yaml.safe_load(record.read_text(encoding="utf-8"))["study"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None
