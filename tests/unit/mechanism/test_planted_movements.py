"""Movements of a known size, sign and place are found as such, and nothing where nothing moved."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from planted_laws import Planted, normalised, planted, row_of, tables_of, write_probes
from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.compared import refuse_no_base
from selfdistill.mechanism.estimates import Families, difference_of_means
from selfdistill.mechanism.probes import read_probes
from selfdistill.tables import words

SSD, OTHER, NULL = "ssd/seed-0/at-100", "ssd/seed-1000/at-100", "fixed-point/seed-0/at-100"


@pytest.fixture(scope="module")
def laws() -> Planted:
    return planted(np.random.default_rng(7))


def noisy(log_p: np.ndarray, size: float, seed: int) -> np.ndarray:
    return normalised(log_p + np.random.default_rng(seed).normal(0, size, log_p.shape))


def test_locks_sharpened_by_a_known_amount_are_found_in_size_sign_and_place(laws: Planted, tmp_path: Path) -> None:
    """Their logits are multiplied by 1.25, and no others'."""
    sharper = normalised(np.where(laws.is_lock[:, None], 1.25 * laws.log_p, laws.log_p))
    classes, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: sharper}, laws.families)
    is_lock = (classes["token_class"] == words.LOCK).to_numpy()
    assert (is_lock == laws.is_lock).mean() > 0.97
    truth = (np.exp(sharper).max(-1) - np.exp(laws.log_p).max(-1))[is_lock].mean()
    found = row_of(tables.mechanism, arm="ssd", token_class=words.LOCK, measure=words.TOP_PROBABILITY, decode_id=None)
    assert found["estimate"] == pytest.approx(truth, abs=1e-6) and 0 < found["low"] < truth < found["high"]
    forks = row_of(tables.mechanism, arm="ssd", token_class=words.FORK, measure=words.ENTROPY, decode_id=None)
    assert forks["estimate"] == pytest.approx(0, abs=1e-9)
    tails = row_of(tables.mechanism, arm="ssd", token_class=words.LOCK, measure=words.TAIL_MASS, decode_id="hot")
    assert tails["estimate"] < 0 and tails["high"] < 0


def test_forks_flattened_by_a_known_amount_are_found_in_size_sign_and_place(laws: Planted, tmp_path: Path) -> None:
    """Within the support the shift of a temperature of 1.2 is asked for by one of 1.5 to a known part, and is on its way."""
    flatter = normalised(np.where(laws.is_lock[:, None], laws.log_p, laws.log_p / 1.2))
    classes, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: flatter}, laws.families)
    forks = (classes["token_class"] == words.FORK).to_numpy()
    entropies = [-(np.exp(law) * law).sum(-1)[forks].mean() for law in (laws.log_p, flatter)]
    found = row_of(tables.mechanism, arm="ssd", token_class=words.FORK, measure=words.ENTROPY, decode_id=None)
    assert found["estimate"] == pytest.approx(entropies[1] - entropies[0], abs=1e-6) and found["low"] > 0
    still = row_of(tables.mechanism, arm="ssd", token_class=words.LOCK, measure=words.TOP_PROBABILITY, decode_id=None)
    assert abs(still["estimate"]) < 1e-3
    made = row_of(tables.ssd_fit, arm="ssd", token_class=words.FORK, measure=words.PROJECTION, decode_id="hot")
    assert made["estimate"] == pytest.approx((1 / 1.2 - 1) / (1 / 1.5 - 1), abs=1e-4)
    aligned = row_of(tables.ssd_fit, arm="ssd", token_class=words.FORK, measure=words.ALIGNMENT, decode_id="hot")
    assert aligned["estimate"] == pytest.approx(1, abs=1e-4)


def test_a_model_at_its_target_has_gone_all_the_way_and_the_base_none(laws: Planted, tmp_path: Path) -> None:
    target = at_target(laws.log_p)
    for model, ratio in ((target, 1.0), (laws.log_p, 0.0)):
        _, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: model}, laws.families)
        for token_class in (words.EVERY_CLASS, words.FORK, words.LOCK):
            for measure in (words.FIT_RATIO, words.FIT_OF_SUPPORT):
                row = row_of(tables.ssd_fit, arm="ssd", token_class=token_class, measure=measure, decode_id="hot")
                assert row["estimate"] == pytest.approx(ratio, abs=1e-3)
    _, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: target}, laws.families)
    rest = row_of(tables.ssd_fit, arm="ssd", token_class=words.EVERY_CLASS, measure=words.REMAINDER, decode_id="hot")
    assert rest["estimate"] == pytest.approx(0, abs=1e-3)


