"""Fixtures that several tests of training take."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training_fixture import tiny_model

    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training_fixture import tiny_dataset

    return tiny_dataset(tmp_path_factory.mktemp("data") / "dataset.parquet")
