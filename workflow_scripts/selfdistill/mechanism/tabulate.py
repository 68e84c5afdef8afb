"""All tables of what training did to laws, from the probes: one model in memory beside the base at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from selfdistill.mechanism.classes import tail_of, token_class, top_two
from selfdistill.mechanism.compared import BASE, Positions, Side, arm_of, null_arm, refuse_no_base, targets_of
from selfdistill.mechanism.curves import RANKS, Curves, curve_rows
from selfdistill.mechanism.features import beside_the_base, by_itself, curves
from selfdistill.mechanism.fit import ssd_fit
from selfdistill.mechanism.measures import mechanism
from selfdistill.mechanism.probes import Probes, read_probes
from selfdistill.mechanism.theory import Rule, rule_of
from selfdistill.study.arms import Arm
from selfdistill.study.mechanism import Classes, Mechanism
from selfdistill.study.sampling import Decode
from selfdistill.tables.mechanism import TOKEN_CLASSES
from selfdistill.tables.schema import conform


class Tables(NamedTuple):
    mechanism: pl.DataFrame
    ssd_fit: pl.DataFrame
    curves: pl.DataFrame


def token_classes(
    plan: pl.DataFrame, carriers: pl.DataFrame, base: Path, decode: Decode, thresholds: Classes
) -> pl.DataFrame:
    """What every position is, by the base alone."""
    probes = read_probes(base, BASE, plan["probe_id"])
    parts = []
    for rows in probes.parts():
        laws = probes.part(rows)
        tail = tail_of(laws.narrow(rule_of(decode)), rule_of(decode))
        parts.append((token_class(laws, tail, thresholds), top_two(laws)[0], tail))
    found = [
        np.concatenate(each) if each else np.array([]) for each in ([part[at] for part in parts] for at in range(3))
    ]
    told = carriers.select("carrier_id", "problem_id", "family", "half", written_by="model_id")
    frame = plan.with_columns(
        token_class=pl.Series(found[0], dtype=pl.String),
        top=pl.Series(found[1], dtype=pl.Float64),
        entropy=pl.Series(probes.entropy),
        tail=pl.Series(found[2], dtype=pl.Float64),
    ).join(told, on="carrier_id", how="left", maintain_order="left")
    return conform(frame.select(list(TOKEN_CLASSES)), TOKEN_CLASSES, "token classes")


def tabulated(
    classes: pl.DataFrame,
    probes: Mapping[str, Path],
    study: Mechanism,
    decodes: Mapping[str, Decode],
    arms: Mapping[str, Arm],
    evaluated: Sequence[str],
    doubt: set[int],
) -> Tables:
    """`probes`: a file a model; `evaluated`: the decodes of the evaluation that measures are taken under."""
    refuse_no_base(list(probes))
    rules = {name: rule_of(decode) for name, decode in decodes.items()}
    probed = list(dict.fromkeys(arm_of(model) for model in probes if model != BASE))
    targets = targets_of(arms, rules, probed)
    asked = {name: rules[name] for name in dict.fromkeys([*targets, *evaluated])}
    base = read_probes(probes[BASE], BASE, classes["probe_id"])
    positions = Positions.of(classes, base, doubt)
    own = {**by_itself(base, asked), **beside_the_base(base, base, asked, targets)}
    drawn: dict[str, list[Curves]] = {BASE: [_curves(base, rules[study.decode], study.temperatures)]}
    sides: dict[str, Side] = {}
    for model, path in probes.items():
        if model == BASE:
            continue
        trained = read_probes(path, model, classes["probe_id"])
        side = sides.setdefault(arm_of(model), Side(arm_of(model)))
        side.features.append({**by_itself(trained, asked), **beside_the_base(base, trained, asked, targets)})
        side.swapped.append(trained.ids[:, 0] != base.ids[:, 0])
        drawn.setdefault(side.arm, []).append(_curves(trained, rules[study.decode], study.temperatures))
    null, least = null_arm(arms, rules, probed), study.classes.least
    own_decodes = {name: arms[name].drawn_by for name in probed}
    temperatures = {name: decodes[name].temperature for name in decodes}
    everyone = list(sides.values())
    return Tables(
        mechanism(positions, own, everyone, temperatures, own_decodes, null, least),
        ssd_fit(positions, own, everyone, list(targets), own_decodes, null, least),
        curve_rows(positions, drawn, study.decode, least),
    )


def _curves(probes: Probes, rule: Rule, temperatures: list[float]) -> Curves:
    return curves(probes, rule, temperatures, RANKS)
