"""Rollouts through processes: killed ones, samplers beside a trainer and in turns with it; replay; and whose log-probabilities."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from conftest import ENVIRONMENT, PATIENCE, ROOT
from extend_examples import torch_plugged
from practice_fixture import SEARCHER, practice_settings, questions, untrained
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.journal.segments import Lines
from selfdistill.sampling.requests import Given
from selfdistill.sampling.sampler import SamplerSettings, start_engine
from selfdistill.tables.practice import ROLLED, ROLLOUTS
from selfdistill.tables.streams import read_pieces
from selfdistill.training.practice.answering import AnsweringBeside
from selfdistill.training.practice.apart import AnswersWanted, answer_apart
from selfdistill.training.practice.generations import (
    Generations,
    ReplayedRollouts,
    SampledRollouts,
    journals_of,
    rollout_source,
)
from selfdistill.training.practice.order import Order
from selfdistill.training.practice.rollouts import Policy, Question
from selfdistill.training.practice.sampler_process import PYTHON, SamplerProcess
from selfdistill.training.practice.settings import PracticeSettings, as_told
from selfdistill.training.practice.wanted import Share
from selfdistill.training.run import Stopped

SIBLING = {"wording": "sdpo", "solution": "sibling", "over_length": "skip"}
SETTINGS = practice_settings(practice={"questions": 6})


def asked(settings: PracticeSettings, generation: int) -> list[Question]:
    return Order(questions(8), settings.practice, settings.seed("order")).questions(generation)


def answered(settings: PracticeSettings, work: Path, generation: int = 1) -> pl.DataFrame:
    return rollout_source(settings, SEARCHER, work).rollouts(generation, asked(settings, generation), untrained)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[pl.DataFrame]]:
    """Two generations sampled in this process: the work folder, and their rollouts."""
    work = tmp_path_factory.mktemp("whole") / "work"
    return work, [answered(SETTINGS, work, generation) for generation in (1, 2)]


def lasting(rows: pl.DataFrame) -> pl.DataFrame:
    """All but the time that it took."""
    return rows.drop("seconds")


def test_the_engines_log_probabilities_are_those_of_the_trainers_model(whole: tuple[Path, list[pl.DataFrame]]) -> None:
    """In float32 on the lab's model to 1.5e-5, where an export may differ by 1e-3."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(SEARCHER, dtype=torch.float32)
    largest = 0.0
    for prompt, tokens, logprobs in whole[1][0].select("prompt_ids", "token_ids", "logprobs").iter_rows():
        ids = torch.tensor([prompt + tokens])
        with torch.no_grad():
            law = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        own = law.gather(1, ids[0, len(prompt) :, None])[:, 0]
        largest = max(largest, float((own - torch.tensor(logprobs)).abs().max()))
    assert largest < 1e-4


# Kills itself when the ninth answer is on disk.
PROGRAM = """
import os, signal, sys
sys.path[:0] = [{here!r}, {tests!r}]
from pathlib import Path
from test_samplers_apart import SETTINGS, answered
from selfdistill.sampling.journal.journal import Journal
import torch
torch.set_num_threads(1)
append, written = Journal.append, []
def killed(self, record):
    append(self, record)
    written.append(record)
    if len(written) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.append = killed
answered(SETTINGS, Path(sys.argv[1]))
"""


def test_a_killed_sampler_loses_no_answer_samples_none_twice_and_ends_with_the_same_bits(
    whole: tuple[Path, list[pl.DataFrame]], tmp_path: Path
) -> None:
    program = PROGRAM.format(here=str(Path(__file__).parent), tests=str(ROOT / "tests"))
    command = [sys.executable, "-c", program, str(tmp_path / "work")]
    journal = tmp_path / "work-rollouts/0001/journal-0"
    process = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    paid_for = lines_in(journal)
    assert len(paid_for) == 9
    assert not (tmp_path / "work/generations").exists(), "a generation is whole or not there"
    rows = answered(SETTINGS, tmp_path / "work")
    assert lasting(rows).equals(lasting(whole[1][0]))
    assert len(lines_in(journal)) == rows.height == rows["request_id"].n_unique()
    kept = dict(rows.select("request_id", pl.col("seconds").cast(pl.String)).iter_rows())
    assert paid_for.items() <= kept.items(), "what was paid for is what is learnt from"


def lines_in(journal: Path) -> dict[str, str]:
    """Request → seconds, which no two samplings share, of all that the journal holds."""
    found: list[pl.DataFrame] = []
    if journal.is_dir():
        for path in sorted(journal.glob("0*")):
            pieces = Lines(path, ROLLED).samples() if path.suffix == ".jsonl" else read_pieces(path, ROLLED)
            found += [piece.select("request_id", pl.col("seconds").cast(pl.String)) for piece in pieces]
    rows = [row for piece in found for row in piece.iter_rows()]
    assert len(rows) == len({request for request, _ in rows})
    return dict(rows)


