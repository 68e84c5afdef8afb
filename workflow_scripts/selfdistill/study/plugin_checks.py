"""What is wrong with `plugins`, and names of loaders, engines and filters that nothing has."""

from collections.abc import Iterator
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.study.arms import KEEPS
from selfdistill.study.loaders import LOADERS
from selfdistill.study.plugins import Kind, Offer, Plugged, plugged, plugin_files
from selfdistill.study.sampling import ENGINES
from selfdistill.study.study import Study

BUILT_IN: dict[Kind, tuple[str, ...]] = {"loader": tuple(LOADERS), "engine": ENGINES, "filter": KEEPS}


def plugin_checks(study: Study, root: Path) -> Iterator[str]:
    found = plugged_in(study, root)
    if found.wrong:
        yield found.wrong
    for offer in found.offers:
        yield from name_checks(offer)
    yield from found.missing("sampling.engine", "engine", study.sampling.engine, ENGINES)
    for name, arm in study.arms.items():
        if arm.keep:
            yield from found.missing(f"arms.{name}.keep", "filter", arm.keep, KEEPS)
    for name, source in study.problems.sources.items():
        if source.loader:
            yield from found.missing(f"problems.sources.{name}.loader", "loader", source.loader, LOADERS)


def name_checks(offer: Offer) -> Iterator[str]:
    if offer.name in BUILT_IN.get(offer.kind, ()):
        yield f"plugins: {offer.file}: {offer.name!r} is a built-in {offer.kind}; give yours another name."


def plugged_in(study: Study, root: Path) -> Plugged:
    """What the study's plugins offer; nothing of them is imported where one comes from elsewhere."""
    strange = _from_elsewhere(study, root)
    return Plugged([], strange) if strange else plugged(study.plugins, root)


def _folders_of_data(study: Study, root: Path) -> Iterator[tuple[str, str]]:
    """Of a dataset that is a file, the folder around it; one that holds the study itself is the user's own."""
    for name, source in study.problems.sources.items():
        place = source.path if source.loader else str(Path(source.path).parent)
        if source.loader or not root.resolve().is_relative_to((root / place).resolve()):
            yield name, place


def _from_elsewhere(study: Study, root: Path) -> str | None:
    """Code that came with a model or a dataset, or lies among results, is never run. Looked at before it is imported."""
    places = {"model.path": study.model.path, "results": study.results}
    places |= {"where results lie": "results", "where models lie": "hub"}  # of any study
    places |= {f"problems.sources.{name}.path": place for name, place in _folders_of_data(study, root)}
    try:
        files = plugin_files(study.plugins, root)
    except UserError:  # told by itself
        return None
    for file in files:
        for key, place in places.items():
            if file.resolve().is_relative_to((root / place).resolve()):
                return (
                    f"plugins: {file} lies in {place} ({key}), and code that comes with a model, a dataset or results is not "
                    "run; read it, and put it into a folder of yours."
                )
    return None
