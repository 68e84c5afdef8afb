"""What the lab's grammar knows of every token, found by the base's law alone; a model trained to its end on the targets, found
there; depth against class by brute force; and the sentences."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from planted_laws import Array, Labelled, lab_laws, normalised, planted, row_of, tables_of
from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.classes import fork_score, tail_of, token_class
from selfdistill.mechanism.depths import auroc, auroc_row, depth_by_class
from selfdistill.mechanism.estimates import Families
from selfdistill.mechanism.theory import Laws, Rule, decoded
from selfdistill.mechanism.verdict import depth_sentence, lock_and_fork_sentences, ssd_sentence, ssd_sentences
from selfdistill.study.mechanism import Classes
from selfdistill.tables import words
from selfdistill.tables.mechanism import SSD_FIT

SSD = "ssd/seed-0/at-100"


@pytest.fixture(scope="module")
def lab() -> Labelled:
    return lab_laws(60)


def sorted_laws(log_p: Array) -> Laws:
    return Laws.of(-np.sort(-log_p, axis=1)[:, :256])


def test_forks_are_told_from_locks_as_the_grammar_tells_them(lab: Labelled) -> None:
    laws = sorted_laws(lab.log_p)
    estimate, _ = auroc(fork_score(laws), lab.labels == "fork", lab.labels == "lock", Families(lab.families))
    assert estimate >= 0.98


def test_the_thresholds_find_the_grammars_forks_and_what_they_call_a_lock_is_none(lab: Labelled) -> None:
    laws = sorted_laws(lab.log_p)
    found = token_class(laws, tail_of(laws, Rule(1.0, 20, 0.95)), Classes())
    forks, locks = lab.labels == "fork", lab.labels == "lock"
    assert (found[forks] == words.FORK).mean() > 0.97
    assert (found[locks] == words.LOCK).mean() > 0.93
    assert forks[found == words.LOCK].sum() <= 0.005 * (found == words.LOCK).sum()
    assert (found[lab.labels == "neither"] == words.LOCK).mean() > 0.99, "the third set: only form, and sure of it"


def test_thresholds_sort_a_law_as_they_say() -> None:
    asked = Classes(lock_top=0.9, fork_top=0.8, fork_second=0.1, fork_tail=0.1, diffuse_tail=0.2)
    rows = np.array(
        [[0.95, 0.03, 0.01, 0.01], [0.5, 0.45, 0.03, 0.02], [0.5, 0.2, 0.15, 0.15], [0.85, 0.1, 0.03, 0.02]]
    )
    tails = np.array([0.0, 0.05, 0.3, 0.0])
    expected = [words.LOCK, words.FORK, words.DIFFUSE, words.MIXED]
    assert token_class(Laws.of(np.log(rows)), tails, asked).tolist() == expected


def test_a_tabular_model_trained_to_its_end_on_the_targets_has_gone_nine_tenths_of_the_way(tmp_path: Path) -> None:
    """A logit for every position and token, from the base's, by gradient descent on the loss of soft targets."""
    laws = planted(np.random.default_rng(11), families=12, each=20)
    order = np.argsort(-laws.log_p, axis=1)
    q = np.zeros_like(laws.log_p)
    np.put_along_axis(q, order, decoded(sorted_laws(laws.log_p), Rule(1.5, 20, 0.95)).q, axis=1)
    logits = torch.tensor(laws.log_p, requires_grad=True)
    targets, steps = torch.tensor(q), torch.optim.Adam([logits], lr=0.05)
    for _ in range(300):
        steps.zero_grad()
        (-(targets * logits.log_softmax(-1)).sum(-1)).mean().backward()
        steps.step()
    trained = normalised(logits.detach().numpy())
    _, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: trained}, laws.families)
    for name in (words.EVERY_CLASS, words.LOCK, words.FORK):
        row = row_of(tables.ssd_fit, arm="ssd", token_class=name, measure=words.FIT_RATIO, decode_id="hot")
        assert row["estimate"] >= 0.9
    said = ssd_sentence(tables.ssd_fit, "ssd")
    assert said.startswith("Training moved ssd towards the target of hot, 100 %") and "of the way at forks" in said


def test_depth_tells_classes_apart_as_often_as_counting_every_pair_does() -> None:
    rng = np.random.default_rng(2)
    depth, fork = rng.integers(1, 5, 80), rng.random(80) < 0.4
    families = Families(np.repeat(np.arange(16), 5))
    wins = [np.mean([(a > b) + 0.5 * (a == b) for b in depth[~fork]]) for a in depth[fork]]
    estimate, pull = auroc(depth, fork, ~fork, families)
    assert estimate == pytest.approx(np.mean(wins)) and pull.sum() == pytest.approx(0, abs=1e-12)


