"""The runs that practised, from their files: what `practice.py` and `practice_changes.py` make their tables of."""

from collections.abc import Collection, Iterable, Mapping

from selfdistill.analysis.practice import Practised
from selfdistill.analysis.practice_questions import read_rollouts
from selfdistill.tables.practice import UPDATES
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.training import RUN_LOG
from selfdistill.tables.whole import read_table


def practised(
    runs: Mapping[str, int], train: str, rollouts: Iterable[str], updates: Iterable[str], logs: Iterable[str],
    replaying: Collection[str] = (),
) -> list[Practised]:  # fmt: skip
    """Each of `runs` with how many rollouts are a group, and a file of each kind. `replaying` learnt from another's rollouts."""
    families = read_table(train, PROBLEMS, ("problem_id", "family"))
    return [
        Practised.of(
            run,
            group,
            read_rollouts(answers),
            read_table(steps, UPDATES),
            read_table(log, RUN_LOG),
            families,
            run in replaying,
        )
        for (run, group), answers, steps, log in zip(runs.items(), rollouts, updates, logs, strict=True)
    ]
