"""A practice in the words of TRL."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.errors import UserError
from selfdistill.training.practice.batches import Deal
from selfdistill.training.practice.settings import PracticeSettings

if TYPE_CHECKING:
    from trl import GRPOConfig


def practice_config(settings: PracticeSettings, work: Path, kept: str) -> "GRPOConfig":
    """Every default that would change the loss is set. What TRL is told of generations is nothing that it ever does."""
    from trl import GRPOConfig

    from selfdistill.training.trainer.configuration import place, usual_arguments

    recipe = settings.practice
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        config = GRPOConfig(
            **usual_arguments(settings, work, kept),
            per_device_train_batch_size=1,  # a row of the dataset is a backward pass
            gradient_accumulation_steps=deal_of(settings).of_step // settings.ranks,
            num_generations=2,
            steps_per_generation=2,
            shuffle_dataset=False,
            max_completion_length=settings.decode.max_tokens,
            temperature=temperature_of(settings),
            beta=0.0,
            loss_type="grpo",  # a mean over sequences of means over tokens
            scale_rewards="none",  # advantages come with the rollouts
            epsilon=recipe.clip[0],
            epsilon_high=recipe.clip[1],
            delta=recipe.dual_clip,
            importance_sampling_level="token",
            num_iterations=1,
            mask_truncated_completions=False,
            disable_dropout=False,  # there is none
        )
    place(config, settings)
    return config


def temperature_of(settings: PracticeSettings) -> float:
    """What new and old log-probabilities are compared at: the law that rollouts were drawn from, before its truncation."""
    return settings.decode.temperature or 1.0


def deal_of(settings: PracticeSettings) -> Deal:
    return Deal(settings.practice.batch, settings.training.micro_batch, settings.practice.updates)


def is_halved(settings: PracticeSettings) -> bool:
    """Whether a frozen model's matrices are kept as a GPU multiplies them."""
    return settings.device == "cuda" and settings.training.precision == "float32"


def refuse_uneven(settings: PracticeSettings) -> None:
    """Whole groups for every update, and as many backward passes for every rank."""
    recipe, training = settings.practice, settings.training
    if recipe.questions % recipe.updates:
        raise UserError(
            f"practice.updates: {recipe.updates} does not divide practice.questions ({recipe.questions}): every update "
            "learns from whole groups."
        )
    if recipe.batch % (training.micro_batch * settings.ranks):
        raise UserError(
            f"training.micro_batch: {training.micro_batch} on {settings.ranks} processes does not divide the "
            f"{recipe.batch} rollouts of an update (practice.questions × rollouts / updates)."
        )
    if training.activations == "offload":
        raise UserError("training.activations: offload is not for arms that practise; take recompute.")
    if training.collation == "padding-free":
        raise UserError("training.collation: padding-free is not for arms that practise; take padded.")
    if training.lora and recipe.teacher != "fixed" and settings.method == "distil":
        raise UserError(
            "practice.teacher: a moving teacher is not for adapters: the base that it would be is kept once and shared; take "
            "teacher: fixed, or train without training.lora."
        )
