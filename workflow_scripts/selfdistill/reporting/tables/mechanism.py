"""Tables of the probes: the classes, what training did to each, the way to the target, and the depth of a thought."""

from collections.abc import Callable
from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, has_rows
from selfdistill.reporting.mechanism import (
    CLASSES,
    FINER_CLASSES,
    everywhere,
    fits,
    fitted_arms,
    moved,
    moved_arms,
    own_decode,
    row_of,
    shown_decode,
    target_of,
)
from selfdistill.reporting.notes import decoding_rule
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.select import there
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words
from selfdistill.tables.mechanism import DEPTH, MECHANISM

Format = Callable[[float | None, float | None, float | None], str]
Rows = dict[str, Any]

NO_INTERVAL = "A row without brackets rests on too few positions, and says so: read nothing into its numbers."
CLUSTERED = "Brackets are 95 % intervals over problems or their families, not adjusted for the number of rows."


def _positions(row: Rows) -> str:
    """`2 005`, or `11, too few` where there is no interval."""
    if not row:
        return fmt.MISSING
    return fmt.count(row["positions"]) if row["low"] is not None else f"{fmt.count(row['positions'])}, too few"


def _title(rows: pl.DataFrame, arm: str) -> str:
    trainings = rows["training_seeds"].max()
    return f"{arm}, {fmt.plural(trainings, 'training')}" if isinstance(trainings, int) else arm


def points(estimate: float | None, low: float | None, high: float | None) -> str:
    return f"{fmt.points(estimate, 2)} {fmt.points_interval(low, high, 2)}".strip()


def shares(estimate: float | None, low: float | None, high: float | None) -> str:
    return f"{fmt.percent(estimate, 0)} {fmt.percent_interval(low, high, 0)}".strip()


def numbers(estimate: float | None, low: float | None, high: float | None) -> str:
    return f"{fmt.number(estimate, 3, signed=True)} {fmt.interval(low, high, 3, signed=True)}".strip()


def plain_numbers(estimate: float | None, low: float | None, high: float | None) -> str:
    return f"{fmt.number(estimate, 2)} {fmt.interval(low, high, 2)}".strip()


def thousandths(estimate: float | None, low: float | None, high: float | None) -> str:
    middle = None if estimate is None else 1000 * estimate
    return f"{fmt.number(middle, 2)} {fmt.interval(low, high, 2, scale=1000)}".strip()


# Measure, column, how it is written. Before any decode, and under one.
Measured = list[tuple[str, str, Format]]
MOVED: Measured = [
    (words.TOP_PROBABILITY, "top-1 probability, pp", points),
    (words.ENTROPY, "entropy, nats", numbers),
    (words.SWAPS, "swaps, pp", points),
]
DECODED: Measured = [
    (words.TAIL_MASS, "tail mass, pp", points),
    (words.KEPT_MASS, "kept mass, pp", points),
    (words.NUCLEUS_SIZE, "nucleus, tokens", numbers),
    (words.ENTROPY_BEFORE, "entropy before", numbers),
    (words.ENTROPY_AFTER, "entropy after", numbers),
]
LEVELS = [
    (words.TOP_PROBABILITY, False, words.TOP_PROBABILITY),
    (words.ENTROPY, False, "entropy, nats"),
    (words.KEPT_MASS, True, words.KEPT_MASS),
    (words.NUCLEUS_SIZE, True, "nucleus, tokens"),
    (words.TAIL_MASS, True, words.TAIL_MASS),
]


def classes(inputs: ReportInputs) -> Table | None:
    """What the base is like at each class, before any training."""
    arms, decode = moved_arms(inputs), shown_decode(inputs)
    if not arms:
        return None
    rows = moved(inputs).filter(pl.col("arm") == arms[0])
    counted = {name: row_of(rows, measure=words.TOP_PROBABILITY, token_class=name) for name in CLASSES}
    everything = counted[words.EVERY_CLASS].get("positions")
    found = []
    for name, row in counted.items():
        if row:
            levels = [
                _level(row_of(rows, measure=measure, token_class=name, decode_id=decode if asks else None), measure)
                for measure, asks, _ in LEVELS
            ]
            share = fmt.percent(row["positions"] / everything) if everything else fmt.MISSING
            found.append(Row([name, fmt.count(row["positions"]), share, fmt.count(row["n"]), *levels]))
    return Table(
        "The classes, by the base alone",
        ["class", "positions", "of all", "problems", *(column for _, _, column in LEVELS)],
        [Group(found)],
        "analysis/mechanism.parquet",
        f"Means of the base at the probed positions. Kept mass, nucleus and tail are those of {_decode_in_words(inputs, decode)}: the "
        "mass that its truncation leaves at its temperature, of how many tokens, and the mass at temperature 1 of what it cuts.",
    )


