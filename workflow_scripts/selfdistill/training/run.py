"""One training run: a model, a dataset and settings in; exported checkpoints, logs and a manifest out.

Nothing is under its public name before it is whole, and the manifest comes last: a run folder with a manifest is a
finished run. What a crash leaves lies in the work folder, and the same call goes on from there (`checkpoints.py`).
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import ValidationError, field_validator

from selfdistill.config.study import Recipe, Section, Training
from selfdistill.errors import UserError
from selfdistill.files import write_json
from selfdistill.provenance import model_digest
from selfdistill.tables import DATASET, NOISE, RUN_LOG, WEIGHTS, read_table, write_table
from selfdistill.training.checkpoints import MANIFEST, WorkFolder

PACKAGES = ("torch", "transformers", "trl", "accelerate")
WITHOUT_EFFECT = {"threads", "save_every"}  # settings that leave the weights alone: changing them keeps the work folder


class RunSettings(Section):
    """All that a run depends on besides its model and its dataset."""

    training: Recipe
    study_seed: int
    training_seed: int
    arm: str
    context: int
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1

    @field_validator("training", mode="before")
    @classmethod
    def recipe_only(cls, training: Any) -> Any:
        """The study's whole training section is welcome: what makes the dataset or the job is no part of the run."""
        if isinstance(training, Training):
            training = training.model_dump()
        if isinstance(training, dict):
            elsewhere = Training.model_fields.keys() - Recipe.model_fields.keys()
            training = {key: value for key, value in training.items() if key not in elsewhere}
        return training


class Stopped(UserError):
    """The run was asked to stop and did so after a step, leaving a checkpoint."""


def training_settings(text: str, save_every: int | None = None) -> RunSettings:
    """Settings as a command line gives them; how often to save is apart from what decides the weights."""
    try:
        settings = RunSettings.model_validate_json(text)
        if save_every is None:
            return settings
        return settings.model_copy(update={"training": settings.training.model_copy(update={"save_every": save_every})})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the JSON"
        raise UserError(f"--settings: {key}: {first['msg'][0].lower()}{first['msg'][1:]}.") from None


