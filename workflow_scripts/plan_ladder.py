"""Rule `plan_ladder`: what to sample of one model on one rung, or of the base to choose the problems."""

import sys
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.models.digests import model_digest
from selfdistill.sampling.asked import Asked
from selfdistill.sampling.contexts import given
from selfdistill.sampling.plan import lowered, plan_of_chosen
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.problems import PROBLEMS, PROMPTS
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    problems = read_table(snakemake.input.problems, PROBLEMS)
    if asked["in_context"]:
        every = read_table(snakemake.input.prompts, CONTEXT_PROMPTS)
        prompts = given(every).select("problem_id", "prompt_ids")
        skipped = {*every["problem_id"]} - {*prompts["problem_id"]}
    else:
        prompts, skipped = read_table(snakemake.input.prompts, PROMPTS), set()
    plan, digest = Asked.model_validate(asked["plan"]), model_digest(snakemake.params.folder)
    if note := lowered(plan, problems.height):
        print(note, file=sys.stderr)
    table = plan_of_chosen(asked["model_id"], digest, plan, problems, prompts, skipped)
    write_table(table, snakemake.output[0], PLAN)


as_rule(main, snakemake.log[0])
