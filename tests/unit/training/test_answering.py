"""Who answers in a practice: the order of questions, requests, the journal, verdicts and advantages, whole files, replay."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from practice_fixture import SEARCHER, practice_settings, questions, untrained
from selfdistill.foundation.errors import UserError
from selfdistill.models.sizes import ModelSize
from selfdistill.study.practice import PracticeRecipe
from selfdistill.study.training import Lora
from selfdistill.tables.endings import CORRECT
from selfdistill.tables.practice import ROLLOUTS
from selfdistill.tables.streams import read_pieces
from selfdistill.training.practice.agreement import refuse_other_law
from selfdistill.training.practice.answering import share_of_memory
from selfdistill.training.practice.asking import plan_of
from selfdistill.training.practice.generations import Generations, rollout_source, set_aside
from selfdistill.training.practice.grading import advantages
from selfdistill.training.practice.objective import Batch
from selfdistill.training.practice.order import Order, covered, step_of
from selfdistill.training.practice.settings import PracticeSettings, practice_identity, with_engine


def order_of(settings: PracticeSettings, count: int) -> Order:
    return Order(covered(questions(count), settings.practice.coverage), settings.practice, settings.seed("order"))


# Which questions


def test_every_epoch_asks_every_problem_once_in_an_order_of_its_own() -> None:
    settings = practice_settings(practice={"questions": 4, "generations": 6})
    order = order_of(settings, 8)
    asked = [question.problem_id for generation in range(1, 7) for question in order.questions(generation)]
    epochs = [asked[:8], asked[8:16], asked[16:]]
    assert all(sorted(epoch) == sorted(questions(8)["problem_id"]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_few_problems_repeat_within_a_generation_and_are_drawn_anew_each_time() -> None:
    settings = practice_settings(practice={"questions": 8, "coverage": 3, "rollouts": 2, "generations": 3})
    order = order_of(settings, 10)
    asked = [question for generation in (1, 2, 3) for question in order.questions(generation)]
    assert len(asked) == 24 and {question.problem_id for question in asked} == {*questions(3)["problem_id"]}
    draws = [(each.problem_id, each.first_draw + draw) for each in asked for draw in range(2)]
    assert len({*draws}) == 48, "no draw is asked for twice"
    assert Counter(problem for problem, _ in draws) == dict.fromkeys(questions(3)["problem_id"], 16)
    assert {draw for _, draw in draws} == {*range(16)}, "draws count over the whole training, without a gap"


def test_the_order_is_found_again_at_any_generation() -> None:
    settings = practice_settings(practice={"questions": 5})
    whole, late = order_of(settings, 7), order_of(settings, 7)
    before = [whole.questions(generation) for generation in range(1, 9)]
    assert late.questions(8) == before[7] and late.questions(2) == before[1]


def test_another_training_seed_asks_in_another_order() -> None:
    orders = [order_of(practice_settings(training_seed=seed), 8).questions(1) for seed in (0, 1)]
    assert orders[0] != orders[1]


def test_each_update_learns_from_its_share_of_the_questions() -> None:
    recipe = practice_settings(practice={"questions": 6, "updates": 3}).practice
    assert [step_of(1, place, recipe) for place in range(6)] == [1, 1, 2, 2, 3, 3]
    assert [step_of(4, place, recipe) for place in range(6)] == [10, 10, 11, 11, 12, 12]


def test_no_question_at_all_and_too_wide_a_coverage_are_sentences() -> None:
    with pytest.raises(UserError, match="there is no question to practise on"):
        covered(questions(0), None)
    with pytest.raises(UserError, match=r"practice\.coverage: asks for 9 problems, but .* there are 8; lower it"):
        covered(questions(8), 9)


# Requests


def requests(policy: str = "p", **others: Any) -> list[str]:
    settings = practice_settings(**others)
    return plan_of(order_of(settings, 6).questions(1), policy, settings, 1)["request_id"].to_list()


def test_arms_with_one_seed_draw_the_same_answers_and_seeds_share_none() -> None:
    whole: dict[str, Any] = {"practice": {"questions": 6}}
    base = {*requests(**whole)}
    assert len(base) == 24
    assert {*requests(method="distil", arm="sdpo", **whole)} == base, "a paired design"
    assert base.isdisjoint(requests(training_seed=1, **whole))
    assert base.isdisjoint(requests(study_seed=6, **whole))
    assert base.isdisjoint(requests(policy="q", **whole))


def test_requests_are_dealt_to_the_ranks_like_cards() -> None:
    settings = practice_settings()
    plan = plan_of(order_of(settings, 6).questions(1), "p", settings, 3)
    assert plan["shard"].to_list() == [place % 3 for place in range(16)]
    assert plan["request_id"].to_list() == requests(), "who samples a request is not in its name"


# Advantages


def test_advantages_are_those_of_trl() -> None:
    import torch
    from trl.trainer.utils import nanstd

    rewards = pl.Series([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    groups = torch.tensor(rewards.to_list(), dtype=torch.float64).view(-1, 4)
    plain = (groups - torch.nanmean(groups, dim=1, keepdim=True)).flatten()
    scaled = plain / (nanstd(groups, dim=1).repeat_interleave(4) + 1e-4)
    assert advantages(rewards, 4, "none").to_list() == pytest.approx(plain.tolist(), abs=1e-12)
    assert advantages(rewards, 4, "group").to_list() == pytest.approx(scaled.tolist(), abs=1e-7)


@pytest.mark.parametrize("scale", ["none", "group"])
@pytest.mark.parametrize("rollouts", [1, 3, 7])
def test_a_flat_group_has_no_advantage(scale: Any, rollouts: int) -> None:
    flat = pl.Series([0.0] * rollouts + [1.0] * rollouts)
    assert advantages(flat, rollouts, scale).to_list() == [0.0] * 2 * rollouts


# A whole generation


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    """The work folder, and the rollouts of the first generation of 6 questions."""
    work = tmp_path_factory.mktemp("sampled") / "work"
    return work, one_generation(practice_settings(practice={"questions": 6}), work)


def one_generation(settings: PracticeSettings, work: Path, generation: int = 1) -> pl.DataFrame:
    asked = order_of(settings, 12).questions(generation)
    return rollout_source(settings, SEARCHER, work).rollouts(generation, asked, untrained)


def copied(work: Path, folder: Path) -> Path:
    """With the journal beside it."""
    shutil.copytree(work.with_name("work-rollouts"), folder / "work-rollouts")
    return Path(shutil.copytree(work, folder / "work"))


def test_a_generation_is_a_whole_file_in_the_order_of_questions_and_draws(sampled: tuple[Path, pl.DataFrame]) -> None:
    work, rows = sampled
    asked = order_of(practice_settings(practice={"questions": 6}), 12).questions(1)
    assert rows.schema == pl.Schema(ROLLOUTS) and rows.height == 24
    assert rows["problem_id"].to_list() == [each.problem_id for each in asked for _ in range(4)]
    assert rows["draw"].to_list() == [0, 1, 2, 3] * 6 and rows["step"].to_list() == [1] * 12 + [2] * 12
    assert pl.concat(read_pieces(work / "generations/0001.parquet", ROLLOUTS)).equals(rows)
    assert rows["reward"].to_list() == [float(verdict == CORRECT) for verdict in rows["verdict"]]
    assert 0 < rows["reward"].sum() < rows.height
    assert rows["teacher_ids"].null_count() == rows.height
    sums = rows.select(pl.col("logprobs").list.eval(pl.element().cast(pl.Float64)).list.sum())["logprobs"]
    assert sums.to_list() == pytest.approx(rows["logprob"].to_list(), abs=1e-4)
    assert rows["doubts"].sum() > 0 and (rows["doubts_thought"] <= rows["doubts"]).all()


def test_what_was_answered_is_not_sampled_again(
    sampled: tuple[Path, pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when the same training asks again, nor when other settings ask for what the journal holds."""
    from selfdistill.training.practice import answering

    work, rows = sampled
    own = copied(work, tmp_path)
    monkeypatch.setattr(answering, "start_engine", lambda *_: pytest.fail("nothing is left to sample"))
    assert one_generation(practice_settings(practice={"questions": 6}), own).equals(rows)
    damaged = own / "generations/0001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert one_generation(practice_settings(practice={"questions": 6}), own).equals(rows)
    shutil.rmtree(own)
    taught = one_generation(practice_settings("distil", {"questions": 6}, training_seed=0), own)
    assert taught.drop("teacher_ids").equals(rows.drop("teacher_ids"))
    assert taught["teacher_ids"].equals(rows["prompt_ids"].alias("teacher_ids"))


