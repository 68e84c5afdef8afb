"""Rule `weight_change`: weights changed by all runs, and whether their steps add up."""

from typing import TYPE_CHECKING

from selfdistill.analysis.coherence import path_coherence
from selfdistill.analysis.runs import of_all_runs
from selfdistill.analysis.weight_change import weight_change
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import PATH_COHERENCE, WEIGHT_CHANGE
from selfdistill.tables.schema import of_runs
from selfdistill.tables.training import COHERENCE, WEIGHTS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    runs, beta1 = snakemake.params.asked["runs"], snakemake.params.asked["beta1"]
    weights = zip(runs, snakemake.input.weights, strict=True)
    paths = zip(runs, snakemake.input.coherence, strict=True)
    changes = of_all_runs({run: weight_change(read_table(file, WEIGHTS)) for run, file in weights})
    coherence = of_all_runs({run: path_coherence(read_table(file, COHERENCE), beta1[run]) for run, file in paths})
    write_table(changes, snakemake.output.changes, of_runs(WEIGHT_CHANGE))
    write_table(coherence, snakemake.output.coherence, of_runs(PATH_COHERENCE))


as_rule(main, snakemake.log[0])
