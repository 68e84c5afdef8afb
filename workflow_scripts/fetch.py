"""Rules `fetch_model` and `fetch_source`: a repository of the hub as a folder on this machine, and what it is."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.models.hub import MODEL_FILES, Repository, obtain

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, place = dict(snakemake.params.asked), snakemake.params.place
    loader = asked.pop("loader", None)
    files: tuple[str, ...] = MODEL_FILES
    licence, hub = None, asked.pop("hub")
    if loader:
        from selfdistill.problems.datasets.registry import dataset_of

        dataset = dataset_of(loader)
        files, licence, hub = dataset.files, dataset.licence, hub or dataset.hub
    folder = Path(place["folder"])
    wanted = Repository(**asked, hub=hub, revision=place["revision"], folder=folder, files=files)
    facts = obtain(wanted, Path(place["lock"]))
    write_json(snakemake.output[0], facts | {"loader": loader, "licence": licence})


as_rule(main, snakemake.log[0])
