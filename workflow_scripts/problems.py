"""Rule `problems`: raw sources to the tables of training and evaluation problems."""

from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.problems.assemble import assemble
from selfdistill.study.problems import Problems
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    described = asked["problems"]["sources"].items()
    sources = {
        name: {**source, "path": str(path)}
        for (name, source), path in zip(described, snakemake.input.sources, strict=True)
    }
    examples = [str(path) for path in snakemake.input.examples]
    shown = {"examples": examples[0]} if examples else {}
    settings = Problems.model_validate({**asked["problems"], **shown, "sources": sources, "prompt": "{problem}"})
    answer = asked.get("examples_answer", "boxed")
    train, evaluation, contamination = assemble(settings, asked["seed"], examples_answer=answer)
    write_table(train, snakemake.output.train, PROBLEMS)
    write_table(evaluation, snakemake.output.evaluation, PROBLEMS)
    write_table(contamination, snakemake.output.contamination, CONTAMINATION)


as_rule(main, snakemake.log[0])
