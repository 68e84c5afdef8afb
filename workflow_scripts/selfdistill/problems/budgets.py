"""Who is in dev and who in test, and one ranking of all problems whose every beginning is a fair sample of the whole.

A budget of n is `rank < n`, so a smaller budget is a part of a larger one, and growing one samples nothing anew.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.study.evaluation import ALL, Size, size_of


def drawn(seed: int, *key: object) -> str:
    """A random number, as text, that depends on the seed and the key alone."""
    return hashlib.sha256("\0".join(map(str, (seed, *key))).encode()).hexdigest()


def split_families(
    families: Mapping[str, str], strata: Mapping[str, tuple[str, int]], dev_share: float, seed: int
) -> dict[str, str]:
    """problem_id → dev or test. A family is never divided; it counts in the stratum of its first problem_id.

    What rounding leaves over in one (source, level) is made up in the next, so that small strata do not all go to test.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for problem, family in sorted(families.items()):
        members[family].append(problem)
    by_stratum: dict[tuple[str, int], list[str]] = defaultdict(list)
    for family, problems in members.items():
        by_stratum[strata[problems[0]]].append(family)

    split: dict[str, str] = {}
    wanted, in_dev = 0.0, 0
    for stratum in sorted(by_stratum):
        wanted += dev_share * sum(len(members[family]) for family in by_stratum[stratum])
        for family in sorted(by_stratum[stratum], key=lambda name: drawn(seed, "split", name)):
            size = len(members[family])
            to_dev = in_dev + size / 2 <= wanted  # nearer to the share with it than without
            in_dev += size if to_dev else 0
            split.update(dict.fromkeys(members[family], "dev" if to_dev else "test"))
    return split


def ranking(strata: Mapping[str, Hashable], use: str, seed: int) -> list[str]:
    """The problem_ids in their order. Within a stratum it is random; across strata every beginning is proportional."""
    by_stratum: dict[Hashable, list[str]] = defaultdict(list)
    for problem in sorted(strata, key=lambda name: drawn(seed, "rank", use, name)):
        by_stratum[strata[problem]].append(problem)
    names = sorted(by_stratum, key=lambda stratum: drawn(seed, "stratum", use, stratum))
    queues = [iter(by_stratum[name]) for name in names]
    return [next(queues[turn]) for turn in proportional_turns([len(by_stratum[name]) for name in names])]


def proportional_turns(sizes: Sequence[int]) -> list[int]:
    """An order of the strata in which, after any n turns, stratum i had n·share_i turns to within less than one.

    Tijdeman's chairman assignment (Discrete Mathematics 32, 1980): of the strata that are due, the one whose
    deadline is nearest. Simpler interleavings drift when there are many small strata.
    """
    if len(sizes) < 2:
        return [0] * sum(sizes)
    size = np.array(sizes, dtype=np.int64)
    total = int(size.sum())
    slack = 2 * len(sizes) - 2
    taken = np.zeros_like(size)
    turns = []
    for n in range(1, total + 1):
        due = (size * n - total * taken) * slack >= total
        deadline = np.where(due, ((taken + 1) * slack - 1) / size, np.inf)
        turn = int(deadline.argmin())
        taken[turn] += 1
        turns.append(turn)
    return turns


def members(mixture: Mapping[str, Size], name: str, evaluation: pl.DataFrame, full: Size) -> frozenset[str]:
    """The problems of a mixture: of each source as many as asked for, the first of the ranking of the full budget."""
    ids: set[str] = set()
    full = size_of(full, evaluation.height)
    for source, asked in mixture.items():
        there = evaluation.filter(pl.col("source") == source).sort("rank")
        found = there.filter(pl.col("rank") < full)["problem_id"]
        count = size_of(asked, there.height)
        if count > len(found) or not count:
            wanted = f"all {count}" if asked == ALL else count
            raise UserError(
                f"evaluation.mixtures.{name}.{source}: asks for {wanted} problems, but the full budget of {full} has "
                f"{len(found)} of that source; lower it or raise evaluation.budgets.full{_to_all(asked)}."
            )
        ids.update(found.head(count).to_list())
    return frozenset(ids)


def _to_all(asked: Size) -> str:
    """A source is whole for sure only where every problem is asked."""
    return " to all" if asked == ALL else ""
