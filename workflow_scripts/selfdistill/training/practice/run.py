"""One training on its own answers: a model, questions and settings in; what `train` leaves, every rollout and update out.

Everything of `training/run.py` holds here too: the work folder is one run's, nothing is public before it is whole, and the
same call goes on from the last checkpoint. Rollouts lie beside the work folder, so that they outlive a change of settings.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import loading
from selfdistill.models.digests import file_digest, model_digest
from selfdistill.tables.practice import QUESTIONS, UPDATES
from selfdistill.tables.whole import read_table, write_table
from selfdistill.tables.words import PRACTISED
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.handover.finished import MANIFEST, TABLES, remove_tree
from selfdistill.training.handover.records import MAKERS, run_manifest, updates_table
from selfdistill.training.practice.configuration import deal_of, refuse_uneven, temperature_of
from selfdistill.training.practice.generations import ROLLOUTS_FILE, Generations, rollout_source
from selfdistill.training.practice.order import Order, covered
from selfdistill.training.practice.rollouts import POLICY, Question, RolloutSource
from selfdistill.training.practice.settings import PracticeSettings, as_told, practice_identity, with_engine
from selfdistill.training.processes import ranks
from selfdistill.training.run import Stopped, TakenUp, alone, export_steps, is_finished, refuse_missing_trackers, say
from selfdistill.training.trainer.kernels import refuse_slow_kernels

UPDATES_FILE = "updates.parquet"


class Asked(NamedTuple):
    """Who is asked what, and who answers."""

    questions: Callable[[int], Sequence[Question]]  # of a generation
    source: RolloutSource
    longest: int  # tokens of the longest sequence that may be learnt from


def practise_run(
    model_folder: Path,
    questions_file: Path,
    settings: PracticeSettings,
    out: Path,
    work_folder: Path,
    stop_requested: Callable[[], bool] = lambda: False,
    replay: Path | None = None,
    slow_kernels: bool = False,
    study: str | None = None,
) -> dict[str, Any]:
    """Practise, or go on practising, and put the results into `out`. Returns the manifest.

    With the rollouts of another run nothing is sampled: they are learnt from, as these settings say.
    """
    refuse_missing_trackers(settings)
    refuse_uneven(settings)
    refuse_slow_kernels(model_folder, settings.device, accept_slow=slow_kernels)
    exports = export_steps(settings.training.checkpoints, settings.practice.steps)
    work = WorkFolder(work_folder)
    questions = covered(read_table(questions_file, QUESTIONS), settings.practice.coverage)
    if replay:
        digest = ranks.by_first(lambda: file_digest(replay))
        settings = settings.model_copy(update={"replays": digest})
    else:
        settings = with_engine(settings, model_folder)

    def take_up() -> TakenUp:
        identity = practice_identity(settings, origin_of(model_folder, questions, settings))
        return TakenUp(identity, is_finished(work, identity, exports, lambda: _harm(work, settings)))

    with alone(work):
        identity, finished = ranks.by_first(take_up)
        if finished:
            say(f"{settings.arm}: this very training was finished before; its results are put in place again")
        else:
            asked = Asked(
                Order(questions, settings.practice, settings.seed("order")).questions,
                rollout_source(settings, model_folder, work.path, replay, stop_requested, questions),
                longest_sequence(questions, settings),
            )
            _practise(model_folder, settings, identity, work, exports, asked, stop_requested, study)
        ranks.by_first(lambda: work.result.publish_to(out, exports))
    return dict(json.loads((out / MANIFEST).read_text()))


def _harm(work: WorkFolder, settings: PracticeSettings) -> str | None:
    """Of the generations before the last checkpoint: the policies that gave them are no more. The journal has the answers.

    After the last one all that is left to do is to put them together: what failed then is looked for now.
    """
    recipe, step = settings.practice, work.last_checkpoint()
    rows = recipe.questions * recipe.rollouts
    return Generations(work.path).harm(step // recipe.updates, rows, closely=step >= recipe.steps)


def origin_of(model_folder: Path, questions: pl.DataFrame, settings: PracticeSettings) -> dict[str, str]:
    """What it is made from, by content."""
    origin = {"model": model_digest(model_folder), "dataset": questions_digest(questions)}
    if settings.teacher and settings.teacher.template:
        origin["template"] = file_digest(Path(settings.teacher.template))
    return origin


def questions_digest(questions: pl.DataFrame) -> str:
    """SHA-256 over what is asked and told, in order; not over the file that holds it."""
    total = hashlib.sha256()
    for row in questions.select("problem_id", "problem", "gold", "prompt_ids", "told").iter_rows():
        total.update(json.dumps(row).encode() + b"\n")
    return total.hexdigest()


def longest_sequence(questions: pl.DataFrame, settings: PracticeSettings) -> int:
    """What memory is reckoned with: a teacher's prompt may fill the context."""
    if settings.method == "distil":
        return settings.context
    longest = questions["prompt_ids"].list.len().max()
    assert isinstance(longest, int)
    return min(settings.context, longest + settings.decode.max_tokens)


