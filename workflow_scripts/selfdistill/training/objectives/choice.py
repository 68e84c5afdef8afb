"""Which objective a method is."""

from selfdistill.study.practice import Method, PracticeRecipe
from selfdistill.training.objectives.distil import Distil
from selfdistill.training.objectives.grpo import Grpo
from selfdistill.training.practice.objective import Objective


def objective_of(method: Method, recipe: PracticeRecipe, temperature: float) -> Objective:
    """`temperature` of the rollouts enters the loss of both: laws are compared, and ratios taken, as answers were drawn."""
    return Distil(recipe, temperature) if method == "distil" else Grpo(recipe)
