"""What the fetching rules ask for: the base model's repository, or the one in which a loader's dataset lies."""

from pathlib import Path
from typing import Any

from selfdistill.foundation.plugins import without_place
from selfdistill.models.hub.obtain import obtain
from selfdistill.models.hub.repository import MODEL_FILES, Kind, Repository
from selfdistill.problems.datasets.dataset import Dataset
from selfdistill.problems.datasets.registry import dataset_of


def fetch(
    key: str, kind: Kind, hub: str | None, revision: str, folder: str, lock: str, loader: str | None = None
) -> dict[str, Any]:
    """What is to be known of its copy on this machine, after a download where there was none. A dataset's repository is
    the loader's own where the study names no other."""
    dataset = dataset_of(loader) if loader else None
    home = hub or (dataset.hub if dataset else None)
    assert home is not None, f"{key} names no repository"
    files = layout_of(dataset, Path(folder)) if dataset else MODEL_FILES
    facts = obtain(Repository(key, kind, home, revision, Path(folder), files), Path(lock))
    return facts | {
        "loader": without_place(loader) if loader else None,
        "licence": dataset.licence if dataset else None,
    }


def layout_of(dataset: Dataset, folder: Path) -> tuple[str, ...]:
    """The patterns of the dataset's files in this folder: the hub's, unless somebody put those of another layout there."""
    layouts = (dataset.files, *dataset.elsewhere)
    return next((each for each in layouts if any(any(folder.glob(pattern)) for pattern in each)), dataset.files)
