"""Rules `fetch_model` and `fetch_source`: a repository of the hub as a folder on this machine, and what it is."""

from pathlib import Path

from selfdistill.files import write_json
from selfdistill.hub import MODEL_FILES, Repository, obtain
from selfdistill.program import as_rule


def main() -> None:
    asked = dict(snakemake.params.asked)
    loader = asked.pop("loader", None)
    files, licence, hub = MODEL_FILES, None, asked.pop("hub")
    if loader:
        from selfdistill.problems.datasets import DATASETS

        dataset = DATASETS[loader]
        files, licence, hub = dataset.files, dataset.licence, hub or dataset.hub
    wanted = Repository(**asked | {"folder": Path(asked["folder"])}, hub=hub, files=files)
    facts = obtain(wanted, Path(snakemake.params.lock))
    write_json(snakemake.output[0], facts | {"loader": loader, "licence": licence})


as_rule(main, snakemake.log[0])
