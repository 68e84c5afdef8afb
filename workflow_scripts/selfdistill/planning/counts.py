"""How many problems a study asks where it says `all`, before anything is read: numbers in place of every `all`.

A source of the user's own has as many as its file has lines, a public one as many as config/throughputs.yaml states for its
loader with the usual options or for the splits that are asked for, and no more than its limit; what a plugin's loader reads
is counted where it lies. Duplicates make them fewer, so the plan is for the most.
"""

from pathlib import Path

from selfdistill.planning.figures import Figures
from selfdistill.problems.datasets.convert import convert
from selfdistill.study.evaluation import ALL, Size
from selfdistill.study.file_checks import written_lines
from selfdistill.study.loaders import LOADERS
from selfdistill.study.problems import Source
from selfdistill.study.study import Study


def number(size: Size) -> int:
    """Of a study that is counted."""
    assert size != ALL, "the study is to be counted first"
    return size


def counted(study: Study, figures: Figures) -> Study:
    """The same study with numbers; itself where it has no `all`."""
    evaluation = study.evaluation
    sizes = [*evaluation.budgets.values(), *(size for each in evaluation.mixtures.values() for size in each.values())]
    if ALL not in sizes:
        return study
    there = _by_source(study, figures)
    budgets = {name: sum(there.values()) if size == ALL else size for name, size in evaluation.budgets.items()}
    mixtures = {
        name: {source: there[source] if size == ALL else size for source, size in mixture.items()}
        for name, mixture in evaluation.mixtures.items()
    }
    looks = [budgets["full"] if size == ALL else size for size in evaluation.looks]
    return study.model_copy(
        update={"evaluation": evaluation.model_copy(update={"budgets": budgets, "mixtures": mixtures, "looks": looks})}
    )


def problems_to_ask(study: Study, figures: Figures) -> int:
    """All that the sources hold, of which the full budget may be a part."""
    return sum(_by_source(study, figures).values())


def _by_source(study: Study, figures: Figures) -> dict[str, int]:
    sources = {name: source for name, source in study.problems.sources.items() if source.use == "eval"}
    return {name: _problems_of(source, study, figures) for name, source in sources.items()}


def _problems_of(source: Source, study: Study, figures: Figures) -> int:
    if source.loader is None:
        return written_lines(Path(source.path))
    if source.loader not in LOADERS and Path(source.path).is_dir():
        return len(convert(study.reference("loader", source.loader), Path(source.path), source.options).rows)
    limit = source.options.get("limit")
    there = sum(figures.problems(source.loader, split) for split in source.options.get("splits", [""]))
    return there if limit is None else min(limit, there)