def at_target(log_p: np.ndarray) -> np.ndarray:
    """Written out, without the library: temperature 1.5, top-k 20, top-p 0.95, and next to nothing elsewhere."""
    moved = np.full_like(log_p, -40.0)
    for at, law in enumerate(log_p):
        order = np.argsort(-law)[:20]
        p = np.exp(law[order] / 1.5)
        p /= p.sum()
        kept = np.cumsum(p) - p < 0.95
        moved[at, order[kept]] = np.log(p[kept] / p[kept].sum())
    return normalised(moved)


def test_noise_is_remainder_and_not_on_the_way(laws: Planted, tmp_path: Path) -> None:
    models = {"base": laws.log_p, SSD: noisy(laws.log_p, 0.2, 1), OTHER: noisy(laws.log_p, 0.2, 2)}
    _, tables = tables_of(tmp_path, models, laws.families)
    rest = row_of(tables.ssd_fit, arm="ssd", token_class=words.EVERY_CLASS, measure=words.REMAINDER, decode_id="hot")
    assert rest["estimate"] > 0.98
    parts = [
        row_of(tables.ssd_fit, arm="ssd", token_class=name, measure=words.REMAINDER_HERE, decode_id="hot")["estimate"]
        for name in words.TOKEN_CLASSES
    ]
    assert sum(filter(None, parts)) == pytest.approx(1, abs=0.01)


def test_the_null_is_taken_off_at_the_same_positions(laws: Planted, tmp_path: Path) -> None:
    shift = noisy(laws.log_p, 0.3, 3)
    models = {"base": laws.log_p, SSD: normalised(1.1 * shift), NULL: shift}
    _, tables = tables_of(tmp_path, models, laws.families)
    row = row_of(tables.mechanism, arm="ssd", token_class=words.LOCK, measure=words.ENTROPY, decode_id=None)
    null = row_of(tables.mechanism, arm="fixed-point", token_class=words.LOCK, measure=words.ENTROPY, decode_id=None)
    assert row["null"] == "fixed-point" and null["null"] is None
    assert row["beyond_null"] == pytest.approx(row["estimate"] - null["estimate"], abs=1e-12)
    assert row["beyond_null_low"] < row["beyond_null"] < row["beyond_null_high"] < 0
    fit = row_of(
        tables.ssd_fit, arm="fixed-point", token_class=words.EVERY_CLASS, measure=words.FIT_RATIO, decode_id="plain"
    )
    assert fit["estimate"] is None and fit["method"] == words.TARGET_IS_BASE


def test_swaps_by_noise_look_like_an_effect_only_where_they_are_chosen_by_themselves(tmp_path: Path) -> None:
    """Two trainings that are noise alone: chosen by itself a swapped lock falls by much, chosen by the other it does not."""
    laws = planted(np.random.default_rng(3), families=60, each=60)
    weaker = normalised(np.where(laws.is_lock[:, None], laws.log_p * 0.75, laws.log_p))
    models = {"base": weaker, SSD: noisy(weaker, 1.7, 8), OTHER: noisy(weaker, 1.7, 9)}
    _, tables = tables_of(tmp_path, models, laws.families, classes={"lock_top": 0.8, "fork_top": 0.8})
    naive, honest = (
        row_of(tables.mechanism, arm="ssd", token_class=name, measure=words.TOP_PROBABILITY, decode_id=None)
        for name in (words.SWAPPED_BY_ITSELF, words.SWAPPED_LOCK)
    )
    strict = row_of(
        tables.mechanism, arm="ssd", token_class=words.STRICT_LOCK, measure=words.TOP_PROBABILITY, decode_id=None
    )
    assert naive["low"] is None and naive["method"] == words.CHOSEN_BY_ITSELF
    assert words.CHOSEN_BY_OTHER_TRAINING in strict["method"]
    assert honest["positions"] > 100 and honest["low"] < strict["estimate"] < honest["high"], (
        "to the other they are like any"
    )
    assert naive["estimate"] < honest["low"] - 0.2


def test_a_class_with_too_few_positions_says_so_and_has_no_interval(laws: Planted, tmp_path: Path) -> None:
    _, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: noisy(laws.log_p, 0.1, 4)}, laws.families)
    for table, measure in ((tables.mechanism, words.ENTROPY), (tables.ssd_fit, words.FIT_RATIO)):
        rows = table.filter(pl.col("token_class") == words.DIFFUSE, pl.col("measure") == measure)
        assert rows.height and rows["low"].null_count() == rows.height
        assert all(method == "no interval: 0 positions of the 30 needed" for method in rows["method"])