def _level(row: Rows, measure: str) -> str:
    level = row.get("base")
    if measure in (words.ENTROPY, words.NUCLEUS_SIZE):
        return numbered(fmt.number(level, 2 if measure == words.NUCLEUS_SIZE else 3), "mechanism", row, "base")
    return numbered(fmt.percent(level, 2), "mechanism", row, "base")


def _decode_in_words(inputs: ReportInputs, decode: str | None) -> str:
    return f"{decode} ({decoding_rule(inputs, decode, cap=None)})" if decode else "no decode"


TRAINED = ("estimate", "low", "high")
BEYOND = ("beyond_null", "beyond_null_low", "beyond_null_high")


def moved_by_class(inputs: ReportInputs) -> Table | None:
    return _moved(
        inputs,
        "What training did to next-token laws, by class: trained less base at the same positions",
        TRAINED,
        "Before any decode, at temperature 1. Swaps: positions whose likeliest token is another one than the base’s. A strict lock keeps "
        "its likeliest token, a swapped one does not. Which is which is told by another training of the arm, or for want of one by the "
        "other half of the problems, because a lock that is called strict by the very model that is measured has gained by that alone. "
        "Self-correction: locks where a word of doubt stands or is likeliest. Classes without any position are left out. "
        f"{CLUSTERED} Those of several trainings hold the noise between them. {NO_INTERVAL}",
        MOVED,
    )


def decoded_by_class(inputs: ReportInputs) -> Table | None:
    decode = shown_decode(inputs)
    return _moved(
        inputs,
        f"The same under {_decode_in_words(inputs, decode)}",
        TRAINED,
        "Tail mass: at temperature 1, of what the decode cuts of the base, whoever is asked. Kept mass, nucleus and both entropies are of each "
        "model’s own law at the decode’s temperature: what its truncation leaves, of how many tokens, and the entropy in nats before and "
        f"after it. {CLUSTERED} {NO_INTERVAL}",
        DECODED,
        decode,
    )


def moved_beyond_null(inputs: ReportInputs) -> Table | None:
    """The same, less what the arm shows that the method should not move."""
    nulls = sorted(moved(inputs)["null"].drop_nulls().unique().to_list())
    if not nulls:
        return None
    return _moved(
        inputs,
        f"What training did by class, less what {' and '.join(nulls)} shows at the same positions",
        BEYOND,
        "The null was trained on what the base says at temperature 1 without truncation, which asks for no change: what it "
        f"shows is the noise of training. What is left here is the arm’s own. {CLUSTERED} {NO_INTERVAL}",
        MOVED,
    )


def _moved(
    inputs: ReportInputs,
    caption: str,
    of: tuple[str, str, str],
    note: str,
    measured: Measured,
    decode: str | None = None,
) -> Table | None:
    rows, groups = moved(inputs), []
    for arm in moved_arms(inputs):
        mine = rows.filter(pl.col("arm") == arm, pl.col("decode_id").eq_missing(pl.lit(decode)))
        if mine[of[0]].null_count() < mine.height:
            found = [_row(mine, name, of, measured) for name in (*CLASSES, *FINER_CLASSES)]
            groups.append(Group([row for row in found if row], _title(mine, arm)))
    if not groups:
        return None
    columns = ["class", *(column for _, column, _ in measured), "positions"]
    return Table(caption, columns, groups, "analysis/mechanism.parquet", note)


def _row(mine: pl.DataFrame, token_class: str, of: tuple[str, str, str], measured: Measured) -> Row | None:
    """Nothing for a class without a position."""
    found = [(row_of(mine, measure=measure, token_class=token_class), write) for measure, _, write in measured]
    first = found[0][0]
    if not first or not first["positions"]:
        return None
    table = "ssd_fit" if "base" not in first else "mechanism"
    cells = [_numbered(write, table, row, of) for row, write in found]
    return Row([token_class, *cells, _positions(first)], token_class in FINER_CLASSES)


