"""Rule `token_classes`: what every probed position is, by the base alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.tabulate import token_classes
from selfdistill.study.mechanism import Classes
from selfdistill.study.sampling import Decode
from selfdistill.tables.mechanism import CARRIERS, PROBE_PLAN, TOKEN_CLASSES
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    plan = read_table(snakemake.input.plan, PROBE_PLAN)
    carriers = read_table(
        snakemake.input.carriers, CARRIERS, ("carrier_id", "problem_id", "family", "half", "model_id")
    )
    decode, thresholds = Decode.model_validate(asked["decode"]), Classes.model_validate(asked["classes"])
    table = token_classes(plan, carriers, Path(snakemake.input.base), decode, thresholds)
    write_table(table, snakemake.output[0], TOKEN_CLASSES)


as_rule(main, snakemake.log[0])
