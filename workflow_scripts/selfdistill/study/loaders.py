"""The loaders that a study file can name: what stands in `problems/datasets/loaders/`."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "problems/datasets/loaders"
LOADERS = sorted(file.stem.replace("_", "-") for file in FOLDER.glob("[a-z]*.py"))


def module_of(loader: str) -> str:
    return loader.replace("-", "_")


def file_of(loader: str) -> list[str]:
    """Where it stands, from the scripts' folder; nothing of a plugin's, whose digest stands in params."""
    file = FOLDER / f"{module_of(loader)}.py"
    return [str(file.relative_to(FOLDER.parents[3]))] if loader in LOADERS else []
