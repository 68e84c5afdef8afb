"""Rule `disagreement_texts`: which of the base's samples are read again, and with what each reader is asked."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.disagreement import planned
from selfdistill.mechanism.read_again import choose_texts, read_prompts, read_samples, shown_in, under, with_texts
from selfdistill.tables.mechanism import CARRIERS, PROBE_PLAN
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, samples = snakemake.params.asked, snakemake.input.samples
    told = {model: read_prompts(file) for model, file in zip(asked["told"], snakemake.input.prompts, strict=True)}
    prompts = {model: told[model] for model in asked["contexts"].values() if model in told}
    chosen = choose_texts(
        read_samples(samples), prompts, shown_in(told.values()), asked["texts"], asked["context"], asked["seed"]
    )
    plain = with_texts(chosen, samples)
    for folder in map(Path, snakemake.output):
        model = asked["contexts"].get(folder.name)
        carriers = under(plain, prompts[model]) if model in prompts else plain
        write_table(carriers, folder / "carriers.parquet", CARRIERS)
        write_table(planned(carriers), folder / "plan.parquet", PROBE_PLAN)


as_rule(main, snakemake.log[0])
