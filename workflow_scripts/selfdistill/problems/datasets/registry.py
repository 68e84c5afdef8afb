"""The datasets by the names that study files call them."""

from functools import cache
from importlib import import_module

from selfdistill.problems.datasets import loaders
from selfdistill.problems.datasets.dataset import Dataset
from selfdistill.study.loaders import LOADERS, module_of


@cache
def dataset_of(loader: str) -> Dataset:
    """Imported when it is asked for, so that a new loader is no change of those that are there."""
    dataset: Dataset = import_module(f"{loaders.__name__}.{module_of(loader)}").DATASET
    return dataset


def all_datasets() -> dict[str, Dataset]:
    return {loader: dataset_of(loader) for loader in LOADERS}