def _numbered(write: Format, table: str, row: Rows, of: tuple[str, str, str] = TRAINED) -> str:
    return numbered(write(*(row.get(name) for name in of)), table, row, of[0])


def loss_terms(inputs: ReportInputs) -> Table | None:
    """The three terms of the loss of self-distillation, before and after."""
    rows, groups = moved(inputs), []
    for arm in moved_arms(inputs):
        target = target_of(inputs, arm)
        mine = rows.filter(pl.col("arm") == arm, pl.col("decode_id").eq_missing(pl.lit(target)))
        found = []
        for name in CLASSES:
            terms = [row_of(mine, measure=term, token_class=name) for term in words.LOSS_TERMS]
            if all(term.get("estimate") is not None for term in terms):
                found.append(Row([name, *(_nats(term) for term in terms), fmt.count(terms[0]["positions"])]))
        if found:
            groups.append(Group(found, f"{arm}, against the target of {target}"))
    if not groups:
        return None
    return Table(
        "The loss against the target, in its three terms: trained less base, in thousandths of a nat",
        ["class", *words.LOSS_TERMS, "positions"],
        groups,
        "analysis/mechanism.parquet",
        "The expected loss of training on the arm’s samples is the sum of these and a constant. Support compression: −log of the mass "
        "in the kept set, less of it is a cut tail. Within-support reshaping: lower is flatter at training temperatures above 1. "
        f"Anchor: distance from the base’s own shape within the kept set; 0 at the base. {CLUSTERED}",
    )


def _nats(row: Rows) -> str:
    ends = fmt.interval(row["low"], row["high"], 2, scale=1000, signed=True)
    return numbered(f"{fmt.number(1000 * row['estimate'], 2, signed=True)} {ends}".strip(), "mechanism", row)


def between_texts(inputs: ReportInputs) -> Table | None:
    """Whether an arm writes texts in which the base would be at other places."""
    rows = there(inputs.mechanism, MECHANISM).filter(pl.col("carriers") == words.BETWEEN_TEXTS)
    arms = [arm for arm in arm_names(inputs.study) if arm in set(rows["arm"])]
    if not arms:
        return None
    measured = [
        (words.TOP_PROBABILITY, words.EVERY_CLASS, points), (words.ENTROPY, words.EVERY_CLASS, numbers),
        *((words.CLASS_SHARE, name, points) for name in words.TOKEN_CLASSES),
    ]  # fmt: skip
    found = []
    for arm in arms:
        mine = rows.filter(pl.col("arm") == arm)
        cells = [row_of(mine, measure=measure, token_class=name) for measure, name, _ in measured]
        written = [_numbered(write, "mechanism", row) for row, (_, _, write) in zip(cells, measured, strict=True)]
        found.append(Row([arm, *written, _positions(cells[0])]))
    columns = ["texts of", "top-1 probability, pp", "entropy, nats", *(f"share of {name}, pp" for name in words.TOKEN_CLASSES), "positions"]  # fmt: skip
    return Table(
        "The base’s own law on other models’ texts, against its law on its own",
        columns,
        [Group(found)],
        "analysis/mechanism.parquet",
        "Is a trained model led to other places than the base, whatever it says there? An arm that only sampled the base anew (A/A) "
        f"is the null: its texts are the base’s. {CLUSTERED} {NO_INTERVAL}",
    )


FIT: Measured = [
    (words.FIT_RATIO, words.FIT_RATIO, shares),
    (words.FIT_BEYOND_NULL, "beyond the null", shares),
    (words.ALIGNMENT, "alignment", plain_numbers),
    (words.REMAINDER, "not towards the target", shares),
    (words.REMAINDER_HERE, "of all that is not", shares),
]
PARTS_OF_FIT: Measured = [
    (words.DISTANCE_OF_BASE, "to be closed", thousandths),
    (words.FIT_OF_SUPPORT, "compression", shares),
    (words.FIT_WITHIN, "within the support", shares),
    (words.PROJECTION, "part of the shift", shares),
    (words.MOVEMENT, "squared movement", thousandths),
]


