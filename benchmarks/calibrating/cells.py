"""Which studies are simulated: a cell is a world, simulated some hundred times, under the question that it answers."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from simulated_studies import World

DIFFERENCE = "Is the difference real?"
METHOD = "Is it the method?"
SQUARE = "The 2×2"
POWER = "Could we have seen it?"
EQUIVALENCE = "Equivalence"
FAIR = "Was the choice of decode lucky?"
EXTREMES = "Floors and ceilings"
LOOKS = "Looks"

FOUR = ("one", "two", "three", "four")
SQUARE_ARMS = ("ssd", "keep-cut", "filter-only", "fixed-point")
SD = 0.015  # between trainings, where they vary


@dataclass(frozen=True)
class Menu:
    """A fair comparison: each side at the best of its decodes, chosen on dev."""

    accuracies: tuple[float, ...] = (0.64,) * 4  # of the base at the decodes that both sides have
    of_base_alone: tuple[float, ...] = ()  # at decodes that the base alone has
    gain: float = 0.0
    trained: bool = True
    test: int = 300
    dev: int = 128
    draws: int = 1


@dataclass(frozen=True)
class Cell:
    question: str
    name: str
    world: World | Menu
    margin: float = 0.03
    at_mde: bool = False  # the effect is the one that the study says it has 80 % power for
    kind: Literal["difference", "square", "menu", "looks"] = "difference"
    before: bool = False  # also run on the functions as they stood before

    @property
    def title(self) -> str:
        return f"{self.question} {self.name}"


def cells() -> list[Cell]:
    found = [
        *_methods(),
        *_squares(),
        *_equivalences(),
        *_powers(),
        *_extremes(),
        *_menus(),
        *_looks(),
        *_differences(),
    ]
    assert len({cell.title for cell in found}) == len(found)
    return found


def _differences() -> list[Cell]:
    def cell(world: World, *more: str, before: bool = False) -> Cell:
        return Cell(DIFFERENCE, _named(world, *more), world, before=before)

    found = []
    for families, difficulty, problems, draws in product(
        ("single", "one to five"), ("logit-normal", "bimodal"), (30, 300, 1000), (1, 4, 16)
    ):
        world = World(problems, draws, difficulty=difficulty, families=families)  # type: ignore[arg-type]
        found.append(cell(world, before=difficulty == "logit-normal" and draws == 1))
    for problems, draws in product((300, 1000), (1, 4)):
        found.append(cell(World(problems, draws, families="one giant"), before=True))
    for problems, families in product((30, 300, 1000), ("single", "one to five")):
        found.append(cell(World(problems, 1, base_draws=4, families=families)))  # type: ignore[arg-type]
    for coupling, problems, draws in product((1.0, 0.5), (30, 300, 1000), (1, 4)):
        found.append(cell(World(problems, draws, coupling=coupling)))
    for problems in (300, 1000):
        found.append(cell(World(problems, 1, base_draws=4, coupling=1.0)))
        found.append(cell(World(problems, 1, effect=0.05)))
        found.append(cell(World(problems, 1, coupling=1.0, effect=0.05, families="one to five")))
    for problems in (300, 1000):
        world = World(problems, 1, arms=FOUR)
        found.append(cell(world))
    return found


def _methods() -> list[Cell]:
    found = []
    for problems, trainings, sd in product((30, 300, 1000), (1, 3, 10), (0.0, SD)):
        world = World(problems, trainings=trainings, training_sd=sd)
        found.append(Cell(METHOD, _named(world), world, before=problems == 300 or trainings == 1))
    worlds = [
        World(300, trainings=2, training_sd=SD),
        World(1000, 4, trainings=2, training_sd=SD),
        World(300, 2, trainings=2, training_sd=SD, coupling=0.8),
        World(300, trainings=5, training_sd=0.0),
        World(300, trainings=5, training_sd=SD),
        World(1000, 4, trainings=3, training_sd=SD),
        World(1000, 16, trainings=3, training_sd=SD),
        World(1000, 4, trainings=10, training_sd=SD),
        World(300, trainings=3, training_sd=SD, families="one to five"),
        World(1000, trainings=3, training_sd=SD, base_draws=4),
        World(1000, trainings=3, training_sd=SD, coupling=1.0),
        World(300, trainings=3, training_sd=SD, effect=0.05),
    ]
    found += [Cell(METHOD, _named(world), world, before=world.trainings == 5) for world in worlds]
    for problems, draws, trainings in ((1000, 4, 1), (1000, 4, 3)):
        world = World(problems, draws, arms=FOUR, trainings=trainings, training_sd=SD)
        found.append(Cell(METHOD, _named(world), world, before=trainings == 1))
    return found


def _squares() -> list[Cell]:
    found = []
    for (problems, draws), trainings, sd in product(((300, 1), (1000, 4)), (1, 3), (0.0, SD)):
        world = World(problems, draws, arms=SQUARE_ARMS, trainings=trainings, training_sd=sd)
        found.append(Cell(SQUARE, _named(world), world, kind="square", before=trainings == 1))
    return found


def _powers() -> list[Cell]:
    worlds = [World(problems, draws, accuracy=0.5) for problems, draws in product((30, 300, 1000), (1, 4))]
    worlds += [World(problems, 1, accuracy=0.5, families="one to five") for problems in (30, 300, 1000)]
    worlds += [
        World(300, 1, accuracy=0.5, difficulty="bimodal"),
        World(300, 1, accuracy=0.5, coupling=1.0),
        World(1000, 1, accuracy=0.5, coupling=1.0),
        World(300, 1, accuracy=0.5, base_draws=4),
        World(300, 16, accuracy=0.5),
    ]
    for trainings, problems in product((3, 10), (300, 1000)):
        worlds.append(World(problems, 1, accuracy=0.5, trainings=trainings, training_sd=SD))
    return [Cell(POWER, _named(world, "at the stated MDE"), world, at_mde=True) for world in worlds]


def _equivalences() -> list[Cell]:
    found = []
    for (problems, margin), draws, sign in product(((300, 0.05), (1000, 0.03)), (1, 4), (1, -1)):
        world = World(problems, draws, effect=sign * margin)
        found.append(Cell(EQUIVALENCE, _named(world), world, margin))
    for (problems, margin), coupling in product(((300, 0.05), (1000, 0.03)), (0.9, 1.0)):
        world = World(problems, 1, effect=-margin, coupling=coupling)
        found.append(Cell(EQUIVALENCE, _named(world), world, margin, before=True))
    for problems, margin, accuracy in ((100, 0.05, 0.98), (300, 0.03, 0.64), (300, 0.02, 0.9), (1000, 0.02, 0.64)):
        world = World(problems, 1, difficulty="settled", accuracy=accuracy, effect=-margin)
        found.append(Cell(EQUIVALENCE, _named(world, "few pairs differ, one way"), world, margin, before=True))
    worlds = [
        World(1000, 4, effect=0.03, families="one to five"),
        World(1000, 4, effect=-0.03, base_draws=4, coupling=1.0),
        World(1000, 4, effect=0.03, trainings=3, training_sd=SD),
        World(1000, 4, effect=0.03, trainings=10, training_sd=SD),
    ]
    found += [Cell(EQUIVALENCE, _named(world), world, 0.03) for world in worlds]
    return found


def _menus() -> list[Cell]:
    equal, unequal = (0.64,) * 4, (0.65, 0.64, 0.62, 0.55)
    found = []
    for test in (300, 1000):
        for words, menu in (
            ("a model against itself, equal decodes", Menu(equal, trained=False)),
            ("a model against itself, unequal decodes", Menu(unequal, trained=False)),
            ("a model against itself, four more decodes for the base", Menu(unequal, unequal, trained=False)),
            ("a model against itself, a better decode for the base alone", Menu(unequal, (0.70, 0.66), trained=False)),
            ("an arm without gain", Menu(unequal)),
            ("an arm 5 points better", Menu(unequal, gain=0.05)),
            ("an arm 5 points better, a better decode for the base alone", Menu(unequal, (0.70,), gain=0.05)),
        ):
            menu = replace(menu, test=test, dev=round(test * 3 / 7))
            found.append(Cell(FAIR, f"{test} test problems, {words}", menu, kind="menu", before=test == 300))
    return found


def _looks() -> list[Cell]:
    worlds = [World(problems, 1, effect=effect) for problems, effect in product((300, 1000), (0.0, 0.05, -0.05))]
    worlds += [
        World(1000, 4, effect=0.0),
        World(1000, 4, coupling=1.0, effect=0.0),
        World(1000, 1, arms=FOUR),
    ]
    return [Cell(LOOKS, _named(world), world, 0.05, kind="looks") for world in worlds]


def _extremes() -> list[Cell]:
    worlds = [
        World(problems, 1, difficulty="settled", accuracy=accuracy)
        for problems, accuracy in product((30, 85, 300), (0.0, 1.0))
    ]
    worlds += [
        World(problems, draws, accuracy=accuracy)
        for problems, draws, accuracy in product((30, 300, 1000), (1, 4), (0.02, 0.98))
    ]
    return [Cell(EXTREMES, _named(world), world, before=world.draws == 1) for world in worlds]


def _named(world: World, *more: str) -> str:
    """A world in words; what is as usual is not said."""
    usual = World()
    draws = f"{world.draws} draw{'s' if world.draws > 1 else ''}"
    if world.base_draws:
        draws = f"{world.base_draws} draws of the base, {draws} of the arm"
    parts = [f"{world.problems} problems", draws]
    if world.accuracy != usual.accuracy:
        parts.append(f"accuracy {100 * world.accuracy:g} %")
    if world.difficulty != usual.difficulty:
        parts.append(world.difficulty)
    if world.families != usual.families:
        parts.append({"one to five": "families of 1–5", "one giant": "one giant family"}[world.families])
    if world.trainings > 1 or world.training_sd:
        trainings = f"{world.trainings} training{'s' if world.trainings > 1 else ''}"
        parts.append(f"{trainings} of SD {100 * world.training_sd:g}")
    if world.coupling:
        parts.append("coupled" if world.coupling == 1 else f"{100 * world.coupling:g} % coupled")
    if len(world.arms) > 1:
        more = (*more, "2×2" if world.arms == SQUARE_ARMS else "a family of four hypotheses")
    if world.effect:
        parts.append(f"effect {100 * world.effect:+g}")
    return ", ".join((*parts, *more))