def test_a_sampler_that_is_asked_to_stop_keeps_what_it_has(
    whole: tuple[Path, list[pl.DataFrame]], tmp_path: Path
) -> None:
    few_at_once = SETTINGS.model_copy(update={"sampling": SETTINGS.sampling.model_copy(update={"batch": 2})})
    work, journal = tmp_path / "work", tmp_path / "work-rollouts/0001/journal-0"
    stopping = rollout_source(few_at_once, SEARCHER, work, stop_requested=lambda: len(lines_in(journal)) == 3)
    with pytest.raises(Stopped, match="every answer that was finished is kept"):
        stopping.rollouts(1, asked(SETTINGS, 1), untrained)
    paid_for = lines_in(journal)
    assert len(paid_for) == 3
    assert lasting(answered(few_at_once, work)).equals(lasting(whole[1][0])), "whoever shares a batch changes no bit"
    assert paid_for.items() <= lines_in(journal).items()


# Samplers beside the trainer, and in turns


def test_a_sampler_beside_the_trainer_answers_as_one_within_it(
    whole: tuple[Path, list[pl.DataFrame]], tmp_path: Path
) -> None:
    beside = AnsweringBeside(SETTINGS, SEARCHER)
    source = SampledRollouts(SETTINGS, SEARCHER, tmp_path / "work", beside)
    for generation in (1, 2):
        rows = source.rollouts(generation, asked(SETTINGS, generation), untrained)
        assert lasting(rows).equals(lasting(whole[1][generation - 1]))
    assert beside._sampler is not None
    beside._sampler.close()
    assert beside._sampler._process.returncode == 0


def test_a_plugged_engine_answers_a_trainer_itself_and_its_new_weights(
    whole: tuple[Path, list[pl.DataFrame]], tmp_path: Path
) -> None:
    """It wraps the torch engine and cannot rest, so that it is started for every generation."""
    sampling = SETTINGS.sampling.model_copy(update={"engine": torch_plugged(tmp_path)})
    settings = SETTINGS.model_copy(update={"sampling": sampling})
    policy, moved = tmp_path / "policy", tmp_path / "moved"
    shutil.copytree(SEARCHER, policy)
    source = rollout_source(settings, SEARCHER, tmp_path / "work")
    assert isinstance(source, SampledRollouts) and isinstance(source.answering, AnsweringBeside)
    rows = source.rollouts(1, asked(settings, 1), lambda: untrained(policy))
    assert {*rows["engine"]} == {"torch-plugged"}
    same = lasting(rows).drop("engine", "engine_version")
    assert same.equals(lasting(whole[1][0]).drop("engine", "engine_version"))
    weights = load_file(policy / "model.safetensors")
    scaled = {name: tensor * 1.02 for name, tensor in weights.items()}
    save_file(scaled, policy / "model.safetensors", metadata={"format": "pt"})
    shutil.copytree(policy, moved)
    rows = source.rollouts(2, asked(settings, 2), lambda: untrained(policy))
    assert difference(rows, moved) < 1e-4 < 0.05 < difference(rows, SEARCHER)
    source.answering._sampler.close()  # type: ignore[union-attr]


def test_a_manifest_says_which_plugged_engine_answered_and_not_where_it_lies(tmp_path: Path) -> None:
    sampling = SETTINGS.sampling.model_copy(update={"engine": torch_plugged(tmp_path)})
    told = as_told(SETTINGS.model_copy(update={"sampling": sampling}))
    assert re.fullmatch(r"torch-plugged#[0-9a-f]{16}", told["sampling"]["engine"])
    assert told | {"sampling": None} == SETTINGS.model_dump() | {"sampling": None}


def test_in_turns_the_trainer_ends_until_samplers_have_answered(
    whole: tuple[Path, list[pl.DataFrame]], tmp_path: Path
) -> None:
    apart = practice_settings(practice={"questions": 6, "turns": "apart"})
    work = tmp_path / "work"
    with pytest.raises(AnswersWanted):
        answered(apart, work)
    with pytest.raises(Stopped, match="every answer that was finished is kept"):
        answer_apart(journals_of(work), apart, stop_requested=lambda: True)
    with pytest.raises(AnswersWanted):
        answered(apart, work)
    answer_apart(journals_of(work), apart)
    assert lasting(answered(apart, work)).equals(lasting(whole[1][0]))
    with pytest.raises(AnswersWanted):
        answered(apart, work, 2)
    (journals_of(work) / "0002/shard-0.parquet").write_bytes(b"torn")
    with pytest.raises(AnswersWanted):
        answered(apart, work, 2)


