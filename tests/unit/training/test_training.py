"""A training run on a tiny random model: what it learns from, what it measures, and what a crash costs."""

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import numpy as np
import polars as pl
import pytest
import torch

import exported_models
from selfdistill.analysis.noise import noise_steps, noise_summary
from selfdistill.analysis.weight_change import weight_change
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import TOKENIZER_FILES, model_digest
from selfdistill.tables.training import DATASET, NOISE, RUN_LOG, TRAINED_LOGPROBS, WEIGHTS
from selfdistill.tables.whole import read_table
from selfdistill.training.examples.rows import example_order, training_order
from selfdistill.training.handover.exports import BASE_LOGPROBS_FILE, TRAINED_LOGPROBS_FILE, export_model
from selfdistill.training.handover.steps import StepJournal
from selfdistill.training.instruments.groups import grouped_parameters
from selfdistill.training.run import Stopped, export_steps, train_run
from selfdistill.training.settings import RunSettings
from selfdistill.training.trainer.configuration import learning_rate
from selfdistill.training.trainer.model import load_model
from training_fixture import (
    BATCH,
    EXAMPLES,
    MICRO,
    STEPS,
    assert_same_results,
    settings,
    trainer_for,
    training_command,
)

pytestmark = pytest.mark.xdist_group("trainer")


