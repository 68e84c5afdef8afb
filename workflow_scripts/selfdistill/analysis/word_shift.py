"""Which words does training make rarer? Every word of the base's vocabulary, and the markers of doubt against the others.

That doubt falls says little by itself: a model may come to write less of everything but numbers. So each word that the base
uses often enough is counted in the answers of the base and of a finished arm at one decode, on the problems that are
reported. Texts in, WORD_SHIFT out. A word is a run of letters, in small letters; `\\frac` is the word frac.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Row
from selfdistill.analysis.doubt import comparisons_of
from selfdistill.analysis.doubt_counts import evaluation_answers, of_marker
from selfdistill.analysis.doubt_measures import Doubted
from selfdistill.analysis.pairing import Comparison, paired_cells
from selfdistill.analysis.problem_means import MEANS_OF, Side, family_codes, known, unit_of
from selfdistill.statistics.clusters import Array, ClusterMean
from selfdistill.statistics.multiplicity import benjamini_hochberg
from selfdistill.statistics.paired import PairedMeans
from selfdistill.statistics.rates import LEAST_SHOWING, RateRatio, Rates, log_rate_ratios, rate_ratio
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words
from selfdistill.tables.doubt import WORD_SHIFT
from selfdistill.tables.schema import conform

LOG_2 = math.log(2)
LEAST_USES = 20  # of a word, in all answers of the base at the decode
WORD = r"\p{L}+(?:['’]\p{L}+)*"
IS_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
READ = (*MEANS_OF, "purpose", "text")


def shifts_asked(doubted: Doubted, evaluation: Evaluation) -> list[Comparison]:
    """Finished arms, and the base's twins, against the base at one decode."""
    return [
        each
        for each in comparisons_of(doubted.evaluations, evaluation, {})
        if each.kind == words.MATCHED and each.side.percent in (0, 100) and each.against.arm == "base"
    ]


def words_used(paths: Mapping[str, str], asked: list[Comparison]) -> pl.DataFrame:
    """How often each model uses each word at each problem: of the base all words that it uses often enough anywhere, of the
    others those. `paths` has the graded answers of every model."""
    base = {model for each in asked for model in each.against.models}
    others = {model for each in asked for model in each.side.models} - base
    decodes = {each.side.decode_id for each in asked}
    of_base = _used((paths[model] for model in sorted(base)), decodes)
    often = of_base.group_by("word").agg(pl.col("uses").sum()).filter(pl.col("uses") >= LEAST_USES)["word"]
    vocabulary = set(often.to_list())
    return pl.concat(
        [
            of_base.filter(pl.col("word").is_in(vocabulary)),
            _used((paths[m] for m in sorted(others)), decodes, vocabulary),
        ]
    )


def _used(paths: Iterable[str], decodes: set[str], vocabulary: set[str] | None = None) -> pl.DataFrame:
    schema = {**dict.fromkeys((*MEANS_OF, "word"), pl.String), "uses": pl.UInt32}
    found = [pl.DataFrame(schema=schema)]
    for piece in evaluation_answers(paths, READ):
        spoken = (
            piece.lazy()
            .filter(pl.col("decode_id").is_in(decodes))
            .select(*MEANS_OF, word=pl.col("text").str.to_lowercase().str.extract_all(WORD))
            .explode("word")
            .drop_nulls("word")
        )
        if vocabulary is not None:
            spoken = spoken.filter(pl.col("word").is_in(vocabulary))
        found.append(spoken.group_by(*MEANS_OF, "word").agg(pl.len().cast(pl.UInt32).alias("uses")).collect())
    return pl.concat(found).group_by(*MEANS_OF, "word").agg(pl.col("uses").sum())


def word_shift(doubted: Doubted, used: pl.DataFrame, asked: list[Comparison]) -> pl.DataFrame:
    rows = [row for each in asked for row in _rows(doubted, used, each)]
    frame = pl.DataFrame([{key: row.get(key) for key in WORD_SHIFT} for row in rows], schema=WORD_SHIFT)
    return conform(frame, WORD_SHIFT, "word shift")


class Spoken(NamedTuple):
    """Of one comparison: words, and by family of problems how often either side uses each, and in how many tokens."""

    words: list[str]
    is_marker: Array
    mine: Rates
    other: Rates

    def among(self, chosen: Array) -> "Spoken":
        mine, other = (Rates(side.events[:, chosen], side.exposure) for side in (self.mine, self.other))
        there = [word for word, is_chosen in zip(self.words, chosen, strict=True) if is_chosen]
        return Spoken(there, self.is_marker[chosen], mine, other)

    def together(self) -> RateRatio:
        """All of its words as one."""
        mine, other = (Rates(side.events.sum(axis=1, keepdims=True), side.exposure) for side in (self.mine, self.other))
        return rate_ratio(mine, other, np.arange(len(mine.events)))

    def uses(self) -> tuple[Array, Array]:
        """Per 1,000 tokens, of either side."""
        mine, other = (1000 * side.events.sum(axis=0) / side.exposure.sum() for side in (self.mine, self.other))
        return mine, other


def _rows(doubted: Doubted, used: pl.DataFrame, comparison: Comparison) -> Iterator[Row]:
    found = _spoken(doubted, used, comparison)
    if not found.words:
        return
    side, cell = comparison.side, paired_cells(doubted.evaluations, comparison)[0]
    named = {
        "model_id": side.model_id,
        "arm": side.arm,
        "decode_id": side.decode_id,
        "against": comparison.against.arm,
        "split": comparison.split,
        "budget": comparison.budget,
        "unit": unit_of(cell),
        "n": len(found.mine.events),
    }
    shift, _ = _shifts(found)
    yield from (named | row for row in _rows_of_words(found))
    others = np.sort(shift[~found.is_marker])
    yield from (named | row for row in _rows_of_groups(found, [_place(each, others) for each in shift]))


