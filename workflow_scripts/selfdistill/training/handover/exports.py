"""An exported model: the source's files tensor by tensor, trained weights in the place of those they came from.

What training does not hold (the vision part of a composite model, heads for speculative decoding) and what it does not
change (configuration, tokenizer, generation defaults) are the source's own bytes. So whatever loads the source loads
the export, and an untrained export is the source. Beside the weights lie log-probabilities that the trainer's own model
gives, against which the sampling engine is checked (`export_check.py`).
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import sync_folder, sync_tree
from selfdistill.models.digests import TOKENIZER_FILES
from selfdistill.models.headers import INDEX, SINGLE_FILE, read_header, weight_files
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import write_table
from selfdistill.training.processes import ranks

if TYPE_CHECKING:
    import torch

TRAINED_LOGPROBS_FILE = "trained_logprobs.parquet"
BASE_LOGPROBS_FILE = "base_logprobs.parquet"  # of the same tokens before the first step; older exports lack it
# What else an engine reads. What is said about the source (cards, measurements) is not true of the export.
OTHER_FILES = ("config.json", "generation_config.json", "*processor_config.json", *TOKENIZER_FILES, "*.py")
EXAMPLES = 8
EXAMPLE_TOKENS = 1024  # of prompt and completion together: a longer completion is scored as far as this,
LEAST_TOKENS = 64  # or this far behind a long prompt
PRECISIONS = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def export_model(
    model: Any, source: Path, target: Path, trained: pl.DataFrame | None = None, base: Path | None = None
) -> None:
    """Write a model that every engine can load, whole or not at all; `trained` is what `trained_logprobs` gives.

    `base` is the file with what it gave before the first step, where that was written down. Every rank that holds a part of
    the model must call this; the first one writes.
    """
    part = target.with_name(f".{target.name}.part")
    ranks.by_first(lambda: _copy_other_files(source, part, trained, base))
    _write_weights(model, source, part)
    ranks.by_first(lambda: _put_in_place(part, target))


def _copy_other_files(source: Path, target: Path, trained: pl.DataFrame | None, base: Path | None) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for pattern in OTHER_FILES:
        for path in source.glob(pattern):
            shutil.copyfile(path, target / path.name)
    if trained is not None:
        write_table(trained, target / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    if base is not None and base.is_file():
        shutil.copyfile(base, target / BASE_LOGPROBS_FILE)
    if not (source / SINGLE_FILE).is_file():
        shutil.copyfile(source / INDEX, target / INDEX)


def _put_in_place(part: Path, target: Path) -> None:
    sync_tree(part)
    os.replace(part, target)
    sync_folder(target.parent)


def stored_precisions(folder: Path) -> set[str]:
    """The floating-point types in which a model's weights are stored."""
    stored = {tensor.dtype for file in weight_files(folder) for tensor in read_header(file).tensors.values()}
    return {PRECISIONS[dtype] for dtype in stored if dtype in PRECISIONS}


# The weights


def _write_weights(model: Any, source: Path, target: Path) -> None:
    trained = _by_stored_name(model)
    written: set[int] = set()
    for file in weight_files(source):
        written |= _write_file(file, target / file.name, trained)
    kept = written | {_address(buffer) for buffer in model.buffers()}
    lost = [name for name, tensor in trained.items() if _address(tensor) not in kept]
    ranks.by_first(lambda: _refuse_lost(source, lost))


def _address(tensor: "torch.Tensor") -> int:
    """Where a tensor lies: a tied weight has the address of the one that it is tied to."""
    return ranks.part(tensor).data_ptr()


def _refuse_lost(source: Path, names: list[str]) -> None:
    if names:
        raise UserError(
            f"{source}: the trained weight {names[0]} has no place among the tensors of its files, so an export would lose "
            "it; save the model anew with transformers (from_pretrained, save_pretrained) and train that."
        )


def _by_stored_name(model: Any) -> dict[str, "torch.Tensor"]:
    """The floating-point tensors of a model by the names that its files have, which transformers changes on loading."""
    from selfdistill.training.trainer.model import plain_model, trained_state
    from selfdistill.training.trainer.stock import revert_weight_conversion

    stored = revert_weight_conversion(plain_model(model), trained_state(model))
    return {name: tensor for name, tensor in stored.items() if tensor.is_floating_point()}


def _write_file(source: Path, target: Path, trained: dict[str, "torch.Tensor"]) -> set[int]:
    """A file with the header of the source's, one tensor in memory at a time. Returns the addresses of what was trained."""
    import torch

    written = set()
    header = read_header(source)
    with open(source, "rb") as old, open(target if ranks.is_first() else os.devnull, "wb") as new:
        new.write(header.raw)
        for name, place in header.tensors.items():
            tensor = trained.get(name)
            if tensor is None:
                old.seek(len(header.raw) + place.begin)
                new.write(old.read(place.end - place.begin))
                continue
            if place.dtype not in PRECISIONS or place.shape != list(tensor.shape):
                raise UserError(
                    f"{source}: {name} is stored as {place.dtype} of shape {place.shape} and was trained as "
                    f"{tensor.dtype} of shape {list(tensor.shape)}; is this a quantised model? Train the one it was made from."
                )
            whole = ranks.whole(tensor.detach())
            written.add(_address(tensor))
            if ranks.is_first():
                stored = whole.to("cpu", getattr(torch, PRECISIONS[place.dtype]))
                new.write(stored.contiguous().flatten().view(torch.uint8).numpy().data)
    return written


# The trainer's log-probabilities


def check_examples(dataset: pl.DataFrame, context: int) -> pl.DataFrame:
    """A few examples of a dataset, chosen by their request ids, which are hashes, so by nothing else about them."""
    prompt = pl.col("prompt_ids").list.len().cast(pl.Int64)
    whole = context - 1 - prompt  # vLLM takes no prompt as long as the context, and the completion is scored as its end
    room = pl.min_horizontal(whole, pl.max_horizontal(EXAMPLE_TOKENS - prompt, LEAST_TOKENS))
    chosen = dataset.filter(room > 0).unique("request_id").sort("request_id").head(EXAMPLES)
    return chosen.select("request_id", "prompt_ids", pl.col("completion_ids").list.head(room))


def trained_logprobs(model: Any, examples: pl.DataFrame, precision: str) -> pl.DataFrame:
    """What the trainer's model gives the tokens of these completions, computed as it trains, in `precision`.

    Its weights are the float32 ones, not those rounded for the export: to round them here would take a second copy of
    the model, or change weights under the optimiser. The limit of the check allows for the rounding.
    """
    training = model.training
    model.eval()
    found = list(_logprobs(model, examples))
    model.train(training)
    return examples.with_columns(
        pl.Series("log_probs", found, pl.List(pl.Float64)), pl.lit(precision).alias("precision")
    )


def _logprobs(model: Any, examples: pl.DataFrame) -> Iterator[list[float]]:
    import torch

    for prompt, completion in examples.select("prompt_ids", "completion_ids").iter_rows():
        ids = torch.tensor([prompt + completion], device=model.device)
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
            yield (-torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :], reduction="none")).tolist()
