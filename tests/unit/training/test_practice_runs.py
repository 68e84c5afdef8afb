"""Trainings on their own answers, whole: what they learn from, what a crash costs, and that a replay is the same training."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import polars as pl
import pytest
import torch

from conftest import ROOT
from practice_fixture import SEARCHER, practice_settings, questions
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.tables.practice import QUESTIONS, ROLLOUTS, UPDATES
from selfdistill.tables.training import NOISE, RUN_LOG
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.handover.steps import StepJournal
from selfdistill.training.practice.run import origin_of, practise_run
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.run import Stopped

pytestmark = pytest.mark.xdist_group("practice")

ASKED = 6  # so that an epoch ends inside the second generation
STEPS = 6
TOLD = {"wording": "{problem}\n{solution}\n\n{prompt}", "solution": "dataset"}
MOVING = {"generations": 3, "teacher": {"ema": 0.3}}


def chosen(method: str = "distil", practice: dict[str, Any] | None = None, **others: Any) -> PracticeSettings:
    training = {"lr": 3e-4, "lr_floor": 3e-4, "schedule": "constant", "micro_batch": 4, "warmup_steps": 1}
    training |= {"checkpoints": [33, 100], "weight_decay": 0.0, "measure_every": 2}
    teacher = {"teacher": TOLD} if method == "distil" else {}
    return practice_settings(method, practice or {}, **({"training": training} | teacher | others))


def practise(folder: Path, settings: PracticeSettings, **how: Any) -> Path:
    """Questions, out and work lie in the folder."""
    torch.set_num_threads(1)
    if not (folder / "questions.parquet").exists():
        write_table(questions(ASKED), folder / "questions.parquet", QUESTIONS)
    practise_run(SEARCHER, folder / "questions.parquet", settings, folder / "out", folder / "work", **how)
    return folder / "out"


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed training with a teacher that moves."""
    return practise(tmp_path_factory.mktemp("moving"), chosen(practice=MOVING))


def journalled(folder: Path) -> list[str]:
    """The request of every sample that any journal holds, as often as it holds it."""
    held: list[str] = []
    for path in (folder / "work-rollouts").rglob("journal-*/*"):
        if path.suffix == ".parquet":
            held += pl.read_parquet(path, columns=["request_id"])["request_id"].to_list()
        elif path.suffix == ".jsonl":
            held += [line.split('"request_id": "', 1)[1][:32] for line in path.read_text().splitlines()]
    return held


def assert_same_training(one: Path, other: Path) -> None:
    """Weights and tables bit for bit; only seconds and memory may differ."""
    for name in ("at-033", "at-100"):
        assert model_digest(one / name) == model_digest(other / name), name
    clocks = {"seconds", "device_bytes", "seconds_answering", "seconds_learning", "peak_bytes"}
    for file in ("log", "noise", "weights", "histograms", "coherence", "rollouts", "updates"):
        ours, theirs = (pl.read_parquet(folder / f"{file}.parquet") for folder in (one, other))
        assert ours.drop(clocks, strict=False).equals(theirs.drop(clocks, strict=False)), file
        assert ours.height, file


# What it learns from, and what it leaves


