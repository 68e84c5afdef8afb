"""How often the interval of a ratio of rates holds the true one, beside that of a generalised linear model.

python benchmarks/doubt_coverage.py          about two minutes on one core; prints benchmarks/doubt_coverage.md
"""

import sys
from pathlib import Path

import numpy as np
import statsmodels.api as sm

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests")]

from selfdistill.statistics.rates import Rates, rate_ratio  # noqa: E402
from simulated_rates import WORLDS, World, covers  # noqa: E402

RUNS = 4000
MORE = {
    "12 problems": World(problems=12),
    "300 problems, 4 draws": World(problems=300, draws=4, other_draws=8),
    "a word that few write": World(problems=120, doubts=0.15),
}


def main() -> None:
    print("# How often the interval of a ratio of doubts holds the true one\n")
    print(
        f"`python benchmarks/doubt_coverage.py`: {RUNS:,} simulated pairs of sides a world, negative binomial counts, 95 % intervals."
    )
    print(
        "Sandwich: Poisson's regression with an offset and errors by problem (statsmodels, z), of a quarter of them.\n"
    )
    print("| world | problems | ratio | jackknife | sandwich | no interval |")
    print("|---|---|---|---|---|---|")
    for name, world in (WORLDS | MORE).items():
        random = np.random.default_rng(99)
        drawn = [world.drawn(random) for _ in range(RUNS)]
        found = [rate_ratio(one, two, np.arange(world.problems)) for one, two in drawn]
        told = [covers(each, world.ratio) for each in found if each.values is not None]
        fitted = [sandwich_covers(one, two, world.ratio) for one, two in drawn[: RUNS // 4]]
        without = 1 - len(told) / RUNS
        print(
            f"| {name} | {world.problems} | {world.ratio} | {np.mean(told):.3f} | {np.mean(fitted):.3f} | {without:.1%} |"
        )


def sandwich_covers(one: Rates, two: Rates, truth: float) -> bool:
    problems = len(one.events)
    side = sm.add_constant(np.repeat([1.0, 0.0], problems))
    offset = np.log(np.concatenate([one.exposure, two.exposure]))
    model = sm.GLM(np.concatenate([one.events, two.events]), side, family=sm.families.Poisson(), offset=offset)
    fitted = model.fit(cov_type="cluster", cov_kwds={"groups": np.tile(np.arange(problems), 2)})
    low, high = fitted.conf_int()[1]
    return bool(low <= np.log(truth) <= high)


if __name__ == "__main__":
    main()