def test_resampled_texts_of_the_base_differ_by_nothing_in_93_of_100_repeats() -> None:
    """Its own law on texts sampled anew; problems differ, and both texts of a problem share what it is like."""
    covered = 0
    for repeat in range(100):
        rng = np.random.default_rng(repeat)
        families = np.repeat(np.arange(24), 60)
        like = rng.normal(0, 0.1, 24)[families]
        text = np.tile(np.repeat([0, 1], 30), 24)
        of_text = rng.normal(0, 0.05, (24, 2))[families, text]
        values = like + of_text + rng.exponential(0.3, len(families))
        adding = Families(families)
        estimate, interval = difference_of_means(adding.sums(values, text == 1), adding.sums(values, text == 0))
        assert interval.low < estimate < interval.high
        covered += interval.low <= 0 <= interval.high
    assert covered >= 93


def test_the_null_arm_of_texts_stands_beside_every_arms_texts(laws: Planted, tmp_path: Path) -> None:
    writers = np.where(laws.families % 3 == 0, "base", np.where(laws.families % 3 == 1, "aa", SSD))
    _, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: laws.log_p}, laws.families, writers)
    asked = {"carriers": words.BETWEEN_TEXTS, "token_class": words.LOCK, "measure": words.CLASS_SHARE}
    twin, arm = (row_of(tables.mechanism, arm=name, **asked) for name in ("aa", "ssd"))
    assert twin["null"] is None and twin["low"] < 0 < twin["high"] and arm["null"] == "aa"
    assert arm["beyond_null"] == pytest.approx(arm["estimate"] - twin["estimate"], abs=1e-9)


def test_laws_of_few_kept_tokens_say_the_same_of_a_decode_with_top_k(laws: Planted, tmp_path: Path) -> None:
    models = {"base": laws.log_p, SSD: noisy(laws.log_p, 0.3, 5)}
    _, whole = tables_of(tmp_path / "whole", models, laws.families)
    _, short = tables_of(tmp_path / "short", models, laws.families, top=40)
    asked = {"arm": "ssd", "token_class": words.FORK, "measure": words.FIT_RATIO, "decode_id": "hot"}
    assert row_of(short.ssd_fit, **asked)["estimate"] == pytest.approx(
        row_of(whole.ssd_fit, **asked)["estimate"], rel=1e-3
    )


def test_probes_of_another_plan_and_a_study_without_the_base_get_a_sentence(laws: Planted, tmp_path: Path) -> None:
    path = write_probes(tmp_path, "base", laws.log_p[:5])
    with pytest.raises(UserError, match=r"base.parquet: 2 of 7 positions are missing; probe base again"):
        read_probes(path, "base", pl.Series([f"p{at}" for at in range(7)]))
    with pytest.raises(UserError, match="the base was not probed"):
        refuse_no_base(["ssd/seed-0/at-100"])
    with pytest.raises(UserError, match="gone.parquet"):
        read_probes(tmp_path / "gone.parquet", "base", pl.Series(["p0"]))


def test_probes_are_read_in_the_order_asked(laws: Planted, tmp_path: Path) -> None:
    path = write_probes(tmp_path, "base", laws.log_p[:50])
    asked = [f"p{at}" for at in (9, 3, 44)]
    found = read_probes(path, "base", pl.Series(asked))
    np.testing.assert_allclose(found.log_p[1], -np.sort(-laws.log_p[3]), rtol=1e-6)
    assert (found.ids[2] == np.argsort(-laws.log_p[44], kind="stable")).all()


def test_every_interval_is_around_its_estimate(laws: Planted, tmp_path: Path) -> None:
    models = {
        "base": laws.log_p,
        SSD: noisy(laws.log_p, 0.2, 1),
        OTHER: noisy(laws.log_p, 0.2, 2),
        NULL: noisy(laws.log_p, 0.1, 3),
    }
    _, tables = tables_of(tmp_path, models, laws.families)
    for table in tables:
        known = table.filter(pl.col("low").is_not_null())
        assert known.height
        assert known.filter(
            (pl.col("low") > pl.col("estimate") + 1e-9) | (pl.col("high") < pl.col("estimate") - 1e-9)
        ).is_empty()