def test_every_rollout_and_update_is_told(moving: Path) -> None:
    rollouts, updates = (
        read_table(moving / "rollouts.parquet", ROLLOUTS),
        read_table(moving / "updates.parquet", UPDATES),
    )
    assert rollouts["generation"].to_list() == [1] * 16 + [2] * 16 + [3] * 16
    assert rollouts["step"].to_list() == [step for step in range(1, STEPS + 1) for _ in range(8)]
    assert rollouts["request_id"].n_unique() == rollouts.height == 48
    assert rollouts.group_by("problem_id").agg(pl.col("draw").n_unique() == pl.len())["draw"].all()
    assert rollouts["policy"].n_unique() == 3 and rollouts["policy"][0] == model_digest(SEARCHER)
    assert updates["step"].to_list() == list(range(1, STEPS + 1)) and updates["generation"].to_list() == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    assert updates["engine_difference_largest"].max() < 1e-3  # type: ignore[operator]
    assert updates["base_kl"][0] == pytest.approx(0, abs=1e-6) and updates["base_kl"][5] != 0
    assert updates["taught"].to_list() == [1.0] * STEPS
    log = read_table(moving / "log.parquet", RUN_LOG)
    learnt = rollouts.group_by("step", maintain_order=True).agg(pl.col("n_tokens").sum(), pl.len().alias("n"))
    assert log["tokens"].to_list() == learnt["n_tokens"].to_list() and log["sequences"].to_list() == [8] * STEPS
    assert log["effective_sequences"].to_list() == [8.0] * STEPS
    manifest = json.loads((moving / "manifest.json").read_text())
    assert manifest["weighing"] == "sequences" and manifest["method"] == "distil" and manifest["steps"] == STEPS
    assert {"rollouts.parquet", "updates.parquet"} <= manifest["tables"].keys()


def test_a_moving_teacher_moves_once_a_generation(moving: Path) -> None:
    distances = read_table(moving / "updates.parquet", UPDATES)["teacher_distance"].to_list()
    assert distances[0] == 0 and distances[1] > 0 and distances[1] == distances[2] and distances[3] == distances[4]


@pytest.fixture(scope="module")
def rewarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reinforced in one update of each of two generations."""
    hot = {"temperature": 1.5, "max_tokens": 160}
    return practise(tmp_path_factory.mktemp("rewarded"), chosen("grpo", {"updates": 1, "dual_clip": None}, decode=hot))


def test_the_first_gradient_of_grpo_is_that_of_its_advantages(rewarded: Path) -> None:
    """Against autograd on plain logits, each sequence alone: a mean over sequences of means over tokens of −A log p at the
    temperature of the rollouts; its norm by micro-batch too. A flat group adds nothing."""
    from selfdistill.training.trainer.model import load_model

    rows = read_table(rewarded / "rollouts.parquet", ROLLOUTS).filter(pl.col("generation") == 1)
    groups = rows.group_by("problem_id", maintain_order=True).agg(pl.col("reward"), pl.col("advantage"))
    for rewards, advantages in groups.select("reward", "advantage").iter_rows():
        assert advantages == pytest.approx([reward - sum(rewards) / len(rewards) for reward in rewards])
    assert (rows["advantage"] != 0).any(), "a test that cannot fail"
    model = load_model(SEARCHER).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    micro: list[float] = []
    whole = [torch.zeros_like(weight) for weight in weights]
    for piece in rows.iter_slices(4):
        loss = torch.zeros(())
        for prompt, answer, advantage in piece.select("prompt_ids", "token_ids", "advantage").iter_rows():
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1] / 1.5
            logps = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])
            loss = loss - advantage * logps.mean() / rows.height
        gradients = torch.autograd.grad(loss, weights)
        micro.append(sum(float((each.double() ** 2).sum()) for each in gradients))
        for total, each in zip(whole, gradients, strict=True):
            total += each
    noise = read_table(rewarded / "noise.parquet", NOISE).filter(pl.col("step") == 1)
    found = (
        noise.group_by("micro_batch").agg(pl.col("norm_squared").sum(), pl.col("sequences").first()).sort("micro_batch")
    )
    expected = [sum(float((each.double() ** 2).sum()) for each in whole), *micro]
    assert found["norm_squared"].to_list() == pytest.approx(expected, rel=1e-3, abs=1e-12)
    assert found["sequences"].to_list() == [16, 4, 4, 4, 4]
    assert read_table(rewarded / "updates.parquet", UPDATES)["engine_difference_largest"].max() < 1e-3  # type: ignore[operator]


def test_a_teacher_that_is_told_nothing_teaches_nothing(tmp_path: Path) -> None:
    """With adapters too, where teacher and base are the student without them."""
    usual: dict[str, Any] = {"lr": 1e-3, "lr_floor": 1e-3, "micro_batch": 4, "weight_decay": 0.0, "checkpoints": [100]}
    for number, training in enumerate((usual, usual | {"lora": {"rank": 2, "alpha": 4}})):
        few = {"generations": 1, "questions": 2, "updates": 1}
        settings = chosen(practice=few, teacher={}, training=training)
        folder = tmp_path / str(number)
        folder.mkdir()
        out = practise(folder, settings)
        log, updates = read_table(out / "log.parquet", RUN_LOG), read_table(out / "updates.parquet", UPDATES)
        assert abs(log["loss"][0]) <= 1e-7 and log["grad_norm"][0] <= 1e-8
        assert updates["taught"].to_list() == [1.0] and updates["base_kl"][0] == pytest.approx(0, abs=1e-7)
        assert read_table(out / "rollouts.parquet", ROLLOUTS)["teacher_ids"].null_count() == 0


def test_a_frozen_model_answers_the_same_from_half_the_memory() -> None:
    """Under autocast, which a GPU trains with: bit for bit. The trainer wraps its own model alone, so a frozen one brings it."""
    from selfdistill.training.practice.teacher import Frozen, halve
    from selfdistill.training.trainer.model import load_model

    whole, halved = load_model(SEARCHER).eval(), load_model(SEARCHER).eval()
    halve(halved)
    ids = torch.tensor([questions(1)["prompt_ids"][0].to_list()])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        students = whole(input_ids=ids).logits
    with Frozen(halved, rounds=True).answering() as teacher:
        teachers = teacher(input_ids=ids).logits
    assert torch.equal(students, teachers) and {str(each.dtype) for each in halved.parameters()} == {
        "torch.bfloat16",
        "torch.float32",
    }


def test_a_frozen_teacher_is_asked_what_it_can_do_while_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU its matrices are rounded, and without autocast it would answer nothing."""
    from selfdistill.training.objectives.choice import objective_of
    from selfdistill.training.practice import teacher

    monkeypatch.setattr(teacher, "is_halved", lambda settings: True)
    settings = chosen(practice={"generations": 1, "questions": 2, "updates": 1}, teacher={})
    objective = objective_of(settings.method, settings.practice, 1.0)
    found = teacher.fellows(None, SEARCHER, settings, objective).teacher
    assert isinstance(found, teacher.Frozen) and found.rounds
    assert "torch.bfloat16" in {str(each.dtype) for each in found.model.parameters()}


