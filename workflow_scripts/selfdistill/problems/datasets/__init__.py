"""Public datasets: what each one's files hold, what of it can be graded, and how it becomes problems of ours.

One module per dataset reads raw files as their hub serves them; `convert` does what all have in common.
"""

from selfdistill.problems.datasets.convert import convert
from selfdistill.problems.datasets.dataset import Dataset, Dropped, Kept
from selfdistill.problems.datasets.registry import DATASETS

__all__ = ["DATASETS", "Dataset", "Dropped", "Kept", "convert"]
