"""Ways to train: collation, length policies, precision, adapters, activations, and what is refused before it starts."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from selfdistill.foundation.errors import UserError
from selfdistill.tables.training import DATASET, NOISE, RUN_LOG, WEIGHTS
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.rows import IGNORED, training_order
from selfdistill.training.run import train_run
from selfdistill.training.trainer import memory as room
from selfdistill.training.trainer.model import load_model, trained_state
from selfdistill.training.trainer.trainer import supervised_lengths
from training_fixture import BATCH, EXAMPLES, STEPS, assert_same_results, settings, trainer_for

pytestmark = pytest.mark.xdist_group("trainer")


def run(model: Path, dataset: Path, folder: Path, **training: Any) -> Path:
    train_run(model, dataset, settings(**training), folder / "out", folder / "work")
    return folder / "out"


def losses(out: Path) -> list[float]:
    return list(read_table(out / "log.parquet", RUN_LOG)["loss"])


@pytest.fixture(scope="module")
def padded(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(model, dataset, tmp_path_factory.mktemp("padded"))


# Collation


@pytest.mark.parametrize("collation", ["padded", "padding-free"])
def test_every_collation_supervises_the_completions_and_their_end_byte_for_byte(
    model: Path, dataset: Path, tmp_path: Path, collation: str
) -> None:
    """Read off the batches that the trainer feeds, and decoded."""
    trainer = trainer_for(model, dataset, tmp_path, settings(collation=collation))
    decode = trainer.processing_class.decode
    tokens, texts, counted = [], [], []
    for batch in trainer.get_train_dataloader():
        counted += supervised_lengths(batch).tolist()
        labels = batch["labels"]
        if collation == "padding-free":
            assert labels.shape[0] == 1 and "attention_mask" not in batch
            labels = labels[0].split(batch["cu_seq_lens_q"].diff().tolist())
        tokens += [row[row != IGNORED].tolist() for row in labels]
    texts = [decode(ids) for ids in tokens]
    expected = read_table(dataset, DATASET)["completion_ids"].to_list()
    assert tokens == expected and counted == [len(ids) for ids in expected]
    assert [text.encode() for text in texts] == [decode(ids).encode() for ids in expected]


def test_padding_free_is_the_same_training(model: Path, dataset: Path, padded: Path, tmp_path: Path) -> None:
    free = run(model, dataset, tmp_path, collation="padding-free")
    assert losses(free) == pytest.approx(losses(padded), rel=1e-5)
    norms = [
        read_table(out / "noise.parquet", NOISE).sort("step", "micro_batch", "group")["norm_squared"]
        for out in (free, padded)
    ]
    assert norms[0].to_list() == pytest.approx(norms[1].to_list(), rel=1e-3)


def test_padding_free_is_refused_where_sequences_see_each_other(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that ignores where sequences begin, as kernels that are missing would make one."""
    import transformers

    forward = transformers.Qwen3ForCausalLM.forward

    def blind(self: Any, *args: Any, **inputs: Any) -> Any:
        for boundary in ("position_ids", "cu_seq_lens_q", "cu_seq_lens_k", "seq_idx", "max_length_q", "max_length_k"):
            inputs.pop(boundary, None)
        return forward(self, *args, **inputs)

    monkeypatch.setattr(transformers.Qwen3ForCausalLM, "forward", blind)
    with pytest.raises(UserError, match=r"padding-free is refused for Qwen3ForCausalLM .* sequences see each other"):
        run(model, dataset, tmp_path, collation="padding-free")


def test_padding_free_is_refused_with_the_models_own_reason(dataset: Path, tmp_path: Path) -> None:
    """Qwen3.5's linear attention keeps sequences apart only with kernels that a CPU does not have."""
    with pytest.raises(UserError, match=r"padding-free is refused for Qwen3_5ForCausalLM on this machine: .*packed"):
        run(tiny_hybrid(tmp_path), dataset, tmp_path, collation="padding-free")