# What a run goes on from

SMALL = {"generations": 2, "questions": 2, "updates": 1}
SHORT = {"temperature": 1.0, "max_tokens": 48}


def test_a_refused_generation_does_not_refuse_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from selfdistill.training.practice import agreement

    settings = chosen("grpo", SMALL | {"generations": 1}, decode=SHORT)
    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"set aside \(.*/0001\.parquet\.refused-1 and"):
        patch.setattr(agreement, "limit_of", lambda *_: -1.0)
        practise(tmp_path, settings)
    held = journalled(tmp_path)
    assert len(held) == 8 and not (tmp_path / "work-rollouts/0001").exists()
    practise(tmp_path, settings)
    assert sorted(journalled(tmp_path)) == sorted(held * 2)


def test_a_run_does_not_go_on_after_a_generation_that_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, steps = chosen("grpo", SMALL, decode=SHORT), StepJournal(tmp_path / "work/steps.jsonl")
    with pytest.raises(Stopped, match="after step 1 of 2, at the end of generation 1"):
        practise(tmp_path, settings, stop_requested=lambda: len(steps.rows()) == 1)
    damaged = tmp_path / "work/generations/0001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    out, said = practise(tmp_path, settings), capsys.readouterr().err
    assert f"cannot be used: {damaged} is damaged. It was set aside as {tmp_path / 'work.damaged-1'}" in said
    held = journalled(tmp_path)
    assert len(held) == len(set(held)) == read_table(out / "rollouts.parquet", ROLLOUTS).height == 16