def test_a_sampler_that_refuses_or_is_lost_is_a_sentence(tmp_path: Path) -> None:
    apart = practice_settings(practice={"questions": 6, "turns": "apart"})
    with pytest.raises(AnswersWanted):
        answered(apart, tmp_path / "work")
    share = Share(journals_of(tmp_path / "work") / "0001", tmp_path / "gone", 0)
    sampler = SamplerProcess(apart, None)
    with pytest.raises(UserError, match="gone"):
        sampler.answer(share)
    os.kill(sampler._process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"the sampler ended with SIGKILL .*what it answered is kept"):
        sampler.answer(share)
    sampler.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_sampler_that_ends_when_a_stop_was_asked_for_is_no_loss(number: int, tmp_path: Path) -> None:
    """Ctrl-C reaches it too, while it still imports and cannot say so."""
    share = Share(tmp_path / "0001", tmp_path, 0)
    sampler = SamplerProcess(SETTINGS, None)

    def stop_requested() -> bool:
        sampler._process.send_signal(number)
        return True

    for _ in ("while it is listened to", "before it is asked"):
        assert sampler.answer(share, stop_requested)
    sampler.close()


@pytest.mark.slow
@pytest.mark.xdist_group("vllm")
def test_vllm_takes_a_new_policy_without_being_started_anew(
    tmp_path: Path, vllm_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second generation is sampled from other weights in the same folder, and the torch engine agrees with these alone."""
    monkeypatch.setenv(PYTHON, vllm_python)
    settings = practice_settings(practice={"questions": 4}, sampling={"engine": "vllm", "batch": 16})
    policy = tmp_path / "policy"
    shutil.copytree(SEARCHER, policy)
    source = rollout_source(settings, SEARCHER, tmp_path / "work")
    assert isinstance(source, SampledRollouts) and isinstance(source.answering, AnsweringBeside)
    source.rollouts(1, asked(settings, 1), lambda: untrained(policy))
    weights = load_file(policy / "model.safetensors")
    changed = {name: tensor * 1.02 for name, tensor in weights.items()}  # the embedding too, which is also the head
    save_file(changed, policy / "model.safetensors", metadata={"format": "pt"})
    rows = source.rollouts(2, asked(settings, 2), lambda: untrained(policy))
    assert {*rows["engine"]} == {"vllm"} and difference(rows, policy) < 1e-4 < 0.05 < difference(rows, SEARCHER)


def difference(rows: pl.DataFrame, model: Path) -> float:
    """The largest between the log-probabilities of the rows and those that the torch engine gives with these weights."""
    engine = start_engine(model, "torch", SamplerSettings("torch", "float32", 640)).engine
    given = [Given(*row) for row in rows.select("request_id", "prompt_ids", "token_ids").iter_rows()]
    pairs = zip(engine.score(given), rows["logprobs"].to_list(), strict=True)
    return max(abs(one - other) for scored, sampled in pairs for one, other in zip(scored, sampled, strict=True))


# Replay


def replayed(settings: PracticeSettings, file: Path, work: Path, generation: int) -> pl.DataFrame:
    source = ReplayedRollouts(settings, SEARCHER, work, file)
    return source.rollouts(generation, asked(settings, generation), no_policy)


def no_policy() -> Policy:
    pytest.fail("a replay exports nothing")


def test_a_replay_gives_the_same_rollouts_and_another_arm_its_own_lessons(
    whole: tuple[Path, list[pl.DataFrame]], tmp_path: Path
) -> None:
    work, sampled = whole
    file = tmp_path / "rollouts.parquet"
    Generations(work).together(file, 2)
    assert pl.concat(read_pieces(file, ROLLOUTS)).equals(pl.concat(sampled))
    for generation in (1, 2):
        assert replayed(SETTINGS, file, tmp_path / "same", generation).equals(sampled[generation - 1])
    sdpo = practice_settings("distil", {"questions": 6, "updates": 3}, teacher=SIBLING)
    own = ("step", "advantage", "teacher_ids", "told_by")
    lessons = replayed(sdpo, file, tmp_path / "sdpo", 2)
    assert lessons.drop(own).equals(sampled[1].drop(own))
    assert lessons["step"].to_list() == [4] * 8 + [5] * 8 + [6] * 8
    assert lessons["teacher_ids"].null_count() < 24 == sampled[1]["teacher_ids"].null_count()
    assert Generations(tmp_path / "sdpo").read(2).equals(lessons), "a replay has a file of rollouts of its own"


def test_a_replay_of_other_questions_or_too_few_generations_is_refused(
    whole: tuple[Path, list[pl.DataFrame]], tmp_path: Path
) -> None:
    file = tmp_path / "rollouts.parquet"
    Generations(whole[0]).together(file, 2)
    with pytest.raises(UserError, match="generation 1 answers other questions than this training asks"):
        replayed(practice_settings(practice={"questions": 6}, training_seed=3), file, tmp_path / "work", 1)
    for other in (pl.lit("7").alias("gold"), pl.col("prompt_ids").list.reverse()):
        changed = tmp_path / "changed.parquet"
        pl.read_parquet(file).with_columns(other).write_parquet(changed)
        with pytest.raises(UserError, match="generation 1 answers other questions .* with their right answers"):
            replayed(SETTINGS, changed, tmp_path / "work", 1)
    with pytest.raises(UserError, match=r"holds 2 generations and practice\.generations asks for 5; lower it"):
        replayed(practice_settings(practice={"questions": 6, "generations": 5}), file, tmp_path / "work", 1)
