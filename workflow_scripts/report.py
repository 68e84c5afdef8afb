"""Rule `report`: everything on one page, its figures as files, and what made it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.reporting.figures.catalogue import save_figures
from selfdistill.reporting.page import build_report
from selfdistill.reporting.read import read_inputs
from selfdistill.reporting.record import run_record

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    results, asked = Path(snakemake.output.report).parent, snakemake.params.asked
    inputs = read_inputs(dict(snakemake.input.items()), asked, results / "benchmarks")
    manifests = zip(asked["runs"], snakemake.input.manifests, strict=True)
    trained = {run: json.loads(Path(manifest).read_text()) for run, manifest in manifests}
    write_json(snakemake.output.provenance, run_record(inputs, trained, results / "logs"))
    save_figures(inputs, Path(snakemake.output.figures))
    build_report(inputs, snakemake.output.report)


as_rule(main, snakemake.log[0])
