"""Rule `practice_analysis`: how training on one's own answers went, what it changed, what it took."""

from typing import TYPE_CHECKING

from selfdistill.analysis.practice import costs, practice
from selfdistill.analysis.practice_changes import practice_changes
from selfdistill.analysis.practice_runs import practised
from selfdistill.analysis.practice_signal import practice_signal
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import NOISE_STEPS
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_CHANGES, PRACTICE_COST, PRACTICE_SIGNAL
from selfdistill.tables.schema import of_runs
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, files = snakemake.params.asked, snakemake.input
    groups = {run: asked["rollouts"][run] for run in asked["runs"]}
    runs = practised(groups, files.train, files.rollouts, files.updates, files.logs, asked["replaying"])
    write_table(practice(runs), snakemake.output.practice, PRACTICE)
    write_table(practice_changes(runs), snakemake.output.changes, PRACTICE_CHANGES)
    steps = read_table(files.noise, of_runs(NOISE_STEPS))
    signal = practice_signal(steps, asked["runs"], asked["seed"])
    write_table(signal, snakemake.output.signal, PRACTICE_SIGNAL)
    write_table(costs(runs), snakemake.output.cost, PRACTICE_COST)


as_rule(main, snakemake.log[0])
