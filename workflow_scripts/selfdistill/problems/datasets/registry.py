"""The datasets by the names that study files call them."""

from selfdistill.problems.datasets import aime, beyond_aime, hendrycks_math, numina_math, olympiad_bench, omni_math
from selfdistill.problems.datasets.dataset import Dataset

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        hendrycks_math.DATASET,
        numina_math.DATASET,
        beyond_aime.DATASET,
        omni_math.DATASET,
        olympiad_bench.DATASET,
        aime.ARCHIVE,
        aime.YEAR_2025,
    )
}
