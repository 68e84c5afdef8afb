"""What is counted in a cell: simulated studies go through the real functions, and their rows are held against the truth."""

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any

import numpy as np
import polars as pl

from calibrating.cells import DIFFERENCE, EXTREMES, SQUARE_ARMS, Cell, Menu
from selfdistill.analysis.comparisons import comparisons
from selfdistill.analysis.factorial import factorial
from selfdistill.analysis.levels import levels
from selfdistill.analysis.verdicts import verdicts
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Decoded, Evaluation, Hypothesis
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from simulated_studies import STRENGTHS, Array, Studies, World, answers, place_of, simulate

ALPHA = 0.05
RESAMPLES = 200  # of what still resamples
ANSWERS_AT_ONCE = 400_000
PLAIN, OTHER = Decode(temperature=1.0, max_tokens=2048), Decode(temperature=1.1, top_k=20, max_tokens=2048)
CHECKPOINTS, THE_METHOD = "these checkpoints", "the method"
SQUARE = {
    name: Arm(decode=decode, keep=keep)  # type: ignore[arg-type]
    for name, (decode, keep) in zip(
        SQUARE_ARMS,
        (("other", "finished"), ("other", "everything"), ("plain", "finished"), ("plain", "everything")),
        strict=True,
    )
}
SIGNS = {
    words.EFFECT_OF_DECODE: (0.5, 0.5, -0.5, -0.5),
    words.EFFECT_OF_FILTER: (0.5, -0.5, 0.5, -0.5),
    words.INTERACTION: (1, -1, -1, 1),
}


@dataclass
class Tally:
    """How often something held, of how many times it was asked; and plain numbers to be averaged."""

    held: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    numbers: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    words: Counter[str] = field(default_factory=Counter)

    def count(self, what: str, holds: bool) -> None:
        self.held[what] += int(holds)
        self.asked[what] += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "counts": {what: [self.held[what], asked] for what, asked in self.asked.items()},
            "means": {what: [float(np.mean(found)), _error(found)] for what, found in self.numbers.items() if found},
            "words": dict(self.words),
        }


def _error(found: list[float]) -> float:
    return float(np.std(found, ddof=1) / math.sqrt(len(found))) if len(found) > 1 else math.nan


def measure(cell: Cell, studies: int) -> dict[str, Any]:
    """Everything that is counted in a cell; the same for the same name and number of studies."""
    random = np.random.default_rng(zlib.crc32(cell.title.encode()))
    tally = Tally()
    if isinstance(cell.world, Menu):
        for _ in range(studies):
            _one_menu(cell.world, tally, random)
        return tally.as_json()
    world = replace(cell.world, effect=_stated_mde(cell, min(100, studies), random)) if cell.at_mde else cell.world
    _run(replace(cell, world=world), world, studies, tally, random)
    return tally.as_json() | {"effect": world.effect}


