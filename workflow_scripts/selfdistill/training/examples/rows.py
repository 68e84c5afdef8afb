"""From the rows of a dataset to what a model is shown: their order, their labels, and how a backward pass holds them."""

import sys

import numpy as np
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.training.settings import RunSettings

IGNORED = -100  # label of a token without loss
LENGTH = pl.col("prompt_ids").list.len().cast(pl.Int64) + pl.col("completion_ids").list.len()


def fit_examples(dataset: pl.DataFrame, settings: RunSettings) -> pl.DataFrame:
    """The examples that can be trained on. Too long is an error, unless the study says what to do with it."""
    refuse_unfit(dataset, settings)
    long = dataset.filter(settings.context < LENGTH)
    if long.is_empty():
        return dataset
    policy = settings.training.over_length
    if policy == "raise":
        raise UserError(
            f"request {long['request_id'][0]}: {long.select(LENGTH)[0, 0]} tokens do not fit the context of "
            f"{settings.context} ({long.height} such): raise model.context, lower the decode's max_tokens, or set "
            "training.over_length to drop or truncate; nothing is cut silently."
        )
    room = settings.context - pl.col("prompt_ids").list.len().cast(pl.Int64)
    fitting = dataset.filter(settings.context >= LENGTH) if policy == "drop" else dataset.filter(room > 0)
    fitting = fitting.with_columns(pl.col("completion_ids").list.head(room.filter(room > 0)))
    print(
        f"training.over_length: {policy}: {long.height} of {dataset.height} examples are longer than {settings.context} "
        f"tokens; {dataset.height - fitting.height} were dropped.",
        file=sys.stderr,
    )
    refuse_unfit(fitting, settings)
    return fitting


def refuse_unfit(dataset: pl.DataFrame, settings: RunSettings) -> None:
    """An example without a prompt or without a token to train on is an error, and so are samples of several models."""
    training = settings.training
    if dataset.height < training.batch:
        raise UserError(
            f"the dataset holds {dataset.height} examples, fewer than one batch (training.batch: {training.batch})."
        )
    if training.batch % (training.micro_batch * settings.ranks):
        raise UserError(
            f"training.micro_batch: {training.micro_batch} on {settings.ranks} processes does not divide training.batch "
            f"({training.batch})."
        )
    if training.activations == "offload" and settings.device == "cpu":
        raise UserError("training.activations: offload moves them from a GPU to main memory; this run is on the CPU.")
    empty = dataset.filter((pl.col("prompt_ids").list.len() == 0) | (pl.col("completion_ids").list.len() == 0))
    if empty.height:
        raise UserError(
            f"request {empty['request_id'][0]}: has no token to train on, or no prompt; make the dataset anew."
        )
    models = dataset["model_id"].unique().sort().to_list()
    if len(models) > 1:
        raise UserError(
            f"the dataset holds samples of {len(models)} models ({', '.join(models)}): "
            "self-distillation is from one model; make the dataset anew from the samples of one."
        )


def example_order(examples: int, epochs: int, seed: int) -> np.ndarray:
    """Row numbers in the order of training, epoch after epoch.

    The generator has a hashed seed: the trainer's own sampler adds the epoch to the seed, so that neighbouring seeds
    are one stream shifted by an epoch and no replicates of each other.
    """
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.permutation(examples) for _ in range(epochs)])


def training_order(examples: int, settings: RunSettings) -> np.ndarray:
    """All rows that the run will see, in order: epochs, and no more than `max_steps` steps."""
    order = example_order(examples, settings.training.epochs, settings.seed("data order"))
    return order[: settings.training.max_steps * settings.training.batch] if settings.training.max_steps else order


def token_rows(dataset: pl.DataFrame) -> dict[str, list[list[int]]]:
    """Input ids and labels: no loss on the prompt, loss on the completion as it was sampled, and on nothing else."""
    prompts, completions = dataset["prompt_ids"].to_list(), dataset["completion_ids"].to_list()
    pairs = list(zip(prompts, completions, strict=True))
    return {
        "input_ids": [prompt + completion for prompt, completion in pairs],
        "labels": [[IGNORED] * len(prompt) + completion for prompt, completion in pairs],
    }


def evened(rows: dict[str, list[list[int]]], multiple: int) -> dict[str, list[list[int]]]:
    """With rows without a supervised token at the end, so that every rank has its share of the last step's passes.

    They add nothing to the step's sum. Left to itself, the data loader would repeat the first rows instead.
    """
    missing = -len(rows["labels"]) % multiple
    return {
        "input_ids": rows["input_ids"] + [rows["input_ids"][0][:2]] * missing,
        "labels": rows["labels"] + [[IGNORED] * 2] * missing,
    }
