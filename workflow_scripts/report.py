"""Rule `report`: everything on one page, and its figures as files."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.reporting.figures.catalogue import save_figures
from selfdistill.reporting.page import build_report
from selfdistill.reporting.read import read_inputs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    benchmarks = Path(snakemake.output.report).parent / "benchmarks"
    inputs = read_inputs(dict(snakemake.input.items()), snakemake.params.asked, benchmarks)
    save_figures(inputs, Path(snakemake.output.figures))
    build_report(inputs, snakemake.output.report)


as_rule(main, snakemake.log[0])
