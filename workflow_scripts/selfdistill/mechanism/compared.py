"""Who is compared with whom on which positions: arms and their trainings, whose texts, which class, why a position is probed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.classes import corrects_itself, swapped_by_token
from selfdistill.mechanism.estimates import Families
from selfdistill.mechanism.features import Features
from selfdistill.mechanism.probes import Probes
from selfdistill.mechanism.theory import Array, Rule, is_plain
from selfdistill.study.arms import Arm
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words

BASE = "base"


@dataclass(frozen=True)
class Positions:
    """The positions of the table of classes, and what of the base decides about them."""

    table: pl.DataFrame  # TOKEN_CLASSES
    corrects: Array  # self-correction
    likeliest: Array  # the base's token
    families: Families
    masks: dict[str, Array] = field(default_factory=dict, repr=False)  # that were asked for before

    @classmethod
    def of(cls, table: pl.DataFrame, base: Probes, doubt: set[int]) -> "Positions":
        likeliest = base.ids[:, 0]
        corrects = corrects_itself(table["kinds"], likeliest, table["token_id"].to_numpy(), doubt)
        return cls(table, corrects, likeliest, Families(table["family"].to_numpy()))

    def are(self, token_class: str) -> Array:
        return self._cached(token_class, self._are)

    def written(self, carriers: str) -> Array:
        return self._cached(carriers, self._written)

    def probed_for(self, kind: str) -> Array:
        """Those of strips alone are many of few texts, and stand for nothing but themselves."""
        return self._cached(kind, self._probed_for)

    def _cached(self, name: str, make: Callable[[str], Array]) -> Array:
        key = f"{make.__name__} {name}"
        if key not in self.masks:
            self.masks[key] = make(name)
        return self.masks[key]

    def _are(self, token_class: str) -> Array:
        classes = self.table["token_class"]
        every = token_class == words.EVERY_CLASS
        return np.ones(len(classes), dtype=bool) if every else (classes == token_class).to_numpy()

    def _written(self, carriers: str) -> Array:
        writers = self.table["written_by"]
        by_base = writers.is_in([name for name in writers.unique() if is_the_base(name)]).to_numpy()
        match carriers:
            case words.BY_THE_BASE:
                return np.asarray(by_base)
            case words.BY_TRAINED:
                return np.asarray(~by_base)
            case _:
                return np.ones(len(by_base), dtype=bool)

    def _probed_for(self, kind: str) -> Array:
        kinds = self.table["kinds"].list
        if kind == words.EVERY_KIND:
            return (~(kinds.contains(words.STRIP) & (kinds.len() == 1))).to_numpy()
        return kinds.contains(kind).to_numpy()

    @property
    def measuring(self) -> Array:
        return (self.table["half"] == words.MEASURING).to_numpy()


def is_the_base(model_id: str) -> bool:
    """The base, or a resample arm: the same weights."""
    return parse_model_id(model_id).training_seed is None


@dataclass
class Side:
    """An arm's trainings at the same positions."""

    arm: str
    features: list[Features] = field(default_factory=list)
    swapped: list[Array] = field(default_factory=list)

    def stacked(self, key: tuple[str, str | None]) -> Array:
        return np.stack([each[key] for each in self.features])


@dataclass(frozen=True)
class Chosen:
    """Positions of a row: one set for all trainings, or one each."""

    token_class: str
    mask: Array
    how: str = ""  # what `method` says of it, where a class was chosen by an outcome
    honest: bool = True  # not chosen by the very training that is measured


def classes_of(positions: Positions, side: Side) -> Iterator[Chosen]:
    """The classes by the base, and the finer ones of locks. A lock that is swapped is so by another training, or by other
    problems: never by the one that is measured."""
    for name in (words.EVERY_CLASS, *words.TOKEN_CLASSES):
        yield Chosen(name, positions.are(name))
    locks = positions.are(words.LOCK)
    yield Chosen(words.SELF_CORRECTION, locks & positions.corrects)
    others = locks & ~positions.corrects
    if len(side.swapped) > 1:
        by_another = np.stack([*side.swapped[1:], side.swapped[0]])
        yield Chosen(words.STRICT_LOCK, others & ~by_another, words.CHOSEN_BY_OTHER_TRAINING)
        yield Chosen(words.SWAPPED_LOCK, others & by_another, words.CHOSEN_BY_OTHER_TRAINING)
    elif side.swapped:
        by_token = swapped_by_token(side.swapped[0], positions.likeliest, others & ~positions.measuring)
        measured = others & positions.measuring
        yield Chosen(words.STRICT_LOCK, measured & ~by_token, words.CHOSEN_BY_OTHER_HALF)
        yield Chosen(words.SWAPPED_LOCK, measured & by_token, words.CHOSEN_BY_OTHER_HALF)
    if side.swapped:  # for a reader to see how far off that is
        by_itself = np.stack(side.swapped)
        yield Chosen(words.STRICT_BY_ITSELF, others & ~by_itself, words.CHOSEN_BY_ITSELF, honest=False)
        yield Chosen(words.SWAPPED_BY_ITSELF, others & by_itself, words.CHOSEN_BY_ITSELF, honest=False)


def slices(kinds: bool = True) -> Iterator[tuple[str, str]]:
    """Whose texts, and which positions of them."""
    for carriers in (words.BY_ALL, words.BY_THE_BASE, words.BY_TRAINED):
        yield carriers, words.EVERY_KIND
    if kinds:
        for kind in words.POSITION_KINDS:
            if kind != words.STRIP:
                yield words.BY_ALL, kind


def targets_of(arms: Mapping[str, Arm], rules: Mapping[str, Rule], probed: Sequence[str]) -> dict[str, Rule]:
    """The training decodes of probed arms that ask the base for another law than its own."""
    names = [arms[name].drawn_by for name in probed]
    return {name: rules[name] for name in dict.fromkeys(names) if name is not None and not is_plain(rules[name])}


def null_arm(arms: Mapping[str, Arm], rules: Mapping[str, Rule], probed: Sequence[str]) -> str | None:
    """The fixed point: trained on all that the base says at temperature 1 without truncation."""
    for name in probed:
        arm = arms[name]
        if (
            arm.drawn_by is not None
            and is_plain(rules[arm.drawn_by])
            and arm.keep == "everything"
            and arm.targets == "sampled"
        ):
            return name
    return None


def arm_of(model_id: str) -> str:
    return parse_model_id(model_id).arm


def refuse_no_base(models: Sequence[str]) -> None:
    if BASE not in models:
        raise UserError(
            "mechanism: the base was not probed; classes and targets are made from its laws. Probe it, too."
        )
