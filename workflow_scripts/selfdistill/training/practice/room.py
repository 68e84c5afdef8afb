"""What a practice takes beside what any training takes: memory of the models it is held against, disk of its rollouts."""

from pathlib import Path
from typing import Any

from selfdistill.training.objectives.divergence import LOGITS_TOGETHER, TABLES
from selfdistill.training.practice.configuration import is_halved
from selfdistill.training.practice.generations import journals_of
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.trainer.memory import Beside, Written

KNOBS = (
    "training.micro_batch (fewer sequences at once), training.activations (recompute), training.gpus (the state is shared "
    "out), training.lora, practice.base_kl: false with method grpo or a moving teacher, or a shorter model.context"
)
TOKEN_BYTES = 8  # of a rollout's token: its number, its text and its log-probability, compressed


def memory_beside(model: Any, settings: PracticeSettings, longest: int) -> Beside:
    """Copies of the model, and of `distil` the tables of logits that are held at once."""
    config = model.config.get_text_config()
    logits = min(settings.training.micro_batch * longest * config.vocab_size, LOGITS_TOGETHER)
    return Beside(bytes_of_copies(settings), TABLES * 4 * logits if settings.method == "distil" else 0, KNOBS)


def bytes_of_copies(settings: PracticeSettings) -> float:
    """For each weight: of a frozen base, which a fixed teacher is too, and of a teacher that moves, in float32 always."""
    recipe, moves = settings.practice, has_moving_teacher(settings)
    if settings.training.lora:
        return 0
    frozen = 2 if is_halved(settings) or settings.training.precision == "pure-bf16" else 4
    return frozen * (recipe.base_kl or (settings.method == "distil" and not moves)) + 4 * moves


def has_moving_teacher(settings: PracticeSettings) -> bool:
    return settings.method == "distil" and settings.practice.teacher != "fixed"


def disk_of(model: Any, settings: PracticeSettings, work: Path) -> Written:
    """A checkpoint is made after every generation, and the one before it goes when it is whole. Rollouts stand in the
    journal, by generation, and at the end in one table; all are reckoned at the cap of their decode."""
    teacher = 4 * sum(parameter.numel() for parameter in model.parameters()) if has_moving_teacher(settings) else 0
    copies = 2 if settings.replays else 3
    rollouts = copies * TOKEN_BYTES * settings.practice.answers * settings.decode.max_tokens
    journal = sum(file.stat().st_size for file in journals_of(work).rglob("*") if file.is_file())
    return Written(2, teacher, max(0, rollouts - journal))
