"""Rule `practice_analysis`: how training on one's own answers went, what it changed, what it took."""

from typing import TYPE_CHECKING

from selfdistill.analysis.practice import Practised, costs, practice
from selfdistill.analysis.practice_changes import practice_changes
from selfdistill.analysis.practice_questions import read_rollouts
from selfdistill.analysis.practice_signal import practice_signal
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import NOISE_STEPS
from selfdistill.tables.practice import UPDATES
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_CHANGES, PRACTICE_COST, PRACTICE_SIGNAL
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.schema import of_runs
from selfdistill.tables.training import RUN_LOG
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def practised() -> list[Practised]:
    asked, files = snakemake.params.asked, snakemake.input
    families = read_table(files.train, PROBLEMS, ("problem_id", "family"))
    tables = zip(asked["runs"], files.rollouts, files.updates, files.logs, strict=True)
    return [
        Practised.of(
            run,
            asked["rollouts"][run],
            read_rollouts(rollouts),
            read_table(updates, UPDATES),
            read_table(log, RUN_LOG),
            families,
            run in asked["replaying"],
        )
        for run, rollouts, updates, log in tables
    ]


def main() -> None:
    runs = practised()
    write_table(practice(runs), snakemake.output.practice, PRACTICE)
    write_table(practice_changes(runs), snakemake.output.changes, PRACTICE_CHANGES)
    steps = read_table(snakemake.input.noise, of_runs(NOISE_STEPS))
    signal = practice_signal(steps, snakemake.params.asked["runs"], snakemake.params.asked["seed"])
    write_table(signal, snakemake.output.signal, PRACTICE_SIGNAL)
    write_table(costs(runs), snakemake.output.cost, PRACTICE_COST)


as_rule(main, snakemake.log[0])
