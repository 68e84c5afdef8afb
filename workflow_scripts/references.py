"""Rule `references`: the dataset's own solutions as the tokens that a model would have to sample."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.models.folder import inspect_model
from selfdistill.problems.references import references, solutions_of
from selfdistill.study.problems import Source
from selfdistill.tables.problems import PROBLEMS, PROMPTS, REFERENCES
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    model = Path(snakemake.params.folder)
    facts = inspect_model(model, asked["context"], asked["trust_remote_code"])
    sources = {
        name: Source(path=str(path), use="train")
        for name, path in zip(asked["sources"], snakemake.input.sources, strict=True)
    }
    found = references(
        read_table(snakemake.input.train, PROBLEMS),
        read_table(snakemake.input.prompts, PROMPTS),
        solutions_of(sources),
        asked["wording"],
        model,
        asked["chat"],
        facts.trust_remote_code,
    )
    write_table(found, snakemake.output[0], REFERENCES)


as_rule(main, snakemake.log[0])
