"""From graded completions to one row per model, decode and problem: the draws are averaged here, once, and never again.

`Evaluations` holds those rows and answers "these problems, of this budget and split". It refuses what cannot be
compared: problems with unequal draws, and two models that were not asked the same problems of a budget.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from selfdistill.foundation.errors import UserError
from selfdistill.study.evaluation import LOOK, Size, size_of
from selfdistill.study.names import model_id, parse_model_id
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT, FINISHED, LOOP, UNANSWERED
from selfdistill.tables.sampling import GRADED, LATER_GRADED
from selfdistill.tables.whole import read_table

# The columns of GRADED that analysis reads: callers may leave the heavy ones on disk.
NEEDED = (
    "model_id",
    "decode_id",
    "problem_id",
    "family",
    "split",
    "rank",
    "purpose",
    "draw",
    "n_tokens",
    "finish_class",
    "think_closed",
    "boxed",
    "verdict",
)


def read_graded(paths: Sequence[str], purposes: Sequence[str] = ("eval",), more: Sequence[str] = ()) -> pl.DataFrame:
    """The graded answers of several models, without their large columns: those of the evaluation, or for other `purposes`."""
    tables = (read_table(path, GRADED, (*NEEDED, *more), LATER_GRADED) for path in paths)
    return pl.concat(tables).filter(pl.col("purpose").is_in(purposes))


SPLITS = ("dev", "test", "all")


def problem_means(graded: pl.DataFrame) -> pl.DataFrame:
    finished = pl.col("finish_class").is_in(FINISHED)
    correct = pl.col("verdict") == CORRECT
    means = (
        graded.lazy()
        .filter(pl.col("purpose") == "eval")
        .group_by("model_id", "decode_id", "problem_id")
        .agg(
            pl.col("family").first().fill_null(pl.col("problem_id").first()),
            pl.col("split").first(),
            pl.col("rank").first(),
            pl.len().alias("draws"),
            correct.sum().alias("correct_draws"),
            finished.sum().alias("finished_draws"),
            correct.mean().alias(words.ACCURACY),
            (correct & finished).mean().alias("correct_and_finished"),
            finished.mean().alias("finished_rate"),
            (pl.col("verdict") == UNANSWERED).mean().alias(words.UNANSWERED_RATE),
            pl.col("think_closed").mean().alias(words.THINK_CLOSE_RATE),
            pl.col("boxed").mean().alias(words.BOXED_RATE),
            finished.not_().mean().alias(words.CUT_RATE),
            (pl.col("finish_class") == LOOP).mean().alias(words.LOOP_RATE),
            pl.col("n_tokens").mean().alias(words.MEAN_TOKENS),
        )
        .sort("model_id", "decode_id", "problem_id")
        .collect()
    )
    uneven = (
        means.group_by("model_id", "decode_id")
        .agg(pl.col("draws").min().alias("fewest"), pl.col("draws").max().alias("most"))
        .filter(pl.col("fewest") != pl.col("most"))
    )
    for row in uneven.sort("model_id", "decode_id").iter_rows(named=True):
        raise UserError(
            f"models/{row['model_id']} at decode {row['decode_id']}: some problems have {row['fewest']} draws and some "
            f"{row['most']}; delete its graded.parquet and its plan and run again."
        )
    return means


@dataclass(frozen=True)
class Side:
    """One side of a comparison: an arm at one point of training and one decode, with a model per training seed."""

    arm: str
    percent: int
    models: tuple[str, ...]
    decode_id: str

    @property
    def training_seeds(self) -> tuple[int, ...]:
        return tuple(seed for model in self.models if (seed := parse_model_id(model).training_seed) is not None)

    @property
    def model_id(self) -> str:
        """The model's name, or one that says that all seeds are meant."""
        return self.models[0] if len(self.models) == 1 else f"{self.arm}/all-seeds/at-{self.percent:03d}"

    def of_seed(self, training_seed: int) -> "Side":
        return Side(self.arm, self.percent, (model_id(self.arm, training_seed, self.percent),), self.decode_id)


