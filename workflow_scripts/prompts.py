"""Rule `prompts`: every problem as the token ids that a model is given."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.foundation.programs import as_rule
from selfdistill.models.folder import inspect_model
from selfdistill.problems.examples import read_examples
from selfdistill.sampling.prompts import Chat, tokenise_prompts
from selfdistill.tables.problems import PROBLEMS, PROMPTS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    problems = pl.concat(read_table(path, PROBLEMS) for path in (snakemake.input.train, snakemake.input.evaluation))
    model = Path(asked["model"])
    facts = inspect_model(model, asked["context"], asked["trust_remote_code"])
    for note in facts.notes:
        print(note, file=sys.stderr)
    # A template may be downloaded only now; contexts are asked when the base has been sampled, which is late to hear of it.
    for name, switches in asked.get("switches", {}).items():
        Chat(model, switches, facts.trust_remote_code, f"contexts.{name}.chat")
    examples = [example for path in snakemake.input.examples for example in read_examples(str(path))]
    prompts = tokenise_prompts(
        problems, asked["prompt"], model, asked.get("chat", {}), facts.trust_remote_code, examples
    )
    write_table(prompts, snakemake.output[0], PROMPTS)


as_rule(main, snakemake.log[0])
