"""Rule `plan_in_context`: what to sample from the base under a context."""

from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.models.digests import model_digest
from selfdistill.sampling.asked import Asked
from selfdistill.sampling.contexts import given
from selfdistill.sampling.plan import make_plan
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.schema import empty_table
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    prompts = read_table(snakemake.input.prompts, CONTEXT_PROMPTS)
    asked_prompts = given(prompts)
    plan = make_plan(
        asked["model_id"],
        model_digest(snakemake.params.folder),
        Asked.model_validate(asked["plan"]),
        read_table(snakemake.input.problems, PROBLEMS),
        empty_table(PROBLEMS),
        asked_prompts.select("problem_id", "prompt_ids"),
        skipped={*prompts["problem_id"]} - {*asked_prompts["problem_id"]},
    )
    write_table(plan, snakemake.output[0], PLAN)


as_rule(main, snakemake.log[0])
