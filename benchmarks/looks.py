"""What looks cost and save, and whether their errors hold: simulated studies of one answer a side to each problem.

python benchmarks/looks.py > benchmarks/looks.md

A study has looks after 300, 600 and 1,000 problems, of which 70 % are test. A fifth of the pairs differ (a standard
deviation of .45 a pair); t tests at every look; the margin is 4 points, about what 700 problems can settle either way.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from selfdistill.planning.looks import rules
from selfdistill.statistics.sequential import nominal_levels

STUDIES, SEED = 20_000, 20261126
SIZES = (300, 600, 1000)
TESTED = np.array([210, 420, 700])
TIMES = tuple(TESTED / TESTED[-1])
DIFFERING, MARGIN = 0.20, 0.04


def simulated(effect: float) -> tuple[np.ndarray, np.ndarray]:
    """The mean difference at every look and its standard error."""
    generator = np.random.default_rng([SEED, round(1e4 * effect)])
    means, errors = [], []
    for _ in range(STUDIES // 1000):
        draws = generator.random((1000, TESTED[-1]))
        values = np.where(draws < (DIFFERING + effect) / 2, 1.0, np.where(draws < DIFFERING, -1.0, 0.0))
        sums, squares = (np.cumsum(each, axis=1)[:, TESTED - 1] for each in (values, values**2))
        mean = sums / TESTED
        means.append(mean)
        errors.append(np.sqrt((squares / TESTED - mean**2) / (TESTED - 1)))
    return np.concatenate(means), np.concatenate(errors)


def row(effect: float) -> str:
    mean, error = simulated(effect)
    p = 2 * stats.t.sf(np.abs(mean / error), TESTED - 1)
    equal_p = stats.t.sf((MARGIN - np.abs(mean)) / error, TESTED - 1)
    differs = p < 2 * np.array(nominal_levels(TIMES, 0.025))
    same = ~differs & (equal_p < nominal_levels(TIMES, 0.05))
    goes_on = rules(TIMES, MARGIN / float(np.sqrt(DIFFERING / TESTED[-1])))[1]
    z = np.sign(mean) * stats.norm.isf(p / 2)
    on = np.stack([np.any([(z[:, k] > a) & (z[:, k] < b) for a, b in parts], axis=0) if parts else np.zeros(len(z), bool)
                   for k, parts in enumerate(goes_on)], axis=1)  # fmt: skip
    stops = differs | same | ~on
    stops[:, -1] = True
    at = stops.argmax(axis=1)
    here = np.arange(len(at))
    found, equal = differs[here, at], same[here, at]
    covered = 2 * stats.t.sf(np.abs((mean - effect) / error), TESTED - 1) > 2 * np.array(nominal_levels(TIMES, 0.025))
    naive = (p < 0.05).any(axis=1).mean()
    early = found & (at < len(SIZES) - 1)
    seen = f"{100 * mean[here, at][early].mean():.1f}" if early.sum() > 50 and effect else "–"
    once = (p[:, -1] < 0.05).mean()
    return (
        f"| {100 * effect:g} | {np.array(SIZES)[at].mean():,.0f} | {found.mean():.3f} | {once:.3f} | {naive:.3f} | {equal.mean():.3f} | "
        f"{covered.all(axis=1).mean():.3f} | {early.mean():.3f} | {seen} | {100 * mean[here, at].mean():.2f} |"
    )


def main() -> None:
    print(__doc__.split("\n\n")[0] if __doc__ else "")
    print(
        f"\n`python benchmarks/looks.py`, {STUDIES:,} studies a row, margin {100 * MARGIN:g} points, looks after {SIZES} problems.\n"
    )
    print("| true difference, points | problems, mean | found | found by one test at the end | found by p < .05 at any look | equivalent | intervals of all looks cover | stopped early with a difference | its mean estimate then | mean estimate at the stop |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for margins in (0.0, 0.5, 1.0, 1.5, 2.0):
        print(row(margins * MARGIN), flush=True)


if __name__ == "__main__":
    main()