def _run(cell: Cell, world: World, studies: int, tally: Tally, random: np.random.Generator) -> None:
    each = (world.problems + 4) * (world.draws_of_base + len(world.arms) * world.trainings * world.draws)
    at_once = max(1, min(50, studies, ANSWERS_AT_ONCE // each))
    for first in range(0, studies, at_once):
        simulated = simulate(world, min(at_once, studies - first), random)
        if cell.kind == "square":
            _square(world, simulated, tally)
        elif cell.kind == "looks":
            _looks(cell, world, simulated, tally)
        else:
            _differences(cell, world, simulated, tally)


def _stated_mde(cell: Cell, studies: int, random: np.random.Generator) -> float:
    """The effect at which studies state that they find it with 80 % power: what they state depends on it a little."""
    assert isinstance(cell.world, World)
    effect = 0.0
    for _ in range(3):
        tally = Tally()
        world = replace(cell.world, effect=effect)
        _run(replace(cell, at_mde=False), world, studies, tally, random)
        stated = [value for what, found in tally.numbers.items() if what.startswith("mde80") for value in found]
        effect = min(float(np.mean(stated)), 0.95 - world.accuracy)
    return effect


def evaluation_of(base: list[str], final: list[str]) -> Evaluation:
    """Decodes of the final evaluation are compared with one another, too: studies beside each other must not be."""
    decodes = Decoded(base=base, final=final, earlier=[])
    return Evaluation(budgets={"full": "all"}, decodes=decodes, resamples=RESAMPLES)


def _differences(cell: Cell, world: World, simulated: Studies, tally: Tally) -> None:
    hypotheses = _hypotheses(cell, world, simulated)
    found = comparisons(simulated.graded, evaluation_of(simulated.names, []), 1, hypotheses)
    truths = _truths(world, simulated)
    for row in claims(found):
        claim, truth = row["claim"], truths[row["claim"]][row["arm"]][row["decode_id"]]
        _count_row(tally, row, claim, truth, fixed=claim == THE_METHOD or not world.training_sd)
    if cell.question in (DIFFERENCE, EXTREMES):
        _count_levels(world, simulated, tally)
    _count_verdicts(cell, world, truths, verdicts(found, hypotheses, *_plan(world, simulated)), tally)


def _hypotheses(cell: Cell, world: World, simulated: Studies) -> dict[str, Hypothesis]:
    """Each study is a family of its own."""
    return {
        f"{arm}-{name}": Hypothesis(arm=arm, comparison="matched", decode=name, family=name, margin=cell.margin)
        for name in simulated.names
        for arm in world.arms
    }


def _plan(world: World, simulated: Studies) -> tuple[dict[str, Arm], dict[str, Decode]]:
    arms = {arm: Arm(decode="plain", keep="finished") for arm in world.arms}
    return arms, dict.fromkeys(simulated.names, PLAIN)


def claims(found: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a table that claim something of the accuracy on test: of these checkpoints, or of the method."""
    rows = found.filter(
        (pl.col("estimand") == words.ACCURACY)
        & (pl.col("split") == "test")
        & pl.col("training_seed").is_null()
        & (pl.col("comparison") == words.MATCHED)
    )
    yield from _claiming(rows)


def _claiming(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for row in rows.iter_rows(named=True):
        if "claim" in row:
            if row["claim"] is not None:
                yield row
        elif row["method"] == "paired t":  # as it was before
            yield row | {"claim": CHECKPOINTS}
        elif row["method"] == "t over training seeds":
            yield row | {"claim": THE_METHOD}


def _truths(world: World, simulated: Studies) -> dict[str, dict[str, dict[str, float]]]:
    """claim → arm → study → what is true of it"""
    return {
        CHECKPOINTS: {
            arm: dict(zip(simulated.names, map(float, simulated.effects[arm]), strict=True)) for arm in world.arms
        },
        THE_METHOD: {arm: dict.fromkeys(simulated.names, world.effect) for arm in world.arms},
    }


def _count_row(tally: Tally, row: dict[str, Any], claim: str, truth: float, fixed: bool) -> None:
    low, high, p = row["low"], row["high"], row["p_value"]
    tally.count(f"has an interval, {claim}", low is not None)
    if low is None:
        return
    tally.count(f"covered, {claim}", low - 1e-12 <= truth <= high + 1e-12)
    tally.numbers[f"bias, {claim}"].append(row["estimate"] - truth)
    tally.numbers[f"width, {claim}"].append(high - low)
    if p is None:
        return
    tally.count(f"p and interval disagree, {claim}", (p < ALPHA) != (low > 0 or high < 0))
    if fixed and truth == 0:
        tally.count(f"false positive, {claim}", p < ALPHA)


def _count_levels(world: World, simulated: Studies, tally: Tally) -> None:
    found = levels(simulated.graded.filter(pl.col("model_id") == "base"), {"full": "all"}, ()).filter(
        (pl.col("estimand") == words.ACCURACY) & (pl.col("split") == "test")
    )
    for row in found.iter_rows(named=True):
        covered = row["low"] is not None and row["low"] - 1e-12 <= world.accuracy <= row["high"] + 1e-12
        tally.count("covered, level", covered)


def _count_verdicts(cell: Cell, world: World, truths: Any, judged: pl.DataFrame, tally: Tally) -> None:
    families: defaultdict[str, bool] = defaultdict(bool)
    for row in judged.filter(pl.col("role") == words.HYPOTHESIS).iter_rows(named=True):
        tally.words[row["verdict"]] += 1
        claim = row.get("claim", THE_METHOD)  # before there were claims, a verdict was read as one about training
        truth = truths[claim][row["arm"]][row["decode_id"]]
        wrong = (
            (row["verdict"] == words.IMPROVED and truth <= 0)
            or (row["verdict"] == words.WORSE and truth >= 0)
            or (row["verdict"] == words.EQUIVALENT and abs(truth) >= cell.margin - 1e-9)
        )
        families[row["family"]] |= wrong
        if row["mde80"] is not None:
            tally.numbers[f"mde80, {claim}"].append(row["mde80"])
        if cell.at_mde and row["p_value"] is not None:
            tally.count(f"found, {claim}", row["p_value"] < row.get("alpha", ALPHA))
        if row["equivalence_p"] is not None and abs(truth) >= cell.margin - 1e-9:
            tally.count("equivalent at the margin", row["equivalence_p"] < ALPHA)
    for wrong in families.values():
        tally.count("a false word", wrong)


def _looks(cell: Cell, world: World, simulated: Studies, tally: Tally) -> None:
    """Studies that are judged at a third, at two thirds and at the whole of their problems, and stop when they may."""
    from selfdistill.analysis.looks import Schedule
    from selfdistill.study.looks import Closed

    from selfdistill.analysis.verdicts import verdicts_at

    sizes = tuple(round(world.problems * share) for share in (1 / 3, 2 / 3, 1))
    hypotheses, closed = _hypotheses(cell, world, simulated), dict[str, Closed]()
    for current, size in enumerate(sizes, 1):
        seen = simulated.graded.filter((pl.col("rank") < size) | (pl.col("split") == "dev"))
        found = comparisons(seen, evaluation_of(simulated.names, []), 1, hypotheses)
        schedule = Schedule(sizes, tuple(size / sizes[-1] for size in sizes), current, closed)
        judged, looked = verdicts_at(schedule, found, hypotheses, *_plan(world, simulated))
        rows = {row["hypothesis"]: row for row in judged.to_dicts()}
        closed = closed | {
            row["hypothesis"]: Closed(look=current, row=rows[row["hypothesis"]], judged=row)
            for row in looked.to_dicts()
            if row["state"] != words.GOES_ON and row["hypothesis"] not in closed
        }
    truths = _truths(world, simulated)
    _count_verdicts(cell, world, truths, judged, tally)
    for name, stopped in closed.items():
        row = rows[name]
        claim = row.get("claim", CHECKPOINTS)
        _count_row(tally, row, claim, truths[claim][row["arm"]][row["decode_id"]], fixed=False)
        tally.numbers["problems asked"].append(sizes[stopped.look - 1] / sizes[-1])


def _square(world: World, simulated: Studies, tally: Tally) -> None:
    arms = {arm: SQUARE[arm] for arm in world.arms}
    decodes = {"plain": PLAIN, "other": OTHER} | dict.fromkeys(simulated.names, PLAIN)
    asked: list[Any] = [simulated.graded, arms, decodes, evaluation_of(simulated.names, simulated.names)]
    if "seed" in signature(factorial).parameters:  # as it was before
        asked.append(1)
    found = factorial(*asked)
    wrong: defaultdict[tuple[str, str], bool] = defaultdict(bool)
    for row in _claiming(found.filter(pl.col("estimand").is_in(words.EFFECTS))):
        signs, study = SIGNS[row["estimand"]], simulated.names.index(row["decode_id"])
        moved = sum(sign * simulated.effects[arm][study] for sign, arm in zip(signs, world.arms, strict=True))
        # Before there were claims, an effect of the 2×2 was read as one of training.
        claims_method = row["claim"] == THE_METHOD or "claim" not in found.columns
        truth = 0.0 if claims_method else moved
        claim = THE_METHOD if claims_method else CHECKPOINTS
        _count_row(tally, row, claim, truth, fixed=claims_method or not world.training_sd)
        if truth == 0 and row["p_adjusted"] is not None:
            wrong[claim, row["decode_id"]] |= row["p_adjusted"] < ALPHA
    for (claim, _), falsely in wrong.items():
        tally.count(f"a false effect among the three, {claim}", falsely)


def _one_menu(menu: Menu, tally: Tally, random: np.random.Generator) -> None:
    """One fair comparison: the problems are of one difficulty at all decodes, each decode has strengths of its own."""
    problems = menu.test + menu.dev
    splits = np.where(random.permutation(problems) < menu.dev, "dev", "test")
    difficulty = 1.5 * random.standard_normal(problems)
    of_both, of_base = len(menu.accuracies), (*menu.accuracies, *menu.of_base_alone)
    decodes = [f"decode-{number}" for number in range(len(of_base))]
    own = STRENGTHS * random.standard_normal((len(of_base), problems))
    base = _chances(np.array(of_base), difficulty + own, STRENGTHS)
    learnt = (STRENGTHS if menu.trained else 0.0) * random.standard_normal(problems)
    spread = math.hypot(STRENGTHS, STRENGTHS) if menu.trained else STRENGTHS
    arm = _chances(np.array(menu.accuracies) + menu.gain, difficulty + learnt + own[:of_both], spread)
    families = np.arange(problems)
    name = "arm/seed-0/at-100" if menu.trained else "aa"
    frames = []
    for model, chances in (("base", base), (name, arm)):
        right = random.random((*chances.shape, menu.draws)) < chances[:, :, None]
        frames.append(answers(model, decodes[: len(chances)], right, families, splits, random))
    found = comparisons(pl.concat(frames), evaluation_of(decodes, decodes[:of_both]), 1, {})
    fair = found.filter(
        (pl.col("estimand") == words.ACCURACY)
        & (pl.col("comparison") == words.FAIR)
        & (pl.col("split") == "test")
        & pl.col("training_seed").is_null()
    )
    for row in _claiming(fair):
        _count_row(tally, row, row["claim"], menu.gain, fixed=True)
        if menu.gain and row["p_value"] is not None:
            tally.count(f"found, {row['claim']}", row["p_value"] < ALPHA)


def _chances(accuracies: Array, logits: Array, spread: float) -> Array:
    places = place_of(accuracies, "logit-normal", spread)
    chances: Array = 1 / (1 + np.exp(-(places[:, None] + logits)))
    return chances