def pool(cells: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The mean over models (training seeds) of each problem's means: seeds first, problems after."""
    if len(cells) == 1:
        return cells[0]
    counts = ("draws", "correct_draws", "finished_draws")
    same = ("problem_id", "family", "split", "rank")
    means = [column for column in cells[0].columns if column not in (*counts, *same, "model_id", "decode_id")]
    return pl.concat(cells).group_by(same).agg(pl.col(counts).sum(), pl.col(means).mean()).sort("problem_id")


def family_codes(cell: pl.DataFrame) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = np.unique(cell["family"].to_numpy(), return_inverse=True)[1]
    return codes


def unit_of(cell: pl.DataFrame) -> str:
    return words.PROBLEM if cell["family"].n_unique() == cell.height else words.FAMILY


def _without_idle_looks(sizes: dict[str, int], cells: Mapping[tuple[str, str], pl.DataFrame]) -> dict[str, int]:
    """Of the budgets of earlier looks those at which something was left to stand, and that are no other budget's size."""
    standing = {cell.select(pl.col("rank").max()).item() + 1 for cell in cells.values()}
    others = {size for name, size in sizes.items() if not name.startswith(LOOK)}
    return {
        name: size
        for name, size in sizes.items()
        if not name.startswith(LOOK) or (size in standing and size not in others)
    }


def known(value: float) -> float | None:
    """Null in a table where there is no number: nan would read as one."""
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class Evaluations:
    """Every (model, decode) that was evaluated, cut to a budget and a split on request."""

    cells: dict[tuple[str, str], pl.DataFrame]
    budgets: dict[str, int]  # name to the number of ranks it takes, no more than there are
    _pooled: dict[tuple[Side, str, str], pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, graded: pl.DataFrame, budgets: Mapping[Any, Size]) -> "Evaluations":
        means = problem_means(graded)
        if means.is_empty():
            raise UserError("graded completions: no evaluation answers are among them; evaluate at least the base.")
        ranks = means.select(pl.col("rank").max()).item() + 1
        cells = {
            (str(model), str(decode)): cell
            for (model, decode), cell in means.partition_by("model_id", "decode_id", as_dict=True).items()
        }
        sizes = {str(name): min(size_of(size, ranks), ranks) for name, size in budgets.items()}
        evaluations = cls(cells, _without_idle_looks(sizes, cells))
        evaluations._refuse_unlike_problems(means)
        return evaluations

    def _refuse_unlike_problems(self, means: pl.DataFrame) -> None:
        asked = {
            budget: set(means.filter(pl.col("rank") < size)["problem_id"].to_list())
            for budget, size in self.budgets.items()
        }
        for model, decode in self.cells:
            for budget in self.reached(model, decode):
                here = set(self.cell(model, decode, budget)["problem_id"].to_list())
                if lacking := sorted(asked[budget] - here):
                    raise UserError(
                        f"models/{model} at decode {decode}: holds {len(here)} of the {len(asked[budget])} problems of "
                        f"the {budget} budget (lacks {lacking[0]}, …), so nothing can be compared with it; delete its "
                        "plan.parquet and graded.parquet and run again."
                    )

    def reached(self, model: str, decode: str) -> list[str]:
        """The budgets that this model was evaluated on at this decode, smallest first; none if it was not."""
        cell = self.cells.get((model, decode))
        if cell is None:
            return []
        last_rank = cell.select(pl.col("rank").max()).item()
        by_size = sorted(self.budgets.items(), key=lambda item: item[1])
        reach = next((size for _, size in by_size if last_rank < size), by_size[-1][1])
        return [name for name, size in by_size if size <= reach]

    def widest(self, sides: Iterable[Side]) -> str | None:
        """The largest budget that all of these were evaluated on; None if there is none."""
        reached = [set(self.reached(model, side.decode_id)) for side in sides for model in side.models]
        return self.widest_of(set.intersection(*reached)) if reached else None

    def widest_of(self, budgets: Iterable[str]) -> str | None:
        return max(sorted(budgets), key=lambda name: (self.budgets[name], name == "full"), default=None)

    def sides(self) -> list[Side]:
        """Every arm, point of training and decode that was evaluated, with the models of all its training seeds."""
        grouped: dict[tuple[str, int, str], list[tuple[int, str]]] = {}
        for model, decode in self.cells:
            arm, training_seed, percent = parse_model_id(model)
            grouped.setdefault((arm, percent, decode), []).append((training_seed or 0, model))
        return [
            Side(arm, percent, tuple(model for _, model in sorted(models)), decode)
            for (arm, percent, decode), models in grouped.items()
        ]

    def pooled(self, side: Side, budget: str, split: str = "all") -> pl.DataFrame:
        """Remembered: a study asks for the same problems of the same models in many comparisons."""
        key = (side, budget, split)
        if key not in self._pooled:
            self._pooled[key] = pool([self.cell(model, side.decode_id, budget, split) for model in side.models])
        return self._pooled[key]

    def cell(self, model: str, decode: str, budget: str, split: str = "all") -> pl.DataFrame:
        """Its problems, sorted by problem_id, so that two cells of one budget and split go row by row."""
        wanted = pl.col("rank") < self.budgets[budget]
        if split != "all":
            wanted = wanted & (pl.col("split") == split)
        return self.cells[model, decode].filter(wanted)


MEANS_OF = ("model_id", "decode_id", "problem_id")


def shares_by_problem(graded: pl.DataFrame, shares: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Means by problem that `problem_means` lacks, of shares of its answers."""
    found = (share.cast(pl.Float64).mean().alias(name) for name, share in shares.items())
    return graded.group_by(MEANS_OF).agg(found)


def with_means(evaluations: Evaluations, graded: pl.DataFrame, shares: Mapping[str, pl.Expr]) -> Evaluations:
    """The evaluations with such means beside their own."""
    more = shares_by_problem(graded.filter(pl.col("purpose") == "eval"), shares)
    cells = {
        name: cell.join(more, on=MEANS_OF, how="left", maintain_order="left")
        for name, cell in evaluations.cells.items()
    }
    return Evaluations(cells, evaluations.budgets)