def train_run(
    model_folder: Path,
    dataset_file: Path,
    settings: RunSettings,
    out: Path,
    work_folder: Path,
    stop_requested: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train, or go on training, and put the results into `out`. Returns the manifest."""
    training = settings.training
    dataset = read_table(dataset_file, DATASET)
    refuse_unfit(dataset, settings)
    order = example_order(dataset.height, training.epochs, settings.study_seed, settings.training_seed)
    total_steps = -(-len(order) // training.batch)
    exports = export_steps(training.checkpoints, total_steps)
    origin = {"model": model_digest(model_folder), "dataset": dataset_digest(dataset)}
    identity = run_identity(settings, origin)

    work = WorkFolder(work_folder)
    aside = work.claim(_hash(identity), identity)
    if aside:
        _say(f"the work folder belonged to other settings; it was set aside as {aside} and training starts anew")
    if work.is_finished():
        _say(f"{settings.arm}: this very training was finished before; its results are put in place again")
    else:
        _train(model_folder, dataset[order.tolist()], settings, identity, work, exports, total_steps, stop_requested)
    work.publish_to(out, exports)
    return dict(json.loads((out / MANIFEST).read_text()))


def _train(
    model_folder: Path,
    ordered: pl.DataFrame,
    settings: RunSettings,
    identity: dict[str, Any],
    work: WorkFolder,
    exports: dict[str, int],
    total_steps: int,
    stop_requested: Callable[[], bool],
) -> None:
    """Train from the last checkpoint to the end, and leave everything finished in the work folder."""
    step, checkpoint = work.resume_point(exports)
    _say(f"going on after step {step} of {total_steps}" if step else f"training {settings.arm}: {total_steps} steps")
    trainer = build_trainer(model_folder, ordered, settings, work, exports, total_steps, stop_requested)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    rows = work.journal.rows()
    if len(rows) < total_steps:
        raise Stopped(
            f"training stopped after step {len(rows)} of {total_steps}; run the same command to go on from there."
        )
    log = pl.DataFrame([{key: row[key] for key in RUN_LOG} for row in rows], schema=RUN_LOG)
    write_table(log, work.finished / "log.parquet", RUN_LOG)
    write_table(noise_table(rows, trainer.gradients.groups), work.finished / "noise.parquet", NOISE)
    write_table(weights_table(rows, trainer.weights_meter), work.finished / "weights.parquet", WEIGHTS)
    manifest = run_manifest(settings, identity, trainer, rows, ordered.height, work, exports)
    write_json(work.finished / MANIFEST, manifest)
    work.clear()


def refuse_unfit(dataset: pl.DataFrame, settings: RunSettings) -> None:
    """Too long is an error and never a cut; so is an example without a prompt or without a token to train on."""
    training = settings.training
    if dataset.height < training.batch:
        raise UserError(
            f"the dataset holds {dataset.height} examples, fewer than one batch (training.batch: {training.batch})."
        )
    if training.batch % training.micro_batch:
        raise UserError(
            f"training.micro_batch: {training.micro_batch} does not divide training.batch ({training.batch})."
        )
    prompt, completion = pl.col("prompt_ids").list.len(), pl.col("completion_ids").list.len()
    empty = dataset.filter((prompt == 0) | (completion == 0))
    if empty.height:
        raise UserError(
            f"request {empty['request_id'][0]}: has no token to train on, or no prompt; make the dataset anew."
        )
    long = dataset.with_columns(length=prompt + completion).filter(pl.col("length") > settings.context)
    if long.height:
        raise UserError(
            f"request {long['request_id'][0]}: {long['length'][0]} tokens do not fit the context of {settings.context} "
            f"({long.height} such): raise model.context or lower the decode's max_tokens; nothing is cut silently."
        )


def example_order(examples: int, epochs: int, study_seed: int, training_seed: int) -> np.ndarray:
    """Row numbers in the order of training, epoch after epoch.

    The generator is seeded by a hash: the trainer's own sampler adds the epoch to the seed, so that neighbouring
    seeds are one stream shifted by an epoch and no replicates of each other.
    """
    key = hashlib.sha256(f"data order {study_seed} {training_seed}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(key[:16], "big"))
    return np.concatenate([generator.permutation(examples) for _ in range(epochs)])


def export_steps(percents: list[int], total_steps: int) -> dict[str, int]:
    """Name of each exported model, and the step after which it is made."""
    return {f"at-{percent:03d}": max(1, round(total_steps * percent / 100)) for percent in percents}


def token_rows(dataset: pl.DataFrame) -> dict[str, list[list[int]]]:
    """Input ids and labels: no loss on the prompt, loss on the completion as it was sampled, and on nothing else."""
    from selfdistill.training.trainer import IGNORED

    prompts, completions = dataset["prompt_ids"].to_list(), dataset["completion_ids"].to_list()
    pairs = list(zip(prompts, completions, strict=True))
    return {
        "input_ids": [prompt + completion for prompt, completion in pairs],
        "labels": [[IGNORED] * len(prompt) + completion for prompt, completion in pairs],
    }


def build_trainer(
    model_folder: Path,
    ordered: pl.DataFrame,
    settings: RunSettings,
    work: WorkFolder,
    exports: dict[str, int],
    total_steps: int,
    stop_requested: Callable[[], bool],
) -> Any:
    import datasets
    import torch
    import transformers

    from selfdistill.training.trainer import MeasuredTrainer, trainer_config

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(settings.threads)
    model = load_model(model_folder)
    seed = int.from_bytes(
        hashlib.sha256(f"training {settings.study_seed} {settings.training_seed}".encode()).digest()[:4], "big"
    )
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return MeasuredTrainer(
        model=model,
        args=trainer_config(settings.training, work.path, seed % 2**31, parameters, settings.device == "cuda"),
        train_dataset=datasets.Dataset.from_dict(token_rows(ordered)),
        processing_class=transformers.AutoTokenizer.from_pretrained(model_folder, local_files_only=True),
        work=work,
        source=model_folder,
        exports=exports,
        total_steps=total_steps,
        request_ids=ordered["request_id"].to_list(),
        save_every=settings.training.save_every,
        stop_requested=stop_requested,
    )


def load_model(folder: Path) -> Any:
    """The model as its own class, with float32 weights (updates to bf16 weights round to nothing) and no dropout.

    Its own class: loaded as a plain causal model, a composite one would lose the parts that the engines ask for.
    """
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for part in (config, config.get_text_config()):
        for key in list(part.to_dict()):
            if key.endswith(("dropout", "_pdrop")) and getattr(part, key, None):
                setattr(part, key, 0.0)
    name = (config.architectures or [""])[0]
    if not hasattr(transformers, name):
        raise UserError(
            f"{folder}/config.json: the architecture {name!r} is not known to transformers {version('transformers')}."
        )
    return getattr(transformers, name).from_pretrained(
        folder, config=config, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )


def dataset_digest(dataset: pl.DataFrame) -> str:
    """SHA-256 over what training reads: the requests and their tokens, in order; not over the file that holds them."""
    total = hashlib.sha256()
    for request, prompt, completion in dataset.select("request_id", "prompt_ids", "completion_ids").iter_rows():
        total.update(f"{request} {len(prompt)} {len(completion)}\n".encode())
        total.update(np.asarray(prompt + completion, dtype="<i4").tobytes())
    return total.hexdigest()


def run_identity(settings: RunSettings, origin: dict[str, str]) -> dict[str, Any]:
    """Everything that decides the weights. A work folder may be continued only if all of it is the same."""
    chosen = settings.model_dump()
    chosen = {key: value for key, value in chosen.items() if key not in WITHOUT_EFFECT}
    chosen["training"] = {key: value for key, value in chosen["training"].items() if key not in WITHOUT_EFFECT}
    return {"settings": chosen, "origin": origin, "versions": {name: version(name) for name in PACKAGES}}


def run_manifest(
    settings: RunSettings,
    identity: dict[str, Any],
    trainer: Any,
    rows: list[dict[str, Any]],
    examples: int,
    work: WorkFolder,
    exports: dict[str, int],
) -> dict[str, Any]:
    weights = list(trainer.model.parameters())
    states = [value for state in trainer.optimizer.state.values() for key, value in state.items() if key != "step"]
    return {
        "arm": settings.arm,
        "training_seed": settings.training_seed,
        "settings": settings.model_dump(),
        "settings_hash": _hash(identity),
        "versions": {name: version(name) for name in (*PACKAGES, "datasets", "numpy", "polars")},
        "python": sys.version.split()[0],
        "device": str(trainer.args.device),
        "dataset_digest": identity["origin"]["dataset"],
        "examples": examples,
        "base_digest": identity["origin"]["model"],
        "checkpoints": {
            name: {"step": step, "digest": model_digest(work.exports / name)} for name, step in exports.items()
        },
        "parameters": sum(parameter.numel() for parameter in weights),
        "steps": len(rows),
        "tokens": sum(row["tokens"] for row in rows),
        "sequences": sum(row["sequences"] for row in rows),
        "seconds": sum(row["seconds"] for row in rows),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
        "weights_dtype": sorted({str(parameter.dtype) for parameter in weights}),
        "optimizer_dtype": sorted({str(value.dtype) for value in states if hasattr(value, "dtype")}),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def noise_table(rows: list[dict[str, Any]], groups: list[str]) -> pl.DataFrame:
    long = []
    for row in rows:
        noise = row["noise"]
        whole = (-1, row["tokens"], row["sequences"], noise["step"])
        micro = zip(range(len(noise["micro"])), noise["tokens"], noise["sequences"], noise["micro"], strict=True)
        for number, tokens, sequences, norms in (*micro, whole):
            long += [
                (row["step"], number, group, tokens, sequences, norm) for group, norm in zip(groups, norms, strict=True)
            ]
    return pl.DataFrame(long, schema=NOISE, orient="row")


def weights_table(rows: list[dict[str, Any]], meter: Any) -> pl.DataFrame:
    long = []
    for row in rows:
        for group, weights, values in zip(meter.groups, meter.weights, row["weights"], strict=True):
            measured = dict(zip(meter.columns, values, strict=True))
            long.append(
                {
                    "step": row["step"],
                    "group": group,
                    "weights": weights,
                    "changed": int(measured["changed"]),
                    "predicted_changed": measured["predicted"],
                    "changed_since_start": int(measured["changed_since_start"]),
                    **{key: measured[key] for key in ("update_norm_squared", "distance_norm_squared", "norm_squared")},
                }
            )
    return pl.DataFrame(long, schema=WEIGHTS)


def _hash(identity: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
