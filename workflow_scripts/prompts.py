"""Rule `prompts`: every problem as the token ids that a model is given."""

from pathlib import Path

import polars as pl

from selfdistill.program import as_rule
from selfdistill.sampling.plan import tokenise_prompts
from selfdistill.tables import PROBLEMS, PROMPTS, read_table, write_table


def main() -> None:
    asked = snakemake.params.asked
    problems = pl.concat(read_table(path, PROBLEMS) for path in (snakemake.input.train, snakemake.input.evaluation))
    write_table(tokenise_prompts(problems, asked["prompt"], Path(asked["model"])), snakemake.output[0], PROMPTS)


as_rule(main, snakemake.log[0])