# Memory of a GPU that trainer and engine share


def test_the_engine_leaves_the_optimiser_its_room_and_too_little_is_a_sentence() -> None:
    """Qwen3-1.7B's shape on 80 GiB with 66 free: moments of 8 bytes a weight and 4 GiB are left."""
    size = ModelSize(1_720_000_000, 3_440_000_000, 311_000_000, 151_936, 28, 2048, 6144, 16, 2048)
    settings = practice_settings(context=22_528, sampling={"engine": "vllm", "precision": "bfloat16"})
    gib = 2**30
    assert share_of_memory(66 * gib, 80 * gib, size, settings) == pytest.approx((62 - 8 * 1.72e9 / gib) / 80, abs=1e-3)
    resumed = share_of_memory(53 * gib, 80 * gib, size, settings, updated=True)  # whose moments are there already
    assert resumed == pytest.approx(49 / 80, abs=1e-3)
    adapters = settings.model_copy(
        update={"training": settings.training.model_copy(update={"lora": Lora(rank=8, alpha=16)})}
    )
    assert share_of_memory(66 * gib, 80 * gib, size, adapters) == pytest.approx(62 / 80, abs=1e-3)
    with pytest.raises(
        UserError, match=r"practice\.turns: beside the trainer 5\.2 of the GPU's 80\.0 GiB are left for the engine"
    ):
        share_of_memory(22 * gib, 80 * gib, size, settings)


