"""Rule `plan_ladder`: what to sample of one model on one rung, or of the base to choose the problems."""

from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.models.digests import model_digest
from selfdistill.sampling.contexts import given
from selfdistill.sampling.plan import Asked, make_plan
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.problems import PROBLEMS, PROMPTS
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.schema import empty_table
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    plan = Asked.model_validate(asked["plan"])
    problems = read_table(snakemake.input.problems, PROBLEMS)
    if asked["in_context"]:
        every = read_table(snakemake.input.prompts, CONTEXT_PROMPTS)
        prompts = given(every).select("problem_id", "prompt_ids")
        skipped = {*every["problem_id"]} - {*prompts["problem_id"]}
    else:
        prompts, skipped = read_table(snakemake.input.prompts, PROMPTS), set()
    table = make_plan(
        asked["model_id"],
        model_digest(snakemake.params.folder),
        plan.model_copy(update={"train_samples": min(plan.train_samples, problems.height)}),
        problems,
        empty_table(PROBLEMS),
        prompts,
        skipped=skipped,
    )
    write_table(table, snakemake.output[0], PLAN)


as_rule(main, snakemake.log[0])