@pytest.fixture(scope="session")
def finished(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("run")
    train_run(model, dataset, settings(), folder / "out", folder / "work")
    return folder / "out"


# What it learns from


def test_the_loss_lies_on_the_completion_and_its_end_and_on_nothing_else(
    model: Path, dataset: Path, tmp_path: Path
) -> None:
    """Read off the batches that TRL really feeds to the model."""
    trainer = trainer_for(model, dataset, tmp_path, settings())
    supervised, seen = [], []
    for batch in trainer.get_train_dataloader():
        widest = int(batch["attention_mask"].sum(1).max())
        assert batch["input_ids"].shape[1] == widest  # padded to its own longest row and no further
        for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
            supervised.append(labels[labels != -100].tolist())
            seen.append(ids[mask.bool()].tolist())
            assert (labels[0] == -100) and torch.equal(labels[labels != -100], ids[labels != -100])
    rows = read_table(dataset, DATASET)
    tokenizer = trainer.processing_class
    expected = rows["completion_ids"].to_list()
    assert supervised == expected
    assert [tokenizer.decode(ids) for ids in supervised] == [tokenizer.decode(ids) for ids in expected]
    assert seen == [p + c for p, c in rows.select("prompt_ids", "completion_ids").iter_rows()]


def test_a_composite_model_learns_by_the_same_loss(model: Path, dataset: Path, tmp_path: Path) -> None:
    """Qwen3.5's class, whose vision part stays as it is, takes steps on the mean over its supervised tokens."""
    source = exported_models.composite(tmp_path / "source")
    for name in TOKENIZER_FILES:
        if (model / name).is_file():
            shutil.copyfile(model / name, source / name)
    (source / "generation_config.json").write_text(json.dumps({"eos_token_id": 1}))
    chosen = settings(max_steps=3, warmup_steps=1)
    train_run(source, dataset, chosen, tmp_path / "out", tmp_path / "work")

    base, rows = load_model(source).eval(), read_table(dataset, DATASET)
    order = training_order(rows.height, chosen)[:BATCH]
    total, tokens = 0.0, 0
    with torch.no_grad():
        for prompt, completion in rows[order].select("prompt_ids", "completion_ids").iter_rows():
            logits = base(input_ids=torch.tensor([prompt + completion])).logits[0].float().log_softmax(-1)
            told = torch.tensor(completion)
            total -= float(logits[len(prompt) - 1 : -1].gather(1, told[:, None]).sum())
            tokens += len(completion)
    log = read_table(tmp_path / "out/log.parquet", RUN_LOG)
    assert log["loss"][0] == pytest.approx(total / tokens, rel=1e-5) and log.height == 3


def test_training_seeds_give_different_orders_and_no_shifted_copies() -> None:
    one, other = (example_order(200, 3, settings(training_seed=seed).seed("data order")) for seed in (0, 1))
    assert all(sorted(epoch) == list(range(200)) for epoch in one.reshape(3, 200))
    agreement = [np.mean(np.roll(one, shift) == other) for shift in range(600)]
    assert max(agreement) < 0.05
    assert not np.array_equal(one[:200], one[200:400])
    assert np.array_equal(one, example_order(200, 3, settings().seed("data order")))


def test_epochs_follow_each_other_and_the_last_step_is_logged_as_it_was(
    model: Path, dataset: Path, tmp_path: Path
) -> None:
    train_run(model, dataset, settings(epochs=2, micro_batch=4), tmp_path / "out", tmp_path / "work")
    log = read_table(tmp_path / "out" / "log.parquet", RUN_LOG)
    assert log["sequences"].to_list() == [8] * 11 + [4] and log.height == -(-2 * EXAMPLES // BATCH)
    assert log["tokens"].sum() == 2 * read_table(dataset, DATASET)["n_tokens"].sum()


def test_what_made_the_dataset_is_no_setting_of_the_run() -> None:
    """So that another budget of samples, which shows in the dataset, does not throw away the work on the same one."""
    assert settings(samples=50, examples=46) == settings(samples=90, examples=60)
    recipe = settings().training.model_dump()
    assert not {"samples", "examples"} & set(recipe)
    assert RunSettings.model_validate_json(json.dumps(settings().model_dump())) == settings()


def test_too_long_an_example_is_an_error_and_is_never_cut(model: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"request r\d\d: \d+ tokens do not fit the context of 20"):
        train_run(model, dataset, settings(context=20), tmp_path / "out", tmp_path / "work")


def test_the_learning_rate_rises_then_falls_to_its_floor(finished: Path) -> None:
    """Linear over 2 steps to the peak, then a cosine that ends at the floor; no step is lost to a rate of 0."""
    rates = read_table(finished / "log.parquet", RUN_LOG)["learning_rate"].to_list()
    assert rates[:2] == pytest.approx([5e-4, 1e-3]) and rates[-1] == pytest.approx(1e-4)
    assert rates[3] == pytest.approx((1e-3 + 1e-4) / 2)  # the middle of the fall
    linear = settings(schedule="linear", warmup_share=0.34).training
    assert [learning_rate(step, STEPS, linear) for step in range(STEPS)] == pytest.approx(
        [5e-4, 1e-3, 7.75e-4, 5.5e-4, 3.25e-4, 1e-4]
    )
    assert learning_rate(0, 1, settings(warmup_steps=0).training) == 1e-3


def test_weights_and_optimiser_are_float32_and_dropout_is_off(model: Path, finished: Path) -> None:
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["weights_dtype"] == manifest["optimizer_dtype"] == ["torch.float32"]
    assert all(layer.self_attn.attention_dropout == 0 for layer in load_model(model).model.layers)


# What it measures


def test_hook_norms_are_the_norms_of_each_micro_batchs_gradient(model: Path, dataset: Path, finished: Path) -> None:
    """Against autograd on plain logits, at the first step: tied embeddings, accumulation, unequal lengths."""
    rows = read_table(dataset, DATASET)[training_order(EXAMPLES, settings())[:BATCH].tolist()]
    reference = load_model(model).train()
    groups, parameters = grouped_parameters(reference)
    total = sum(len(completion) for completion in rows["completion_ids"])
    measured = read_table(finished / "noise.parquet", NOISE).filter(pl.col("step") == 1)
    whole = [torch.zeros_like(parameter) for _, parameter in parameters]
    for micro in range(BATCH // MICRO):
        loss = torch.zeros(())
        for prompt, completion in rows.select("prompt_ids", "completion_ids").iter_rows():
            if (rows["completion_ids"].to_list().index(completion)) // MICRO != micro:
                continue
            logits = reference(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
            loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(completion), reduction="sum") / total
        gradients = torch.autograd.grad(loss, [parameter for _, parameter in parameters])
        norms = dict.fromkeys(groups, 0.0)
        for (group, _), gradient, summed in zip(parameters, gradients, whole, strict=True):
            norms[groups[group]] += float((gradient.double() ** 2).sum())
            summed += gradient
        found = dict(measured.filter(pl.col("micro_batch") == micro).select("group", "norm_squared").iter_rows())
        assert found == pytest.approx(norms, rel=1e-5)
    step = measured.filter(pl.col("micro_batch") == -1)["norm_squared"].sum()
    assert step == pytest.approx(sum(float((gradient.double() ** 2).sum()) for gradient in whole), rel=1e-5)


def test_the_tokens_of_the_micro_batches_are_those_that_the_loss_is_divided_by(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfdistill.training.trainer.trainer import MeasuredTrainer

    divisors: list[int] = []
    original = MeasuredTrainer.get_batch_samples

    def recorded(self: Any, *args: Any) -> Any:
        samples, items = original(self, *args)
        assert items is not None
        divisors.append(int(items))
        return samples, items

    monkeypatch.setattr(MeasuredTrainer, "get_batch_samples", recorded)
    before = load_model(model).state_dict()
    train_run(model, dataset, settings(lr=0.0 + 1e-30, lr_floor=0.0), tmp_path / "out", tmp_path / "work")
    micro = read_table(tmp_path / "out" / "noise.parquet", NOISE).filter(
        (pl.col("micro_batch") >= 0) & (pl.col("group") == "embedding")
    )
    assert micro.group_by("step").agg(pl.col("tokens").sum()).sort("step")["tokens"].to_list() == divisors
    assert micro.group_by("step").agg(pl.col("sequences").sum()).sort("step")["sequences"].to_list() == [8] * 5 + [6]
    log = read_table(tmp_path / "out" / "log.parquet", RUN_LOG)
    assert log["tokens"].to_list() == divisors and log["sequences"].to_list() == [8] * 5 + [6]
    # and without a learning rate nothing changes, exactly
    weights = read_table(tmp_path / "out" / "weights.parquet", WEIGHTS)
    assert weights["changed"].sum() == weights["changed_since_start"].sum() == 0
    assert weights["changed_since_start"].drop_nulls().len() > 0
    after = load_model(tmp_path / "out" / "at-100").state_dict()
    assert all(torch.equal(before[name].to(torch.bfloat16), after[name].to(torch.bfloat16)) for name in before)


def test_the_logged_norm_is_the_one_before_clipping(finished: Path) -> None:
    log = read_table(finished / "log.parquet", RUN_LOG)
    big = read_table(finished / "noise.parquet", NOISE).filter(pl.col("micro_batch") == -1)
    norms = big.group_by("step").agg(pl.col("norm_squared").sum().sqrt()).sort("step")["norm_squared"]
    assert (log["clip_coefficient"] < 1).all()  # clipping is active in every step of this run
    assert log["grad_norm"].to_list() == pytest.approx(norms.to_list(), rel=1e-5)
    assert log["clip_coefficient"].to_list() == pytest.approx((0.5 / log["grad_norm"]).to_list(), rel=1e-4)


def test_the_analyses_read_what_the_run_wrote(model: Path, finished: Path) -> None:
    steps = noise_steps(read_table(finished / "noise.parquet", NOISE))
    assert noise_summary(steps).filter((pl.col("group") == "total") & (pl.col("geometry") == "euclidean"))[
        "steps"
    ].to_list() == [STEPS, STEPS]
    change = weight_change(read_table(finished / "weights.parquet", WEIGHTS)).filter(pl.col("group") == "total")
    parameters = json.loads((finished / "manifest.json").read_text())["parameters"]
    assert change["weights"].unique().to_list() == [parameters] == [load_model(model).num_parameters()]
    assert change["changed_fraction"].min() > 0.01  # type: ignore[operator]


# What it hands out


def test_exports_are_whole_models_with_the_sources_own_files(model: Path, finished: Path) -> None:
    from safetensors import safe_open

    manifest = json.loads((finished / "manifest.json").read_text())
    assert {name: entry["step"] for name, entry in manifest["checkpoints"].items()} == {
        "at-025": 2, "at-050": 3, "at-075": 4, "at-100": 6,
    }  # fmt: skip
    for name, entry in manifest["checkpoints"].items():
        folder = finished / name
        assert entry["digest"] == model_digest(folder)
        for file in ("config.json", "generation_config.json", *TOKENIZER_FILES):
            assert (folder / file).exists() == (model / file).exists()
            assert not (model / file).exists() or (folder / file).read_bytes() == (model / file).read_bytes()
        with (
            safe_open(folder / "model.safetensors", "pt") as ours,
            safe_open(model / "model.safetensors", "pt") as theirs,
        ):
            assert set(ours.keys()) == set(theirs.keys())
            assert {ours.get_slice(key).get_dtype() for key in ours.keys()} == {"F32"}
    digests = {entry["digest"] for entry in manifest["checkpoints"].values()} | {model_digest(model)}
    assert len(digests) == 5
    assert not list(finished.glob(".*"))


def test_beside_each_export_lies_what_it_and_the_base_gave_a_few_examples(
    model: Path, dataset: Path, finished: Path
) -> None:
    """In float32 that is what the export gives when transformers loads it, and what the base does."""
    completions = dict(read_table(dataset, DATASET).select("request_id", "completion_ids").iter_rows())
    exports = {finished / name: TRAINED_LOGPROBS_FILE for name in export_steps([25, 50, 75, 100], STEPS)}
    for folder, table in [*exports.items(), *((folder, BASE_LOGPROBS_FILE) for folder in exports)]:
        said = read_table(folder / table, TRAINED_LOGPROBS)
        assert (
            said["request_id"].to_list() == sorted(completions)[:8] and said["precision"].unique().item() == "float32"
        )
        reloaded = load_model(folder if table == TRAINED_LOGPROBS_FILE else model)
        for row in said.iter_rows(named=True):
            assert row["completion_ids"] == completions[row["request_id"]]
            with torch.no_grad():
                logs = reloaded(torch.tensor([row["prompt_ids"] + row["completion_ids"]])).logits[0].log_softmax(-1)
            places = range(len(row["prompt_ids"]) - 1, len(logs) - 1)
            expected = [float(logs[at, token]) for at, token in zip(places, row["completion_ids"], strict=True)]
            assert row["log_probs"] == pytest.approx(expected, abs=1e-5)


def test_a_short_precision_source_is_exported_in_its_precision(model: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    source = shutil.copytree(model, tmp_path / "source")
    load_model(model).to(torch.bfloat16).save_pretrained(source)
    export_model(load_model(source), source, tmp_path / "export")
    with safe_open(tmp_path / "export" / "model.safetensors", "pt") as ours:
        assert {ours.get_slice(key).get_dtype() for key in ours.keys()} == {"BF16"}
    assert model_digest(tmp_path / "export") == model_digest(source)


# What a crash costs


def crash(
    name: str, where: str, step: int, model: Path, dataset: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, sent a signal when it calls `where` at this step."""
    command = training_command(model, dataset, folder, signalled=(name, where, step))
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120
    )


def test_a_killed_run_goes_on_to_the_same_bits(model: Path, dataset: Path, finished: Path, tmp_path: Path) -> None:
    """kill -9 in the middle of writing the checkpoint of step 4: that of step 2 is whole, rows 1 to 4 journalled."""
    died = crash("SIGKILL", "_save_optimizer_and_scheduler", 4, model, dataset, tmp_path)
    assert died.returncode == -signal.SIGKILL, died.stderr
    work = tmp_path / "work"
    assert (work / "unfinished" / "checkpoint-4").is_dir() and (work / "checkpoint-2").is_dir()
    assert not (work / "checkpoint-4").exists() and len(StepJournal(work / "steps.jsonl").rows()) == 4
    assert not (tmp_path / "out").exists()
    train_run(model, dataset, settings(), tmp_path / "out", work)
    assert_same_results(tmp_path / "out", finished)
    assert sorted(path.name for path in work.iterdir()) == ["exports", "finished", "settings.json", "steps.jsonl"]


def test_kills_at_random_moments_cost_no_row_and_no_bit(
    model: Path, dataset: Path, finished: Path, tmp_path: Path
) -> None:
    """kill -9 in a backward pass, between the passes and the update, before a row is journalled, around a checkpoint."""
    chance = random.Random(20261121)
    moments = dict.fromkeys(("training_step", "_clip_grad_norm", "measure_weights"), range(STEPS))
    moments |= {"finish_row": range(1, STEPS + 1), "_save_checkpoint": range(2, STEPS, 2)}
    kills, rows = 0, list[Any]()
    for number in range(5):
        moment = chance.choice([name for name, steps in moments.items() if len(rows) < steps[-1]])
        step = next(
            step for step in moments[moment] if step > len(rows) - (moment in ("training_step", "_clip_grad_norm"))
        )
        died = crash("SIGKILL", moment, step, model, dataset, tmp_path)
        assert died.returncode in (0, -signal.SIGKILL), died.stderr
        kills += died.returncode != 0
        rows = StepJournal(tmp_path / "work" / "steps.jsonl").rows()
        assert [row["step"] for row in rows] == list(range(1, len(rows) + 1)), (number, moment, step)
    assert kills >= 3
    train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "work")
    assert_same_results(tmp_path / "out", finished)


def test_a_finished_training_is_put_in_place_again_and_not_done_twice(
    model: Path, dataset: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Snakemake wiped the outputs because an input was made anew with the same content."""
    out, work = tmp_path / "out", tmp_path / "work"
    train_run(model, dataset, settings(), out, work)
    shutil.rmtree(out)
    monkeypatch.setattr("selfdistill.training.run.build_trainer", lambda *_: pytest.fail("it trained again"))
    train_run(model, dataset, settings(), out, work)
    assert_same_results(out, finished)
    exported = work / "exports" / "at-100" / "model.safetensors"
    assert exported.samefile(out / "at-100" / "model.safetensors"), "the copy must cost no disk"


def test_an_interrupted_run_stops_after_its_step_and_goes_on(
    model: Path, dataset: Path, finished: Path, tmp_path: Path
) -> None:
    stopped = crash("SIGINT", "_clip_grad_norm", 2, model, dataset, tmp_path)
    assert stopped.returncode == 130, stopped.stderr
    assert "training stopped after step 3 of 6" in stopped.stderr and "Traceback" not in stopped.stderr
    with open(tmp_path / "work" / "steps.jsonl", "a") as journal:
        journal.write('{"step": 4, "lo')  # a torn line
    shutil.copytree(tmp_path / "work" / "checkpoint-3", tmp_path / "work" / "checkpoint-5")
    (tmp_path / "work" / "checkpoint-5" / "trainer_state.json").unlink()  # and an incomplete checkpoint
    train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "work")
    assert_same_results(tmp_path / "out", finished)


def test_a_crash_at_any_step_costs_no_row(model: Path, dataset: Path, finished: Path, tmp_path: Path) -> None:
    """In one process for speed: stop after every single step, and go on each time."""
    stops = 0
    while not (tmp_path / "out" / "manifest.json").exists():
        try:
            train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "work", stop_requested=lambda: True)
        except Stopped:
            stops += 1
    assert stops == STEPS - 1
    assert_same_results(tmp_path / "out", finished)


def test_another_setting_sets_the_old_work_aside(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(**changed: Any) -> None:
        with pytest.raises(Stopped):
            train_run(model, dataset, settings(**changed), tmp_path / "out", tmp_path / "work", lambda: True)

    run()
    run(save_every=5)  # how often it saves is no matter of the weights
    assert "going on after step 1 of 6" in capsys.readouterr().err
    run(lr=2e-3)
    assert "set aside as" in capsys.readouterr().err
    assert (tmp_path / "work.old-1" / "checkpoint-2").is_dir() and (tmp_path / "work" / "checkpoint-1").is_dir()


def test_a_loss_that_is_not_finite_names_the_step_and_its_rows(model: Path, dataset: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(model, tmp_path / "model")
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"step 1: loss nan .*r\d\d, r\d\d"):
        train_run(broken, dataset, settings(), tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "out").exists()


def test_the_program_says_what_is_wrong_in_a_sentence(model: Path, dataset: Path, tmp_path: Path) -> None:
    command = training_command(model, dataset, tmp_path, settings(context=20))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "do not fit the context of 20" in done.stderr
    command[command.index("--settings") + 1] = "{}"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr == "error: --settings: training: field required.\n"
