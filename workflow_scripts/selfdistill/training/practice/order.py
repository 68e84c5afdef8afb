"""Which questions a generation asks: all that are practised on, in an order of their own for every epoch, one after the other.

The order is hashed, so it depends on the seed and the problems alone, and a resumed training finds its place by counting. Few
questions come up several times within one generation: each time is a question of its own, with draws of its own.
"""

import hashlib

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.study.practice import PracticeRecipe
from selfdistill.training.practice.rollouts import Question


def covered(questions: pl.DataFrame, coverage: int | None) -> pl.DataFrame:
    """Those of QUESTIONS that are practised on: the first of the ranking."""
    if questions.is_empty():
        raise UserError(
            "practice: there is no question to practise on; give problems.sources one with use: train whose problems are left "
            "when duplicates and contamination are out."
        )
    if coverage is not None and coverage > questions.height:
        raise UserError(
            f"practice.coverage: asks for {coverage:,} problems, but without duplicates and contamination there are "
            f"{questions.height:,}; lower it."
        )
    return questions.head(coverage or questions.height)


class Order:
    """`questions` are those that are practised on."""

    def __init__(self, questions: pl.DataFrame, recipe: PracticeRecipe, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self._rows = {row["problem_id"]: row for row in questions.iter_rows(named=True)}
        self._epochs: dict[int, list[str]] = {}

    def questions(self, generation: int) -> list[Question]:
        """In the order in which they are learnt from. Generations count from 1."""
        first = (generation - 1) * self.recipe.questions
        return [self._at(place) for place in range(first, first + self.recipe.questions)]

    def _at(self, place: int) -> Question:
        epoch, position = divmod(place, len(self._rows))
        row = self._rows[self._epoch(epoch)[position]]
        asked = {name: row[name] for name in ("problem_id", "problem", "gold", "prompt_ids", "told")}
        return Question(**asked, first_draw=epoch * self.recipe.rollouts)  # every epoch asked it once

    def _epoch(self, epoch: int) -> list[str]:
        if epoch not in self._epochs:
            self._epochs = {epoch: sorted(self._rows, key=lambda problem: self._key(epoch, problem))}
        return self._epochs[epoch]

    def _key(self, epoch: int, problem: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {epoch} {problem}".encode()).digest()


def step_of(generation: int, place: int, recipe: PracticeRecipe) -> int:
    """The optimiser step that learns from the question at this place of a generation: each takes its share, in order."""
    return (generation - 1) * recipe.updates + 1 + place * recipe.updates // recipe.questions
