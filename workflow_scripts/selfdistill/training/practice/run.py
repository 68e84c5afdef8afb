"""One training on its own answers: a model, questions and settings in; what `train` leaves, every rollout and update out.

Everything of `training/run.py` holds here too: the work folder is one run's, nothing is public before it is whole, and the
same call goes on from the last checkpoint. Rollouts lie beside the work folder, so that they outlive a change of settings.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfdistill.foundation.files import write_json
from selfdistill.models.digests import model_digest
from selfdistill.tables.practice import ROLLOUTS, UPDATES
from selfdistill.tables.streams import TableWriter
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.handover.finished import MANIFEST, TABLES, remove_tree
from selfdistill.training.handover.records import MAKERS, run_manifest, updates_table
from selfdistill.training.practice.configuration import copies, deal_of, refuse_uneven, temperature_of
from selfdistill.training.practice.objective import Objective
from selfdistill.training.practice.rollouts import Question, RolloutSource, generation_file
from selfdistill.training.practice.settings import PracticeSettings, practice_identity
from selfdistill.training.processes import ranks
from selfdistill.training.run import Stopped, alone, export_steps, is_finished, refuse_missing_trackers, say
from selfdistill.training.trainer.kernels import refuse_slow_kernels

ROLLOUTS_FILE, UPDATES_FILE = "rollouts.parquet", "updates.parquet"


class Answers(NamedTuple):
    """Who is asked what, and who answers."""

    questions: Callable[[int], Sequence[Question]]  # of a generation
    source: RolloutSource
    digest: str  # of all that may be asked
    longest: int  # tokens of the longest sequence that may be learnt from
    replayed: str | None = None  # digest of the rollouts that are learnt from instead


def practise_run(
    model_folder: Path,
    settings: PracticeSettings,
    out: Path,
    work_folder: Path,
    answers: Callable[[WorkFolder], Answers],
    objective: Objective,
    stop_requested: Callable[[], bool] = lambda: False,
    slow_kernels: bool = False,
    study: str | None = None,
) -> dict[str, Any]:
    """Practise, or go on practising, and put the results into `out`. Returns the manifest."""
    refuse_missing_trackers(settings)
    refuse_uneven(settings)
    refuse_slow_kernels(model_folder, settings.device, accept_slow=slow_kernels)
    exports = export_steps(settings.training.checkpoints, settings.practice.steps)
    work = WorkFolder(work_folder)

    def take_up(given: Answers) -> tuple[dict[str, Any], bool]:
        origin = {"model": model_digest(model_folder), "dataset": given.digest}
        if given.replayed:
            origin["replayed"] = given.replayed
        identity = practice_identity(settings, origin)
        return identity, is_finished(work, identity, exports)

    with alone(work):
        given = answers(work)
        identity, finished = ranks.by_first(lambda: take_up(given))
        if finished:
            say(f"{settings.arm}: this very training was finished before; its results are put in place again")
        else:
            _practise(model_folder, settings, identity, work, exports, given, objective, stop_requested, study)
        ranks.by_first(lambda: work.result.publish_to(out, exports))
    return dict(json.loads((out / MANIFEST).read_text()))


def _practise(
    model_folder: Path,
    settings: PracticeSettings,
    identity: dict[str, Any],
    work: WorkFolder,
    exports: dict[str, int],
    answers: Answers,
    objective: Objective,
    stop_requested: Callable[[], bool],
    study: str | None,
) -> None:
    from selfdistill.training.trainer.memory import is_out_of_memory, out_of_memory

    recipe = settings.practice
    step, checkpoint = ranks.by_first(lambda: work.resume_point(exports))
    of = f"{recipe.generations} generations of {recipe.updates} steps"
    say(
        f"going on after generation {step // recipe.updates} of {recipe.generations}"
        if step
        else f"practising {settings.arm}: {of}"
    )
    trainer = build_trainer(model_folder, settings, work, exports, answers, objective, stop_requested)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(error, trainer.model, settings, answers.longest) from None
        raise
    if trainer.state.global_step < recipe.steps:
        raise Stopped(_stopped(trainer.state.global_step, settings))
    ranks.by_first(lambda: _finish(trainer, settings, identity, work, exports, study))


def _stopped(step: int, settings: PracticeSettings) -> str:
    generation, inside = divmod(step, settings.practice.updates)
    where = f"training stopped after step {step} of {settings.practice.steps}"
    if inside:
        return (
            f"{where}, inside generation {generation + 1}, of which no step is kept but every rollout; run the same command to "
            f"go on after generation {generation}."
        )
    return f"{where}, at the end of generation {generation}; run the same command to go on from there."


def _finish(
    trainer: Any,
    settings: PracticeSettings,
    identity: dict[str, Any],
    work: WorkFolder,
    exports: dict[str, int],
    study: str | None,
) -> None:
    rows = work.journal.rows()
    for name, schema in TABLES.items():
        meter = trainer.weights_meter
        write_table(MAKERS[name](rows, meter.groups, meter.weights), work.finished / name, schema)
    write_table(updates_table(rows), work.finished / UPDATES_FILE, UPDATES)
    with TableWriter(work.finished / ROLLOUTS_FILE, ROLLOUTS) as table:
        for generation in range(1, settings.practice.generations + 1):
            table.write(read_table(generation_file(generations_of(work), generation), ROLLOUTS))
    told = {"study": study, "samples_of": None, "method": settings.method, "weighing": "sequences"}
    manifest = run_manifest(settings, identity, trainer, rows, settings.practice.answers, work, exports) | told
    write_json(work.finished / MANIFEST, manifest)
    remove_tree(generations_of(work))
    remove_tree(work.path / "policy")
    work.clear()


def generations_of(work: WorkFolder) -> Path:
    return work.path / "generations"


def build_trainer(
    model_folder: Path,
    settings: PracticeSettings,
    work: WorkFolder,
    exports: dict[str, int],
    answers: Answers,
    objective: Objective,
    stop_requested: Callable[[], bool],
) -> Any:
    import datasets
    import torch
    import transformers

    from selfdistill.training.practice.configuration import practice_config
    from selfdistill.training.practice.stock import add_plain_head, enable_selective_activation_checkpointing
    from selfdistill.training.practice.teacher import fellows
    from selfdistill.training.practice.trainer import PractisingTrainer
    from selfdistill.training.trainer.memory import activations, refuse_without_disk, refuse_without_memory
    from selfdistill.training.trainer.model import (
        compile_layers,
        load_model,
        plain_model,
        warn_of_rounding,
        with_adapters,
    )
    from selfdistill.training.trainer.recorder import StepRecorder

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(settings.threads)
    training, recipe = settings.training, settings.practice
    model = load_model(model_folder, training.precision)
    if training.lora:
        model = with_adapters(model, training.lora, settings.seed("adapters"))
    if training.precision == "pure-bf16":
        warn_of_rounding(model, training)
    refuse_without_disk(model, work.path, model_folder, len(exports) + 1, recipe.steps, settings)
    refuse_without_memory(model, settings, answers.longest, copies=copies(settings))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    kept = activations(training.activations, settings.device, parameters)
    if kept == "recompute-all-but-attention":
        enable_selective_activation_checkpointing(model)
    if training.compile:
        compile_layers(model)
    base, teacher = fellows(model, model_folder, settings, objective)
    passes = deal_of(settings).of_generation * recipe.generations
    trainer = PractisingTrainer(
        model=model,
        args=practice_config(settings, work.path, kept),
        train_dataset=datasets.Dataset.from_dict({"pass": list(range(passes))}),
        processing_class=transformers.AutoTokenizer.from_pretrained(model_folder, local_files_only=True),
        settings=settings,
        work=work,
        source=model_folder,
        exports=exports,
        total_steps=recipe.steps,
        stop_requested=stop_requested,
        objective=objective,
        questions=answers.questions,
        source_of_rollouts=answers.source,
        base=base,
        teacher=teacher,
    )
    if temperature_of(settings) != 1:
        add_plain_head(plain_model(model))
    objective.prepare(plain_model(model))
    trainer.add_callback(StepRecorder(trainer))
    return trainer