# Whether the engine answers with the student's weights


def micro_batch(apart: float, unknown: int = 0) -> Batch:
    """Two answers of 3 and 1 tokens, of which each is so far from what the trainer gives it; padding is further. Of so many
    the engine gave no probability."""
    import torch

    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    engine, zeros = torch.full((2, 3), -1.0), torch.zeros(2, 3)
    trainer = torch.where(mask.bool(), engine + apart, 50.0)
    engine[0, :unknown] = float("nan")
    ids = torch.ones(2, 3, dtype=torch.long)
    return Batch(
        prompt_ids=ids, prompt_mask=ids, completion_ids=ids, completion_mask=mask, places=mask.flatten().nonzero()[:, 0],
        advantages=zeros[:, 0], old_logps=zeros, old_plain_logps=trainer, engine_logps=engine, base_logps=None,
        teacher_ids=None, teacher_mask=None, taught=zeros[:, 0].bool(), step_sequences=2, step_tokens=4, step_taught=0,
    )  # fmt: skip


def agreed(batches: list[Batch], settings: PracticeSettings) -> None:
    refuse_other_law(batches, 2, settings, SEARCHER, lambda: "there")


def test_an_engine_that_answers_with_other_weights_is_noticed() -> None:
    settings = practice_settings()
    agreed([micro_batch(9e-5), micro_batch(-9e-5)], settings)
    for apart in (1.1e-4, float("nan")):
        with pytest.raises(
            UserError, match=r"generation 2: .* did not answer with the student's weights\..*\(there\).*turns: apart"
        ):
            agreed([micro_batch(apart)], settings)
    rough = settings.model_copy(update={"device": "cuda"})
    agreed([micro_batch(0.1)], rough)
    with pytest.raises(UserError, match="0.25 nats a token from the trainer's, and at most 0.2 is expected"):
        agreed([micro_batch(0.25)], rough)


def test_a_few_tokens_without_a_log_probability_are_left_out_and_many_are_refused() -> None:
    settings = practice_settings()
    agreed([micro_batch(9e-5)] * 24 + [micro_batch(9e-5, unknown=1)], settings)
    with pytest.raises(UserError, match="the engine's log-probabilities are 0.00011 nats"):
        agreed([micro_batch(1.1e-4)] * 24 + [micro_batch(1.1e-4, unknown=1)], settings)
    with pytest.raises(
        UserError, match=r"generation 2: the engine gave 1 of 96 tokens no log-probability\. .*\(there\)"
    ):
        agreed([micro_batch(0)] * 23 + [micro_batch(0, unknown=1)], settings)