def test_the_text_of_a_teachers_template_is_in_the_identity(tmp_path: Path) -> None:
    template, origins = tmp_path / "chat.jinja", []
    for text in ("{{ messages }}", "{{ messages }}", "{{ messages }}."):
        template.write_text(text)
        origins.append(origin_of(SEARCHER, questions(1), chosen(teacher={"template": str(template)})))
    assert origins[0] == origins[1] != origins[2] and "template" not in origin_of(SEARCHER, questions(1), chosen())


# What it refuses before anything is asked


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"practice": {"updates": 3}}, r"practice.updates: 3 does not divide practice.questions \(4\)"),
        ({"training": {"micro_batch": 3}}, "training.micro_batch: 3 on 1 processes does not divide the 8 rollouts"),
        ({"training": {"activations": "offload"}}, "training.activations: offload is not for arms that practise"),
        ({"training": {"collation": "padding-free"}}, "training.collation: padding-free is not for arms that practise"),
        (
            {"practice": {"teacher": {"ema": 0.1}}, "training": {"lora": {"rank": 2, "alpha": 4}}},
            "practice.teacher: a moving teacher is not for adapters",
        ),
    ],
)
def test_what_cannot_be_practised_is_refused(changed: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    usual = {"lr": 3e-4, "lr_floor": 3e-4, "micro_batch": 4}
    settings = chosen(practice=changed.get("practice"), training=usual | changed.get("training", {}))
    with pytest.raises(UserError, match=complaint):
        practise(tmp_path, settings)
    assert not (tmp_path / "work").exists()


# Replay


def test_a_replay_is_the_same_training_without_an_engine(
    moving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfdistill.training.practice import answering

    monkeypatch.setattr(answering, "sample_shard", None)
    rollouts = moving / "rollouts.parquet"
    assert_same_training(practise(tmp_path, chosen(practice=MOVING), replay=rollouts), moving)
    assert json.loads((tmp_path / "out/manifest.json").read_text())["settings"]["replays"]


def test_another_objective_learns_from_the_same_rollouts(moving: Path, tmp_path: Path) -> None:
    out = practise(tmp_path, chosen("grpo", {"generations": 3}), replay=moving / "rollouts.parquet")
    ours, theirs = (read_table(folder / "rollouts.parquet", ROLLOUTS) for folder in (out, moving))
    assert ours.drop("teacher_ids", "told_by").equals(theirs.drop("teacher_ids", "told_by"))
    assert ours["teacher_ids"].null_count() == ours.height
    assert model_digest(out / "at-100") != model_digest(moving / "at-100")


def test_a_replay_of_other_questions_is_refused(moving: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers other questions than this training asks"):
        practise(tmp_path, chosen("grpo", {"coverage": 5}), replay=moving / "rollouts.parquet")


# On several processes


def test_two_ranks_answer_and_learn_as_one(moving: Path, tmp_path: Path) -> None:
    """One generation: the next would ask a policy whose last bits are others, and so draw anew."""
    settings = chosen(practice=MOVING | {"generations": 1}).model_copy(update={"processes": 2})
    done = program(tmp_path, settings)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("practising distil: 1 generations of 2 steps") == 1 == done.stderr.count("step 2/2")
    assert_one_generation_as(moving, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_trainer_and_samplers_take_turns(processes: int, moving: Path, tmp_path: Path) -> None:
    """The trainer ends for its samplers and is started again: the same answers and updates."""
    recipe = MOVING | {"generations": 1, "turns": "apart"}
    done = program(tmp_path, chosen(practice=recipe).model_copy(update={"processes": processes}))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("practising distil: 1 generations of 2 steps") == 2
    assert_one_generation_as(moving, tmp_path / "out")


def program(folder: Path, settings: PracticeSettings) -> subprocess.CompletedProcess[str]:
    write_table(questions(ASKED), folder / "questions.parquet", QUESTIONS)
    command = [sys.executable, str(ROOT / "workflow_scripts/practice.py"), "--model", str(SEARCHER), "--study", "small"]
    command += ["--settings", settings.model_dump_json(), "--questions", str(folder / "questions.parquet"), "--replay"]
    command += ["--out", str(folder / "out"), "--work", str(folder / "work")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


def assert_one_generation_as(moving: Path, out: Path) -> None:
    first = pl.col("generation") == 1
    rows = [read_table(folder / "rollouts.parquet", ROLLOUTS).filter(first) for folder in (moving, out)]
    same = ["request_id", "draw", "token_ids", "verdict", "reward", "advantage", "teacher_ids", "told_by", "step"]
    assert rows[0].select(same).equals(rows[1].select(same)) and rows[0].height == 16
    for name, schema, columns in (
        ("log", RUN_LOG, ("loss", "entropy", "grad_norm", "tokens", "sequences")),
        ("updates", UPDATES, ("divergence", "teacher_kl", "taught", "is_mean", "teacher_distance")),
        ("noise", NOISE, ("norm_squared", "sequences")),
    ):
        tables = [read_table(folder / f"{name}.parquet", schema) for folder in (moving, out)]
        for column in columns:
            single, double = (table.filter(pl.col("step") <= 2)[column].to_list() for table in tables)
            assert double == pytest.approx(single, rel=1e-3, abs=1e-9), column
    assert_close(moving / "at-033", out / "at-100")


def assert_close(one: Path, other: Path) -> None:
    from safetensors.torch import load_file

    single, double = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert single.keys() == double.keys()
    assert all(torch.allclose(single[key], double[key], rtol=0, atol=2e-5) for key in single)


# Whatever ends it

# Each process is forked from one that has imported all of it, which takes longer than a training.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["practice_fixture", "selfdistill.training.practice.trainer"])


def killed_when(patched: Any, method: str, due: Callable[..., bool], number: int) -> None:
    original = getattr(patched, method)

    def failing(self: Any, *args: Any) -> Any:
        if due(self, *args):
            os.kill(os.getpid(), number)
        return original(self, *args)

    setattr(patched, method, failing)


def failing_practice(folder: str, settings: PracticeSettings, where: str) -> None:
    """In a process of its own, which ends itself there."""
    from selfdistill.sampling.journal.journal import Journal
    from selfdistill.training.practice.trainer import PractisingTrainer

    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    appended = iter(range(10**6))
    match where:
        case "inside a generation":
            inside = lambda self, record: self.folder.parent.name == "0002" and next(appended) == 5  # noqa: E731
            killed_when(Journal, "append", inside, signal.SIGKILL)
        case "between updates":
            killed_when(
                PractisingTrainer, "_clip_grad_norm", lambda self, _: self.state.global_step == 3, signal.SIGKILL
            )
        case "at a generation's end":
            killed_when(
                PractisingTrainer,
                "_save_optimizer_and_scheduler",
                lambda self, _: self.state.global_step == 4,
                signal.SIGKILL,
            )
    practise(Path(folder), settings)


def test_whatever_kills_a_training_costs_no_rollout_and_no_bit(
    moving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 inside a generation in which an epoch ends, between its updates, and in the middle of its checkpoint; a moving
    teacher comes back as it was."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # which the one that imports is not told otherwise
    settings, ends = chosen(practice=MOVING), []
    for where in ("inside a generation", "between updates", "at a generation's end"):
        process = PROCESSES.Process(target=failing_practice, args=(str(tmp_path), settings, where))
        process.start()
        process.join(600)
        ends.append(process.exitcode)
        held = journalled(tmp_path)
        assert len(held) == len(set(held)) == (21 if where == "inside a generation" else 32), where
    assert ends == [-signal.SIGKILL] * 3
    assert (tmp_path / "work/checkpoint-2").is_dir() and not (tmp_path / "work/checkpoint-4").exists()
    steps = StepJournal(tmp_path / "work/steps.jsonl")
    with pytest.raises(
        Stopped, match="after step 3 of 6, inside generation 2, of which no step is kept but every rollout"
    ):
        practise(tmp_path, settings, stop_requested=lambda: len(steps.rows()) == 3)
    out = practise(tmp_path, settings)
    held = journalled(tmp_path)
    assert sorted(held) == sorted(read_table(out / "rollouts.parquet", ROLLOUTS)["request_id"])
    assert_same_training(out, moving)