def tiny_hybrid(folder: Path) -> Path:
    from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

    from training_fixture import tiny_model

    model = tiny_model(folder / "hybrid")
    for weights in model.glob("*.safetensors"):
        weights.unlink()
    config = Qwen3_5TextConfig(
        vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, linear_num_key_heads=1, linear_num_value_heads=2, linear_key_head_dim=16,
        linear_value_head_dim=16, tie_word_embeddings=True, eos_token_id=1, bos_token_id=None,
        layer_types=["linear_attention", "full_attention"],
    )  # fmt: skip
    Qwen3_5ForCausalLM(config).save_pretrained(model)
    return model


# Length


def test_too_long_examples_are_dropped_or_cut_only_when_the_study_says_so(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_table(dataset, DATASET)
    lengths = rows.select(pl.col("prompt_ids").list.len() + pl.col("completion_ids").list.len()).to_series()
    long = int((lengths > 30).sum())
    assert 0 < long < EXAMPLES - 8
    seen = {}
    for policy in ("drop", "truncate"):
        chosen = settings(context=30, over_length=policy)
        out = tmp_path / policy
        manifest = train_run(model, dataset, chosen, out / "out", out / "work")
        assert f"{policy}: {long} of {EXAMPLES} examples are longer than 30 tokens" in capsys.readouterr().err
        seen[policy] = manifest
    assert seen["drop"]["examples"] == EXAMPLES - long and seen["truncate"]["examples"] == EXAMPLES
    fitting = rows.filter(lengths <= 30)["n_tokens"].sum()
    cut = sum(30 - len(prompt) for prompt in rows.filter(lengths > 30)["prompt_ids"])
    assert (seen["drop"]["tokens"], seen["truncate"]["tokens"]) == (fitting, fitting + cut)


# Precision and adapters


def test_pure_bf16_runs_by_name_only_and_says_what_it_does_to_small_updates(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(model, dataset, tmp_path, precision="pure-bf16", lr=1e-5, lr_floor=1e-5)
    warning = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("warning"))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["weights_dtype"] == manifest["optimizer_dtype"] == ["torch.bfloat16"]
    moved = float(warning.split(" moves ")[1].split("%")[0]) / 100
    weights = read_table(out / "weights.parquet", WEIGHTS).group_by("step").agg(pl.col("changed", "weights").sum())
    shares = (weights.sort("step")["changed"] / weights.sort("step")["weights"]).to_list()
    assert "round back to where they were" in warning and 0 < moved < 0.1
    assert 0 < max(shares[3:]) < 0.2  # most weights stay where they were, step after step


def test_adapters_learn_and_the_export_is_a_plain_model(
    model: Path, dataset: Path, padded: Path, tmp_path: Path
) -> None:
    from safetensors import safe_open

    out = run(model, dataset, tmp_path, lora={"rank": 4, "alpha": 8}, lr=1e-2)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["trained_parameters"] < manifest["parameters"] / 4
    assert losses(out)[-1] < losses(out)[0] and losses(out)[0] == pytest.approx(losses(padded)[0], rel=1e-5)
    with (
        safe_open(out / "at-100" / "model.safetensors", "pt") as ours,
        safe_open(model / "model.safetensors", "pt") as base,
    ):
        assert set(ours.keys()) == set(base.keys())
        moved = {key for key in ours.keys() if not torch.equal(ours.get_tensor(key), base.get_tensor(key))}
    assert moved and all("proj" in key for key in moved)
    assert (
        sum(read_table(out / "weights.parquet", WEIGHTS).filter(pl.col("step") == 1)["weights"])
        == manifest["trained_parameters"]
    )


def test_adapters_worked_into_the_weights_give_the_same_logits(model: Path, dataset: Path, tmp_path: Path) -> None:
    trainer = trainer_for(
        model, dataset, tmp_path, settings(lora={"rank": 4, "alpha": 8, "modules": ["q_proj", "up_proj"]})
    )
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    merged = load_model(model)
    merged.load_state_dict(trained_state(trainer.model), strict=False)
    ids = torch.arange(2, 30)[None]
    with_adapters, plain = trainer.model.eval()(input_ids=ids).logits, merged.eval()(input_ids=ids).logits
    assert torch.allclose(with_adapters, plain, atol=1e-5) and not torch.allclose(
        plain, load_model(model)(ids).logits, atol=1e-2
    )


def test_adapters_for_layers_that_are_not_there_are_refused(model: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the model has no layer named 'w_proj'"):
        run(model, dataset, tmp_path, lora={"rank": 4, "alpha": 8, "modules": ["w_proj"]})


@pytest.mark.parametrize("activations", ["recompute", "recompute-all-but-attention"])
def test_what_the_backward_pass_keeps_changes_no_number(
    model: Path, dataset: Path, padded: Path, tmp_path: Path, activations: str
) -> None:
    """Losses, and the gradient norms that hooks see, in spite of layers that run twice."""
    out = run(model, dataset, tmp_path, activations=activations)
    assert losses(out) == pytest.approx(losses(padded), rel=1e-6)
    tables = [read_table(path / "noise.parquet", NOISE).sort("step", "micro_batch", "group") for path in (out, padded)]
    for column in ("norm_squared", "adam_norm_squared", "update_norm_squared"):
        found, expected = (table[column].drop_nulls().to_list() for table in tables)
        assert found == pytest.approx(expected, rel=1e-4) and len(found) > 0


def test_offloading_is_for_gpus(model: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training.activations: offload moves them from a GPU"):
        run(model, dataset, tmp_path, activations="offload")


def test_steps_end_where_max_steps_says(model: Path, dataset: Path, tmp_path: Path) -> None:
    out = run(model, dataset, tmp_path, epochs=3, max_steps=4)
    log = read_table(out / "log.parquet", RUN_LOG)
    assert log["step"].to_list() == [1, 2, 3, 4] and log["learning_rate"][-1] == pytest.approx(1e-4)


def test_effective_sequences_are_those_of_the_token_mean(dataset: Path, padded: Path) -> None:
    log = read_table(padded / "log.parquet", RUN_LOG)
    lengths = read_table(dataset, DATASET)["n_tokens"].to_numpy().astype(float)[training_order(EXAMPLES, settings())]
    steps = [lengths[begin : begin + BATCH] for begin in range(0, EXAMPLES, BATCH)]
    expected = [step.sum() ** 2 / (step**2).sum() for step in steps]
    assert log["effective_sequences"].to_list() == pytest.approx(expected, rel=1e-9)
    assert all(effective < len(step) for effective, step in zip(expected, steps, strict=True))
    assert log["entropy"].is_between(3.0, 3.7).all()  # a random model's, in nats over forty words


# What Adam weighs


def test_adams_norms_are_those_of_each_micro_batchs_gradient(model: Path, dataset: Path, tmp_path: Path) -> None:
    """Against gradients of plain logits and the second moments as the step before left them."""
    rows = read_table(dataset, DATASET)
    chosen = settings(measure_every=2, lr=1e-3, warmup_steps=1)
    trainer = trainer_for(model, dataset, tmp_path / "run", chosen)
    kept: dict[str, Any] = {}
    original = type(trainer.gradients).weigh_with

    def keep_second_moments(meter: Any, optimizer: Any) -> None:
        original(meter, optimizer)
        if optimizer is not None and trainer.state.global_step == 1:
            kept["weights"] = {name: value.clone() for name, value in trainer.model.state_dict().items()}
            kept["moments"] = [
                (optimizer.state[p]["exp_avg_sq"].clone(), float(optimizer.state[p]["step"]))
                for _, p in meter.parameters
            ]

    trainer.gradients.weigh_with = keep_second_moments.__get__(trainer.gradients)
    trainer.train()
    second = trainer.work.journal.rows()[1]["noise"]
    reference = load_model(model).train()
    reference.load_state_dict(kept["weights"], strict=False)
    parameters = list(reference.parameters())
    batch = rows[8:16]  # the second step's rows: this trainer was given them in the table's order
    total = sum(len(ids) for ids in batch["completion_ids"])
    for micro in range(4):
        loss = torch.zeros(())
        for prompt, completion in batch[2 * micro : 2 * micro + 2].select("prompt_ids", "completion_ids").iter_rows():
            logits = reference(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
            loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(completion), reduction="sum") / total
        gradients = torch.autograd.grad(loss, parameters)
        adam = update = 0.0
        for gradient, (square, step) in zip(gradients, kept["moments"], strict=True):
            root = (square.double() / (1 - 0.95**step)).sqrt() + 1e-8
            adam += float((gradient.double() ** 2 / root).sum())
            update += float(((gradient.double() / root) ** 2).sum())
        measured = [sum(group[index] for group in second["micro"][micro]) for index in (1, 2)]
        assert measured == pytest.approx([adam, update], rel=1e-4)


# What is refused before the first step


def test_samples_of_two_models_are_no_dataset(model: Path, dataset: Path, tmp_path: Path) -> None:
    rows = read_table(dataset, DATASET)
    other = pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("samples-t13")).otherwise("model_id").alias("model_id")
    write_table(rows.with_columns(other), tmp_path / "mixed.parquet", DATASET)
    with pytest.raises(UserError, match=r"samples of 2 models \(samples-t11, samples-t13\)"):
        run(model, tmp_path / "mixed.parquet", tmp_path)


@pytest.mark.parametrize("rows", [0, 5])
def test_a_dataset_without_a_batch_is_refused(model: Path, dataset: Path, tmp_path: Path, rows: int) -> None:
    write_table(read_table(dataset, DATASET).head(rows), tmp_path / "short.parquet", DATASET)
    with pytest.raises(UserError, match=f"holds {rows} examples, fewer than one batch"):
        run(model, tmp_path / "short.parquet", tmp_path)


def test_too_little_memory_is_said_with_the_estimate_and_the_knobs(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_memory", lambda device: 1e5)
    with pytest.raises(UserError, match=r"needs about 0\.\d GiB .* are free\. What changes it: training\.micro_batch"):
        run(model, dataset, tmp_path)
    assert not (tmp_path / "out").exists()


def test_running_out_of_memory_names_the_knobs_and_keeps_the_work(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfdistill.training.trainer.trainer import MeasuredTrainer

    original = MeasuredTrainer.training_step

    def hungry(self: Any, *args: Any) -> Any:
        if self.state.global_step == 4:
            torch.empty(1 << 50)
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(MeasuredTrainer, "training_step", hungry)
        with pytest.raises(UserError, match=r"out of memory in training .*training\.activations .* last checkpoint"):
            run(model, dataset, tmp_path)
    assert (tmp_path / "work" / "checkpoint-4").is_dir()
    run(model, dataset, tmp_path)
    assert len(losses(tmp_path / "out")) == STEPS


def test_a_disk_too_small_for_the_checkpoints_is_said_first(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"too little disk: this run writes up to .* GiB \(4 exported models"):
        run(model, dataset, tmp_path)
    assert not list((tmp_path / "work").glob("checkpoint-*"))


def test_a_resume_with_other_settings_shows_the_difference(
    model: Path, dataset: Path, padded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(model, dataset, tmp_path, lr=2e-3)
    capsys.readouterr()
    out = run(model, dataset, tmp_path)
    said = capsys.readouterr().err
    assert "is not gone on from: settings.training.lr: 0.002, now 0.001." in said and "training starts anew" in said
    assert_same_results(out, padded)


# Elsewhere


def test_a_tracker_that_is_not_installed_is_said_first(model: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training.trackers: wandb is asked for and not installed"):
        run(model, dataset, tmp_path, trackers=["wandb"])


def test_tensorboard_gets_the_losses_and_the_instruments(
    model: Path, dataset: Path, padded: Path, tmp_path: Path
) -> None:
    out = run(model, dataset, tmp_path, trackers=["tensorboard"])
    assert_same_results(out, padded)  # a tracker only looks
    [events] = (tmp_path / "work").rglob("events.out.tfevents.*")
    logged = events.read_bytes()
    assert all(tag in logged for tag in (b"train/loss", b"train/signal_fraction", b"train/changed_fraction"))