def test_a_refused_generation_is_set_aside_and_asked_anew(sampled: tuple[Path, pl.DataFrame], tmp_path: Path) -> None:
    work = copied(sampled[0], tmp_path)
    journal = tmp_path / "work-rollouts/0001"
    for number in (1, 2):
        said = set_aside(work, 1)
        places = [work / f"generations/0001.parquet.refused-{number}", journal.with_name(f"0001.refused-{number}")]
        assert said == " and ".join(map(str, places)) and all(place.exists() for place in places)
        assert not (work / "generations/0001.parquet").exists() and not journal.exists()
        shutil.copytree(places[1], journal)
        shutil.copy(places[0], work / "generations/0001.parquet")


# What a run goes on from


def test_generations_that_are_gone_or_damaged_are_found_before_a_run_goes_on(
    sampled: tuple[Path, pl.DataFrame], tmp_path: Path
) -> None:
    generations = Generations(copied(sampled[0], tmp_path))
    assert generations.harm(1, 24, closely=True) is None
    assert generations.harm(1, 23, closely=False) == f"{generations.path(1)} holds 24 rollouts instead of 23"
    assert generations.harm(2, 24, closely=False) == f"{generations.path(2)} is gone"
    whole = generations.path(1).read_bytes()
    generations.path(1).write_bytes(whole[:-9])
    assert generations.harm(1, 24, closely=False) == f"{generations.path(1)} is damaged"
    generations.path(1).write_bytes(whole[:200] + bytes(64) + whole[264:])
    assert generations.harm(1, 24, closely=False) is None
    assert generations.harm(1, 24, closely=True) == f"{generations.path(1)} is damaged"


# What is another training


def identity(method: str, **others: Any) -> dict[str, Any]:
    return practice_identity(practice_settings(method, **others), {"model": "m", "dataset": "d"})


READ_BY: dict[str, list[dict[str, Any]]] = {
    "grpo": [{"clip": [0.1, 0.2]}, {"dual_clip": None}, {"scale_rewards": "group"}],
    "distil": [{"ratio_clip": None}, {"teacher": {"ema": 0.1}}, {"divergence": "reverse"}, {"support": None},
               {"tail": False}, {"token_clip": 0.1}],
}  # fmt: skip
READ_BY_BOTH: list[dict[str, Any]] = [
    {"generations": 3},
    {"rollouts": 8},
    {"coverage": 5},
    {"is_clip": None},
    {"prefix": 16},
]
READ_BY_NONE: list[dict[str, Any]] = [{"turns": "apart"}, {"base_kl": False}, {"decode": "other-name"}]


@pytest.mark.parametrize("method", ["grpo", "distil"])
def test_a_training_is_another_by_what_its_method_reads_and_by_nothing_else(method: str) -> None:
    keys = {name for change in [*READ_BY["grpo"], *READ_BY["distil"], *READ_BY_BOTH, *READ_BY_NONE] for name in change}
    assert keys | {"questions", "updates"} == PracticeRecipe.model_fields.keys()
    same = identity(method)
    for change in READ_BY[method] + READ_BY_BOTH:
        assert identity(method, practice=change) != same, change
    other = "distil" if method == "grpo" else "grpo"
    for change in READ_BY[other] + READ_BY_NONE:
        assert identity(method, practice=change) == same, change
    assert identity(method, grading={"seconds_per_answer": 3.0}) == same
    assert identity(method, grading={"answer": "line"}) != same
    assert (identity(method, prompt="{problem}!") == same) == (method == "grpo")


def test_another_engine_is_another_training_and_auto_is_the_one_that_it_takes() -> None:
    torch, vllm, auto = (
        with_engine(practice_settings(sampling={"engine": name}), SEARCHER) for name in ("torch", "vllm", "auto")
    )
    origin = {"model": "m"}
    assert practice_identity(auto, origin) == practice_identity(torch, origin) != practice_identity(vllm, origin)
    replays = [each.model_copy(update={"replays": "r"}) for each in (torch, vllm)]
    assert practice_identity(replays[0], origin) == practice_identity(replays[1], origin)