def test_the_interval_of_an_auroc_holds_the_truth_as_often_as_it_says() -> None:
    """Two normals apart by 1: Φ(1/√2) = 0.760. Families share a part that is the same for both classes."""
    covered = 0
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        family = np.repeat(np.arange(30), 12)
        fork = rng.random(360) < 0.4
        score = rng.normal(0, 1, 360) + fork
        row = auroc_row(score, fork, ~fork, Families(family), 30)
        covered += row["low"] <= 0.7602 <= row["high"]
    assert 182 <= covered <= 199


def test_depth_by_class_reads_its_table_and_says_what_it_found() -> None:
    count = 120
    classes = pl.DataFrame({
        "probe_id": [f"p{at}" for at in range(count)], "kinds": [[words.RANDOM]] * count,
        "family": [f"f{at % 20}" for at in range(count)], "written_by": ["base", SSD] * (count // 2),
        "token_class": [words.FORK if at % 3 == 0 else words.LOCK for at in range(count)],
    })  # fmt: skip
    rng = np.random.default_rng(0)
    deep = np.where((np.arange(count) % 3 == 0), 3, 2) + rng.integers(0, 2, count)
    depths = pl.DataFrame({"probe_id": classes["probe_id"], "model_id": "base", "depth": deep, "layers": 4})
    table = depth_by_class(classes, depths, 30)
    row = row_of(table, model_id="base", measure=words.DEPTH_AUROC)
    assert row["low"] > 0.5 and "depth goes with the class" in depth_sentence(table, "base")
    few = depth_by_class(classes, depths, 60)
    assert (
        row_of(few, model_id="base", measure=words.DEPTH_AUROC)["method"]
        == "no interval: 40 positions of the 60 needed"
    )
    with pytest.raises(UserError, match="depths of base: 1 positions are not in the plan"):
        depth_by_class(classes[1:], depths, 30)


def a_fit(fork: float, lock: float, rest: float, beyond: tuple[float, float]) -> pl.DataFrame:
    def row(measure: str, token_class: str, estimate: float, low: float, high: float) -> dict[str, object]:
        return {"arm": "ssd", "training_seeds": 1, "carriers": words.BY_ALL, "token_class": token_class,
                "position_kind": words.EVERY_KIND, "measure": measure, "decode_id": "t11", "estimate": estimate, "low": low,
                "high": high, "method": "t", "positions": 99, "n": 9}  # fmt: skip

    return pl.DataFrame([
        row(words.FIT_RATIO, words.FORK, fork, fork - 0.04, fork + 0.04),
        row(words.FIT_RATIO, words.LOCK, lock, lock - 0.03, lock + 0.03),
        row(words.REMAINDER, words.EVERY_CLASS, rest, rest - 0.1, rest + 0.1),
        row(words.FIT_BEYOND_NULL, words.EVERY_CLASS, 0.2, *beyond),
    ], schema=SSD_FIT)  # fmt: skip


def test_the_verdict_is_the_sentence_that_the_numbers_make() -> None:
    assert ssd_sentence(a_fit(0.31, 0.04, 0.6, (0.1, 0.3)), "ssd") == (
        "Training moved ssd towards the target of t11, 31 % [27, 35] of the way at forks and 4 % [1, 7] at locks; 60 % [50, 70] of "
        "the movement is not towards it. That is 20 % [10, 30] more of the way than the fixed point came."
    )
    away = ssd_sentences(a_fit(-0.5, 0.04, 1.0, (-0.1, 0.3)))[0]["sentence"]
    assert (
        "4 % [1, 7] of the way at locks, and away from it by 50 % [46, 54] at forks of the distance that there was"
        in away
    )
    assert away.endswith("came as near to it, as far as can be told.")


def test_locks_and_forks_have_a_sentence_an_arm(tmp_path: Path) -> None:
    laws = planted(np.random.default_rng(7), families=12)
    _, tables = tables_of(tmp_path, {"base": laws.log_p, SSD: normalised(1.1 * laws.log_p)}, laws.families)
    (said,) = lock_and_fork_sentences(tables.mechanism)
    assert (
        said["sentence"].startswith("ssd moved the likeliest token of locks by +")
        and "the entropy of forks by \u2212" in said["sentence"]
    )


def test_what_may_be_none_is_not_called_a_movement() -> None:
    said = ssd_sentence(a_fit(-0.5, 0.02, 0.6, (-0.1, 0.3)), "ssd")
    assert said.startswith(
        "Training moved ssd away from the target of t11, by 50 % [46, 54] at forks of the distance that there was"
    )
    assert "; 2 % [−1, 5] at locks of the way, which may be none; 60 % [50, 70] of the movement" in said
    said = ssd_sentence(a_fit(0.01, 0.02, 0.6, (-0.1, 0.3)), "ssd")
    assert said.startswith(
        "Training moved ssd towards the target of t11 by 1 % [−3, 5] at forks and 2 % [−1, 5] at locks of the way, which may be none;"
    )