def _rows_of_words(found: Spoken) -> Iterator[Row]:
    shift, values = _shifts(found)
    is_known = (found.mine.events > 0).sum(axis=0) >= LEAST_SHOWING
    estimated = [_estimated(shift[at], values[:, at] if is_known[at] else None) for at in range(len(found.words))]
    adjusted = benjamini_hochberg([math.nan if row["p_value"] is None else row["p_value"] for row in estimated])
    others, (uses, against_uses) = np.sort(shift[~found.is_marker]), found.uses()
    for at, word in enumerate(found.words):
        yield estimated[at] | {
            "word": word,
            "kind": words.MARKER if found.is_marker[at] else words.OTHER_WORD,
            "uses": float(uses[at]),
            "against_uses": float(against_uses[at]),
            "words": 1,
            "p_adjusted": known(adjusted[at]),
            "place": _place(shift[at], others),
        }


def _rows_of_groups(found: Spoken, places: list[float | None]) -> Iterator[Row]:
    groups = {words.ALL_MARKERS: found.is_marker, words.ALL_OTHERS: ~found.is_marker}
    ratios = {}
    for kind, chosen in groups.items():
        if chosen.any():
            group = found.among(chosen)
            ratios[kind] = ratio = group.together()
            here = [place for place, is_in in zip(places, chosen, strict=True) if is_in and place is not None]
            yield _estimated(ratio.log / LOG_2, _of_two(ratio.values)) | {
                "kind": kind,
                "uses": 1000 * ratio.rate,
                "against_uses": 1000 * ratio.other_rate,
                "words": len(group.words),
                "place": float(np.mean(here)) if here else None,
            }
    if len(ratios) == len(groups):
        one, two = ratios.values()
        apart = None if one.values is None or two.values is None else one.values - two.values
        yield _estimated((one.log - two.log) / LOG_2, _of_two(apart)) | {
            "kind": words.MARKERS_AGAINST_OTHERS,
            "words": len(found.words),
        }


def _shifts(found: Spoken) -> tuple[Array, Array]:
    """In powers of two, with their jackknife values by family."""
    logs, values = log_rate_ratios(found.mine, found.other)
    return logs / LOG_2, values / LOG_2


def _of_two(values: Array | None) -> Array | None:
    return None if values is None else values / LOG_2


def _place(shift: float, others: Array) -> float | None:
    """The share of other words, sorted, that shift less; of those that shift as much, half."""
    if not len(others):
        return None
    below, upto = (np.searchsorted(others, shift, side) for side in ("left", "right"))
    return float(below + upto) / 2 / len(others)


def _estimated(shift: float, values: Array | None) -> Row:
    row: Row = {"shift": known(float(shift)), "low": None, "high": None, "p_value": None}
    if values is None or len(values) < 2:
        return row
    paired = PairedMeans(ClusterMean.of(float(shift), float(values.std(ddof=1)) / math.sqrt(len(values)), len(values)))
    interval = paired.interval()
    return row | {"low": known(interval.low), "high": known(interval.high), "p_value": known(paired.p())}


def _spoken(doubted: Doubted, used: pl.DataFrame, comparison: Comparison) -> Spoken:
    """The words, and own patterns and markers that are no single word, that the base uses often enough, at enough problems.

    A pattern may be named like a word, and is not that word.
    """
    mine, other = paired_cells(doubted.evaluations, comparison)
    of_base = used.filter(
        pl.col("model_id").is_in(comparison.against.models),
        pl.col("decode_id") == comparison.against.decode_id,
        pl.col("problem_id").is_in(other["problem_id"].to_list()),
    )
    vocabulary = of_base["word"].unique().sort().to_list()
    doubt = doubted.markers.doubt
    phrases = [name for name in doubt.names if name in doubt.patterns or not IS_WORD.fullmatch(name)]
    families = family_codes(mine)
    one, two = (
        _uses(used, side, cell, vocabulary, phrases).by_family(families)
        for side, cell in ((comparison.side, mine), (comparison.against, other))
    )
    often = (two.events.sum(axis=0) >= LEAST_USES) & ((two.events > 0).sum(axis=0) >= LEAST_SHOWING)
    markers = {word.lower() for word in doubt.markers}
    is_marker = np.array([*(word in markers for word in vocabulary), *(True for _ in phrases)], dtype=bool)
    return Spoken([*vocabulary, *(phrase.lower() for phrase in phrases)], is_marker, one, two).among(often)


def _uses(used: pl.DataFrame, side: Side, cell: pl.DataFrame, vocabulary: list[str], phrases: list[str]) -> Rates:
    """By problem: how often each word is used in all answers of a side, and how many tokens these have."""
    answers = cell["draws"].to_numpy().astype(float)
    problems = pl.DataFrame({"problem_id": cell["problem_id"], "at": np.arange(cell.height)})
    places = pl.DataFrame(
        {"word": vocabulary, "place": np.arange(len(vocabulary))}, schema={"word": pl.String, "place": pl.Int64}
    )
    here = used.filter(pl.col("model_id").is_in(side.models), pl.col("decode_id") == side.decode_id)
    here = here.join(problems, on="problem_id").join(places, on="word")
    events = np.zeros((cell.height, len(vocabulary)))
    np.add.at(events, (here["at"].to_numpy(), here["place"].to_numpy()), here["uses"].to_numpy())
    tokens = cell[words.MEAN_TOKENS].to_numpy() * answers
    of_phrases = [cell[of_marker(name)].to_numpy() * answers for name in phrases]
    return Rates(np.column_stack([events, *of_phrases]), tokens[:, None])
