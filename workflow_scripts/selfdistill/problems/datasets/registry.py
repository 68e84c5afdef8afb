"""The datasets by the names that study files call them."""

from functools import cache
from importlib import import_module

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import offered, reference_in
from selfdistill.problems.datasets import loaders
from selfdistill.problems.datasets.dataset import Dataset
from selfdistill.study.loaders import LOADERS, module_of


@cache
def dataset_of(loader: str) -> Dataset:
    """By its name, or by the reference of a plugin's. Imported when it is asked for, so that a new loader is no change of
    those that are there."""
    if reference := reference_in(loader):
        module = offered(reference)
        found = module.DATASET
        if not isinstance(found, Dataset):
            raise UserError(
                f"plugins: {reference.file}: DATASET must be a Dataset (selfdistill.problems.datasets.dataset), but is a "
                f"{type(found).__name__}."
            )
        if not callable(getattr(module, "write", None)):
            raise UserError(
                f"plugins: {reference.file}: a loader needs write(folder, problems), which writes problems as the dataset has "
                "them, for rehearsals and examinations (docs/extend.md)."
            )
        return found
    dataset: Dataset = import_module(f"{loaders.__name__}.{module_of(loader)}").DATASET
    return dataset


def all_datasets() -> dict[str, Dataset]:
    return {loader: dataset_of(loader) for loader in LOADERS}