def way_to_target(inputs: ReportInputs) -> Table | None:
    return _way(
        inputs,
        "How far training moved each arm to the target of self-distillation",
        FIT,
        "The target is the base’s own law, tempered and cut as the arm’s training decode does. Fit ratio: the share of its "
        "divergence from the base, KL(target‖base), that training closed: 100 % is the target, below 0 is further off than the base was. "
        "Beyond the null: less what the null closed. Alignment: cosine of the shift of log-probabilities within the support that is seen "
        "with the one that the target asks for. Not towards the target: the share of the squared movement that does not lie along the way "
        "there; noise has no side and is all of that. Of all that is not: which part of it falls on this class. "
        f"{CLUSTERED} {NO_INTERVAL}",
    )


def parts_of_way(inputs: ReportInputs) -> Table | None:
    return _way(
        inputs,
        "The two parts of the way, and the movement",
        PARTS_OF_FIT,
        "To be closed: KL(target‖base), the mean in thousandths of a nat. It is −log of the mass in the support plus the divergence within it, and "
        "each part has a fit ratio of its own: compression, and within the support; a large one of a small part may be "
        "nothing. Part of the shift: how much of the shift within the support that the target asks for was made, whatever was made "
        "beside it. Squared movement: mean squared distance of root probabilities, in thousandths. "
        f"{CLUSTERED} {NO_INTERVAL}",
    )


def _way(inputs: ReportInputs, caption: str, measured: Measured, note: str) -> Table | None:
    groups = []
    for arm in fitted_arms(inputs):
        mine, target = everywhere(fits(inputs, arm)), target_of(inputs, arm)
        own = own_decode(inputs, arm) == target
        against = f"against the target of {_decode_in_words(inputs, target)}{'' if own else ', which is not its own'}"
        found = [_row(mine, name, TRAINED, measured) for name in (*CLASSES, *FINER_CLASSES)]
        groups.append(Group([row for row in found if row], f"{_title(mine, arm)}, {against}"))
    columns = ["class", *(column for _, column, _ in measured), "positions"]
    return Table(caption, columns, groups, "analysis/ssd_fit.parquet", note) if groups else None


def way_by_place(inputs: ReportInputs) -> Table | None:
    """The fit ratio by whose texts, and by why a position was probed."""
    places = [(carriers, words.EVERY_KIND) for carriers in (words.BY_THE_BASE, words.BY_TRAINED)]
    places += [(words.BY_ALL, kind) for kind in words.POSITION_KINDS]
    shown = (words.EVERY_CLASS, words.LOCK, words.FORK)
    groups = []
    for arm in fitted_arms(inputs):
        mine = fits(inputs, arm).filter(pl.col("measure") == words.FIT_RATIO)
        found = []
        for carriers, kind in places:
            rows = [row_of(mine, carriers=carriers, position_kind=kind, token_class=name) for name in shown]
            if rows[0] and rows[0]["positions"]:
                cells = [_numbered(shares, "ssd_fit", row) for row in rows]
                found.append(
                    Row([kind if carriers == words.BY_ALL else carriers, *cells, fmt.count(rows[0]["positions"])])
                )
        if found:
            groups.append(Group(found, f"{arm}, against the target of {target_of(inputs, arm)}"))
    if not groups:
        return None
    return Table(
        "The fit ratio by whose texts, and by why a position was probed",
        ["positions", *shown, "probed"],
        groups,
        "analysis/ssd_fit.parquet",
        f"A position that several kinds name counts in each. {CLUSTERED} A cell without a bracket rests on too few positions.",
    )


def depth(inputs: ReportInputs) -> Table | None:
    if not has_rows(inputs.depth):
        return None
    rows = everywhere(there(inputs.depth, DEPTH))
    found = []
    for model in rows["model_id"].unique(maintain_order=True):
        mine = rows.filter(pl.col("model_id") == model)
        told = row_of(mine, measure=words.DEPTH_AUROC)
        cells = [row_of(mine, measure=words.MEAN_DEPTH, token_class=name) for name in words.TOKEN_CLASSES]
        found.append(Row([
            model, _numbered(plain_numbers, "depth", told), *(_numbered(shares, "depth", row) for row in cells),
        ]))  # fmt: skip
    return Table(
        "Depth of each class, as a share of the layers",
        ["model", "AUROC, fork against lock", *words.TOKEN_CLASSES],
        [Group(found)],
        "analysis/depth.parquet",
        "Depth: the first layer from which the law that the final norm and head read from it stays near the last layer’s. AUROC: how "
        "often a fork is deeper than a lock, ties counted half; 0.5 is no association. Classes are by the base, also in "
        f"the rows of trained models. {CLUSTERED} A cell without a bracket rests on too few positions.",
    )
