"""One training run: a model, a dataset and settings in; exported checkpoints, logs and a manifest out.

Nothing is under its public name before it is whole, and the manifest comes last: a run folder with a manifest is a
finished run. What a crash leaves lies in the work folder, and the same call goes on from there (`handover/checkpoints.py`).
One process at a time, or one group of ranks, may be at it.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import loading
from selfdistill.models.digests import model_digest
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.rows import LENGTH, evened, fit_examples, token_rows, training_order
from selfdistill.training.examples.taught import TaughtCollator, has_targets, targets_digest, with_targets
from selfdistill.training.handover.checkpoints import DAMAGED, WorkFolder
from selfdistill.training.handover.exports import check_examples
from selfdistill.training.handover.finished import MANIFEST, TABLES
from selfdistill.training.handover.records import MAKERS, run_manifest
from selfdistill.training.processes import ranks
from selfdistill.training.settings import RunSettings, differences, identity_hash, run_identity
from selfdistill.training.trainer.kernels import refuse_slow_kernels


class Stopped(UserError):
    """The run was asked to stop and did so after a step, leaving a checkpoint."""


def train_run(
    model_folder: Path,
    dataset_file: Path,
    settings: RunSettings,
    out: Path,
    work_folder: Path,
    stop_requested: Callable[[], bool] = lambda: False,
    targets_file: Path | None = None,
    slow_kernels: bool = False,
    study: str | None = None,
) -> dict[str, Any]:
    """Train, or go on training, and put the results into `out`. Returns the manifest.

    With a file of soft targets the examples are learnt from it and not from the tokens that were drawn. The study's name
    decides nothing: it is written into what the checkpoints say of their making.
    """
    refuse_missing_trackers(settings)
    padding_free = settings.training.collation == "padding-free"
    refuse_slow_kernels(model_folder, settings.device, padding_free, accept_slow=slow_kernels)
    dataset = fit_examples(read_table(dataset_file, DATASET), settings)
    order = training_order(dataset.height, settings)
    total_steps = -(-len(order) // settings.training.batch)
    exports = export_steps(settings.training.checkpoints, total_steps)
    if targets_file:
        dataset = with_targets(dataset, targets_file)
    work = WorkFolder(work_folder)
    told = {"study": study, "samples_of": dataset["model_id"][0]}

    def take_up() -> TakenUp:
        origin = {"model": model_digest(model_folder), "dataset": dataset_digest(dataset)}
        if targets_file:
            origin["targets"] = targets_digest(dataset)
        identity = run_identity(settings, origin)
        return TakenUp(identity, is_finished(work, identity, exports))

    with alone(work):
        identity, finished = ranks.by_first(take_up)
        if finished:
            say(f"{settings.arm}: this very training was finished before; its results are put in place again")
        else:
            _train(
                model_folder,
                dataset[order.tolist()],
                settings,
                identity,
                work,
                exports,
                total_steps,
                stop_requested,
                told,
            )
        ranks.by_first(lambda: work.result.publish_to(out, exports))
    return dict(json.loads((out / MANIFEST).read_text()))


class TakenUp(NamedTuple):
    identity: dict[str, Any]
    finished: bool


@contextmanager
def alone(work: WorkFolder) -> Iterator[None]:
    """Of several processes the first holds the lock, and none goes on where it is refused."""
    with ExitStack() as lock:
        ranks.by_first(lambda: lock.enter_context(work.locked()))
        yield


def is_finished(
    work: WorkFolder,
    identity: dict[str, Any],
    exports: dict[str, int],
    harm_beside: Callable[[], str | None] = lambda: None,
) -> bool:
    """Whether this training's results lie in the work folder, which is made this training's.

    `harm_beside` says why an unfinished one cannot be gone on from, besides what every training needs for that.
    """
    try:
        _claim(work, identity)
        if harm := work.harm(exports) or (None if work.result.is_there() else harm_beside()):
            where = work.set_aside(DAMAGED)
            say(f"what this training left in {work.path} cannot be used: {harm}. It was set aside as {where}.")
            _claim(work, identity)
        if finished := work.result.is_there():
            work.clear()
        return finished
    except OSError as error:
        raise UserError(
            f"{error.filename or work.path}: cannot be read or written ({error.strerror}); nothing of this training was "
            "removed: see to the disk and run the same command again."
        ) from error


def _claim(work: WorkFolder, identity: dict[str, Any]) -> None:
    aside = work.claim(identity_hash(identity), identity)
    if aside:
        say(
            f"the work folder belongs to other settings and is not gone on from: "
            f"{'; '.join(differences(aside.settings, identity)) or 'what they were cannot be read'}. "
            f"It was set aside as {aside.where} and training starts anew."
        )


def _train(
    model_folder: Path,
    ordered: pl.DataFrame,
    settings: RunSettings,
    identity: dict[str, Any],
    work: WorkFolder,
    exports: dict[str, int],
    total_steps: int,
    stop_requested: Callable[[], bool],
    told: dict[str, Any],
) -> None:
    """Train from the last checkpoint to the end, and leave everything finished in the work folder."""
    from selfdistill.training.trainer.memory import is_out_of_memory, out_of_memory

    step, checkpoint = ranks.by_first(lambda: work.resume_point(exports))
    say(f"going on after step {step} of {total_steps}" if step else f"training {settings.arm}: {total_steps} steps")
    trainer = build_trainer(model_folder, ordered, settings, work, exports, total_steps, stop_requested)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(error, trainer.model, settings, int(ordered.select(LENGTH.max()).item())) from None
        raise
    if trainer.state.global_step < total_steps:
        raise Stopped(
            f"training stopped after step {trainer.state.global_step} of {total_steps}; run the same command to go on from "
            "there."
        )
    ranks.by_first(lambda: _finish(trainer, ordered.height, settings, identity, work, exports, told))


def _finish(
    trainer: Any,
    examples: int,
    settings: RunSettings,
    identity: dict[str, Any],
    work: WorkFolder,
    exports: dict[str, int],
    told: dict[str, Any],
) -> None:
    rows = work.journal.rows()
    for name, schema in TABLES.items():
        meter = trainer.weights_meter
        write_table(MAKERS[name](rows, meter.groups, meter.weights), work.finished / name, schema)
    manifest = run_manifest(settings, identity, trainer, rows, examples, work, exports) | told
    write_json(work.finished / MANIFEST, manifest)
    work.clear()


def build_trainer(
    model_folder: Path,
    ordered: pl.DataFrame,
    settings: RunSettings,
    work: WorkFolder,
    exports: dict[str, int],
    total_steps: int,
    stop_requested: Callable[[], bool],
) -> Any:
    with loading():
        import datasets
        import torch
        import transformers
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

        from selfdistill.training.objectives.soft import add_soft_loss
        from selfdistill.training.trainer.configuration import trainer_config
        from selfdistill.training.trainer.memory import refuse_without_disk, refuse_without_memory
        from selfdistill.training.trainer.model import (
            compile_layers,
            load_model,
            plain_model,
            refuse_leaks,
            warn_of_rounding,
            with_adapters,
        )
        from selfdistill.training.trainer.recorder import StepRecorder
        from selfdistill.training.trainer.trainer import MeasuredTrainer

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(settings.threads)
    training = settings.training
    model = load_model(model_folder, training.precision)
    if training.lora:
        model = with_adapters(model, training.lora, settings.seed("adapters"))
    if training.precision == "pure-bf16":
        warn_of_rounding(model, training)
    refuse_without_disk(model, work.path, model_folder, len(exports), total_steps, settings)
    refuse_without_memory(model, settings, int(ordered.select(LENGTH.max()).item()))
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder, local_files_only=True)
    rows = evened(token_rows(ordered), training.micro_batch * settings.ranks if settings.ranks > 1 else 1)
    numbers = [number if number < ordered.height else -1 for number in range(len(rows["labels"]))]
    collator = DataCollatorForLanguageModeling(
        tokenizer.pad_token_id or tokenizer.eos_token_id or 0, padding_free=training.collation == "padding-free"
    )
    if training.collation == "padding-free":
        probes = [{key: rows[key][number] for key in rows} for number in range(min(3, ordered.height))]
        refuse_leaks(model, collator, probes, settings.device)
    if training.compile:
        compile_layers(model)
    trainer = MeasuredTrainer(
        model=model,
        args=trainer_config(settings, work.path, sum(parameter.numel() for parameter in model.parameters())),
        data_collator=collator,
        train_dataset=datasets.Dataset.from_dict(rows | {"example": numbers}),
        processing_class=tokenizer,
        settings=settings,
        work=work,
        source=model_folder,
        exports=exports,
        check_examples=check_examples(ordered, settings.context),
        total_steps=total_steps,
        request_ids=ordered["request_id"].to_list(),
        stop_requested=stop_requested,
    )
    trainer.add_callback(StepRecorder(trainer))
    if has_targets(ordered):
        add_soft_loss(plain_model(model))
        trainer.data_collator = TaughtCollator(trainer.data_collator, ordered)
    return trainer


def export_steps(percents: list[int], total_steps: int) -> dict[str, int]:
    """Name of each exported model, and the step after which it is made."""
    return {f"at-{percent:03d}": max(1, round(total_steps * percent / 100)) for percent in percents}


def dataset_digest(dataset: pl.DataFrame) -> str:
    """SHA-256 over what training reads: the requests and their tokens, in order; not over the file that holds them."""
    total = hashlib.sha256()
    for request, prompt, completion in dataset.select("request_id", "prompt_ids", "completion_ids").iter_rows():
        total.update(f"{request} {len(prompt)} {len(completion)}\n".encode())
        total.update(np.asarray(prompt + completion, dtype="<i4").tobytes())
    return total.hexdigest()


def refuse_missing_trackers(settings: RunSettings) -> None:
    """Said before the first step: the trainer would say so only after the model is loaded."""
    for tracker in settings.training.trackers:
        packages = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}[tracker]
        if not any(find_spec(package) for package in packages):
            raise UserError(
                f"training.trackers: {tracker} is asked for and not installed; install the package {packages[0]} into the "
                "training environment or take it out."
            )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
