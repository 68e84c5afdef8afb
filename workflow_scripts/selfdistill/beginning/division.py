"""One file of problems in two: half to learn from, half to be asked. A family of problems stays together."""

from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.problems.budgets import split_families
from selfdistill.problems.families import find_families
from selfdistill.problems.sources import lines_of, read_source
from selfdistill.study.problems import Contamination

ASKED = 0.5  # share of the problems


def divided(file: str, seed: int) -> tuple[str, str]:
    """The lines to learn from and the lines to be asked, as they stand in the file, in its order."""
    problems = read_source("problems", file)
    # As like as a training problem may not be to one that is asked, and so dropped if it were on the other side.
    families = find_families(problems, Contamination().jaccard_same_answer)
    first = {problem.problem_id: problem for problem in reversed(problems)}
    split = split_families(families, {name: (file, each.level) for name, each in first.items()}, ASKED, seed)
    asked = {name for name, part in split.items() if part == "dev"}
    if not asked or len(asked) == len(split):
        raise UserError(
            f"{file}: its problems are all alike, so that none could be asked without having been learnt; "
            "give two files, or add other problems."
        )
    texts = dict(lines_of(file, Path("."), "problems"))
    parts = ([p.line for p in problems if (p.problem_id in asked) == is_asked] for is_asked in (False, True))
    learn, ask = ("".join(f"{texts[line].strip()}\n" for line in part) for part in parts)
    return learn, ask
