"""Rule `carriers`: which texts are probed, and where."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.carriers import choose_carriers, read_texts, with_texts
from selfdistill.mechanism.positions import probe_plan
from selfdistill.models.pieces import tokenizer_of
from selfdistill.study.mechanism import Mechanism
from selfdistill.tables.mechanism import CARRIERS, PROBE_PLAN
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    mechanism = Mechanism.model_validate(asked["mechanism"])
    texts = read_texts(snakemake.input.graded, mechanism.decode)
    chosen = choose_carriers(texts, mechanism.carriers, asked["context"], asked["seed"])
    carriers = with_texts(chosen, snakemake.input.graded)
    write_table(carriers, snakemake.output.carriers, CARRIERS)
    plan = probe_plan(carriers, mechanism, tokenizer_of(Path(snakemake.params.folder)), asked["seed"])
    write_table(plan, snakemake.output.plan, PROBE_PLAN)


as_rule(main, snakemake.log[0])
