"""The levels that a field study printed (one answer a problem, 1,000 and 299 or 300 problems), from its counts.

In percent, as they were printed: some to two digits, most to one.
"""

import pytest

from selfdistill.statistics.clusters import cluster_mean, cluster_totals
from selfdistill.statistics.intervals import wilson_effective_interval, wilson_interval

# right, of, printed share, low, high
TO_TWO_DIGITS = [
    (640, 1000, 64.00, 60.98, 66.92),
    (659, 1000, 65.90, 62.91, 68.77),
    (154, 299, 51.51, 45.86, 57.11),
    (163, 300, 54.33, 48.68, 59.88),
]
TO_ONE_DIGIT = [
    # By temperature, on 1,000 problems.
    (582, 1000, 58.2, 55.1, 61.2),
    (640, 1000, 64.0, 61.0, 66.9),
    (635, 1000, 63.5, 60.5, 66.4),
    (620, 1000, 62.0, 59.0, 65.0),
    (551, 1000, 55.1, 52.0, 58.2),
    (430, 1000, 43.0, 40.0, 46.1),
    (654, 1000, 65.4, 62.4, 68.3),
    # The same on the smaller set.
    (142, 299, 47.5, 41.9, 53.1),
    (154, 299, 51.5, 45.9, 57.1),
    (150, 299, 50.2, 44.5, 55.8),
    (140, 299, 46.8, 41.2, 52.5),
    (121, 299, 40.5, 35.1, 46.1),
    (77, 299, 25.8, 21.1, 31.0),
    (168, 299, 56.2, 50.5, 61.7),
    # Answers that could be read off.
    (683, 1000, 68.3, 65.4, 71.1),
    (741, 1000, 74.1, 71.3, 76.7),
    (736, 1000, 73.6, 70.8, 76.2),
    (700, 1000, 70.0, 67.1, 72.8),
    (628, 1000, 62.8, 59.8, 65.7),
    (512, 1000, 51.2, 48.1, 54.3),
]


@pytest.mark.parametrize(
    ("right", "n", "share", "low", "high", "digits"),
    [(*row, 2) for row in TO_TWO_DIGITS] + [(*row, 1) for row in TO_ONE_DIGIT],
)
def test_wilsons_interval_is_the_printed_one(
    right: int, n: int, share: float, low: float, high: float, digits: int
) -> None:
    interval = wilson_interval(right, n)
    last_digit = 0.5 * 10**-digits + 1e-9
    assert 100 * right / n == pytest.approx(share, abs=last_digit)
    assert (100 * interval.low, 100 * interval.high) == pytest.approx((low, high), abs=last_digit)


@pytest.mark.parametrize(("right", "n", "share", "low", "high"), TO_TWO_DIGITS)
def test_the_interval_at_the_effective_n_is_the_printed_one_but_for_its_t(
    right: int, n: int, share: float, low: float, high: float
) -> None:
    """A t of some hundreds of degrees of freedom is half a percent wider than z."""
    values = [1.0] * right + [0.0] * (n - right)
    interval = wilson_effective_interval(cluster_mean(*cluster_totals(values, range(n))), n)
    assert (100 * interval.low, 100 * interval.high) == pytest.approx((low, high), abs=0.06)