def _practise(
    model_folder: Path,
    settings: PracticeSettings,
    identity: dict[str, Any],
    work: WorkFolder,
    exports: dict[str, int],
    asked: Asked,
    stop_requested: Callable[[], bool],
    study: str | None,
) -> None:
    from selfdistill.training.practice.room import memory_beside
    from selfdistill.training.trainer.memory import is_out_of_memory, out_of_memory

    recipe = settings.practice
    step, checkpoint = ranks.by_first(lambda: work.resume_point(exports))
    of = f"{recipe.generations} generations of {recipe.updates} steps"
    say(
        f"going on after generation {step // recipe.updates} of {recipe.generations}"
        if step
        else f"practising {settings.arm}: {of}"
    )
    trainer = build_trainer(model_folder, settings, work, exports, asked, stop_requested)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            beside = memory_beside(trainer.model, settings, asked.longest)
            raise out_of_memory(error, trainer.model, settings, asked.longest, beside) from None
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
    generations = Generations(work.path)
    generations.together(work.finished / ROLLOUTS_FILE, settings.practice.generations)
    told = {"study": study, "samples_of": PRACTISED, "method": settings.method, "weighing": "sequences"}
    manifest = run_manifest(settings, identity, trainer, rows, settings.practice.answers, work, exports) | told
    manifest |= {"settings": as_told(settings)}
    write_json(work.finished / MANIFEST, manifest)
    generations.clear()
    remove_tree(work.path / POLICY)
    work.clear()


def build_trainer(
    model_folder: Path,
    settings: PracticeSettings,
    work: WorkFolder,
    exports: dict[str, int],
    asked: Asked,
    stop_requested: Callable[[], bool],
) -> Any:
    with loading():
        import datasets
        import torch
        import transformers

        from selfdistill.training.objectives.choice import objective_of
        from selfdistill.training.practice.configuration import practice_config
        from selfdistill.training.practice.room import disk_of, memory_beside
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
    written = disk_of(model, settings, work.path)
    refuse_without_disk(model, work.path, model_folder, len(exports) + 1, recipe.steps, settings, written)
    refuse_without_memory(model, settings, asked.longest, memory_beside(model, settings, asked.longest))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    kept = activations(training.activations, settings.device, parameters)
    if kept == "recompute-all-but-attention":
        enable_selective_activation_checkpointing(model)
    if training.compile:
        compile_layers(model)
    objective = objective_of(settings.method, recipe, temperature_of(settings))
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
        questions=asked.questions,
        source_of_rollouts=asked.source,
        base=base,
        teacher=teacher,
    )
    if temperature_of(settings) != 1:
        add_plain_head(plain_model(model))
    objective.prepare(plain_model(model))
    trainer.add_callback(StepRecorder(trainer))
    return trainer
