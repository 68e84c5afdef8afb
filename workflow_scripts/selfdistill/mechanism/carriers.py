"""Which texts are probed: the same for all models, written by the base, by trained models and by resample arms.

Of the base's answers at one decode a sample is drawn that has their lengths, verdicts and finish classes in proportion. The
others wrote theirs on the same problems, so that what differs between writers is not what they were asked; among a problem's
texts those are taken whose kind is most behind its share, from each model equally many. All of it follows from the seed.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words
from selfdistill.tables.mechanism import CARRIERS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.streams import read_pieces
from selfdistill.tables.whole import read_table

HEAVY = ["token_ids", "text"]  # read for the chosen alone
COLUMNS = ["request_id", "purpose", *(name for name in CARRIERS if name not in ("carrier_id", "half", *HEAVY))]
NAMED = {"base": "the base", "trained": "a trained model"}
STRATA = ["length", "verdict", "finish_class"]


def read_texts(files: Iterable[str | Path], decode: str) -> pl.DataFrame:
    """What is known of the evaluation answers at a decode, without the answers themselves."""
    tables = (read_table(file, GRADED, COLUMNS) for file in files)
    return pl.concat(
        table.filter(pl.col("purpose") == "eval", pl.col("decode_id") == decode).drop("purpose") for table in tables
    )


def with_texts(carriers: pl.DataFrame, files: Iterable[str | Path]) -> pl.DataFrame:
    """The chosen answers, found a part of a table at a time: all of them may be larger than memory."""
    found = [
        piece.filter(pl.col("request_id").is_in(carriers["carrier_id"].implode()))
        for file in files
        for piece in read_pieces(file, GRADED, ["request_id", *HEAVY])
    ]
    texts = pl.concat(found).rename({"request_id": "carrier_id"})
    return carriers.join(texts, on="carrier_id", maintain_order="left").select(*CARRIERS)


def choose_carriers(texts: pl.DataFrame, count: int, context: int, seed: int) -> pl.DataFrame:
    """`count` of the base and of trained models, half each, and half as many again of every resample arm; those of one
    problem have the same place on every side."""
    refuse_too_long(texts, context)
    # What fills the context to its last token would leave an engine no room to read it.
    fitting = texts.filter(pl.col("n_tokens") > 0, pl.col("prompt_ids").list.len() + pl.col("n_tokens") < context)
    sides = {name: with_strata(side, seed) for name, side in _sides(fitting).items()}
    for name in ("base", "trained"):
        if name not in sides:
            raise UserError(
                f"mechanism.decode: there is no text of {NAMED[name]} at this decode; look at what was graded, or name another."
            )
    base = in_proportion(asked_of_all(sides), count // 2)
    problems = base["problem_id"].to_list()
    chosen = [base, *(on_problems(side, problems, count // 2) for name, side in sides.items() if name != "base")]
    return with_halves(pl.concat(chosen), seed).rename({"request_id": "carrier_id"}).drop(*STRATA[:1], "chance")


def refuse_too_long(texts: pl.DataFrame, context: int) -> None:
    over = texts.filter(pl.col("prompt_ids").list.len() + pl.col("n_tokens") > context)
    if over.height:
        row = over.row(0, named=True)
        raise UserError(
            f"carrier {row['request_id']} of {row['model_id']}: {len(row['prompt_ids'])} tokens of prompt and {row['n_tokens']} of "
            f"completion do not fit the context of {context}; raise model.context to what it was sampled with."
        )


def _sides(texts: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """By who wrote: the base, trained models together, each resample arm."""
    by_model = {str(model): table for (model,), table in texts.partition_by("model_id", as_dict=True).items()}
    trained = [name for name in by_model if parse_model_id(name).training_seed is not None]
    sides = {"base": by_model["base"]} if "base" in by_model else {}
    sides |= {"trained": pl.concat(by_model[name] for name in trained)} if trained else {}
    return sides | {name: table for name, table in by_model.items() if name != "base" and name not in trained}


def with_strata(side: pl.DataFrame, seed: int) -> pl.DataFrame:
    """With each text's third of the lengths of its side, and the chance that orders texts."""
    thirds = pl.col("n_tokens").rank("ordinal").sub(1).mul(3).floordiv(pl.len()).alias("length")
    chances = [_chance(seed, request) for request in side["request_id"]]
    return side.sort("n_tokens", "request_id").with_columns(thirds).join(
        pl.DataFrame({"request_id": side["request_id"], "chance": chances}), on="request_id"
    )  # fmt: skip


def asked_of_all(sides: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The base's texts of problems of which all sides have one."""
    base = sides["base"]
    for name, side in sides.items():
        both = base.filter(pl.col("problem_id").is_in(side["problem_id"].implode()))
        if both.is_empty():
            raise UserError(
                f"mechanism.decode: the base and {NAMED.get(name, name)} have no problem in common at this decode; name another."
            )
        base = both
    return base


def in_proportion(texts: pl.DataFrame, count: int) -> pl.DataFrame:
    """One text a problem, at even distances along the strata: each gets its share of places, to within one."""
    one_each = texts.sort("chance").unique("problem_id", keep="first", maintain_order=True)
    if one_each.height < count:
        raise UserError(
            f"mechanism.carriers: asks for {count} texts of the base, each of another problem, and there are {one_each.height}; "
            "lower it."
        )
    along = one_each.sort(*STRATA, "chance")
    places = [(2 * part + 1) * along.height // (2 * count) for part in range(count)]
    return along[places].sort("chance")


def on_problems(side: pl.DataFrame, problems: Sequence[str], count: int) -> pl.DataFrame:
    """One text of each problem: of the model that has given fewest, of the stratum that is most behind its share."""
    shares = {row[:-1]: row[-1] / side.height for row in side.group_by(STRATA).len().iter_rows()}
    models: Counter[str] = Counter()
    strata: Counter[tuple[object, ...]] = Counter()
    mine = side.filter(pl.col("problem_id").is_in(list(problems))).sort("chance")
    by_problem = {problem: table for (problem,), table in mine.partition_by("problem_id", as_dict=True).items()}
    chosen = []
    for done, problem in enumerate(problems[:count], start=1):
        candidates = by_problem[problem]

        def due(row: dict[str, object], done: int = done) -> tuple[float, ...]:
            stratum = tuple(row[name] for name in STRATA)
            return models[str(row["model_id"])], strata[stratum] - done * shares[stratum]

        texts = candidates.select("request_id", "model_id", *STRATA).to_dicts()
        place = min(range(len(texts)), key=lambda each: due(texts[each]))
        models[texts[place]["model_id"]] += 1
        strata[tuple(texts[place][name] for name in STRATA)] += 1
        chosen.append(candidates[place])
    return pl.concat(chosen)


def with_halves(carriers: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Every second family, in the order of their hashes, is of the half on which classes are chosen."""
    families = sorted(carriers["family"].unique(), key=lambda family: _chance(seed, family))
    halves = {family: (words.SELECTING, words.MEASURING)[place % 2] for place, family in enumerate(families)}
    return carriers.with_columns(pl.col("family").replace_strict(halves, return_dtype=pl.String).alias("half"))


def _chance(seed: int, name: str) -> int:
    """As good as drawn, and the same for ever."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:7])
