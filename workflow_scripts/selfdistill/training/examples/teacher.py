"""What the base would have drawn, at an arm's decode, at every token that the arm is trained on: its soft targets.

In: the base, the arm's dataset, its decode. Out: a table of the retained tokens and their probabilities, a row per example,
and what it says in sum. The base is run as the student is before its first step (float32; bf16 autocast on a GPU), so
that at temperature 1 and without truncation there is nothing to learn. One example is in memory at a time, and the logits
of a few of its positions.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
import transformers
from torch import Tensor

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.sampling.law import Law, law_numbers, steps_of, token_weights
from selfdistill.study.cross_checks import against_soft_targets
from selfdistill.study.sampling import Decode
from selfdistill.tables.schema import empty_table
from selfdistill.tables.streams import PIECE_TOKENS, TableWriter
from selfdistill.tables.training import DATASET, TARGETS
from selfdistill.tables.whole import read_table
from selfdistill.training.objectives.head import float32_logits, head_makes_the_logits, head_precision
from selfdistill.training.objectives.soft import position_chunks
from selfdistill.training.trainer.kernels import refuse_slow_kernels
from selfdistill.training.trainer.model import load_model

# Two programs break ties and near-ties differently, in bf16 oftener. More than this, and the samples are of another law.
OUTSIDE = 0.01
MEASURES = {
    "tokens": pl.col("retained").list.len(),
    "kept": pl.col("token_ids").list.len(),
    "largest": pl.col("retained").list.max(),
    **{name: pl.col(name) for name in ("entropy", "sampled_probability", "outside")},
}


def write_targets(
    model_folder: Path,
    dataset_file: Path,
    decode: Decode,
    device: str,
    out: Path,
    summary: Path,
    slow_kernels: bool = False,
) -> None:
    """The table, and beside it what it says in sum."""
    if complaint := against_soft_targets(decode):
        raise UserError(complaint)
    refuse_slow_kernels(model_folder, device, accept_slow=slow_kernels)
    transformers.utils.logging.disable_progress_bar()
    dataset = read_table(dataset_file, DATASET, ("request_id", "prompt_ids", "completion_ids"))
    model = load_model(model_folder).to(device).eval()
    refuse_other_logits(model, dataset)
    measured, began = empty_table(TARGETS).select(**MEASURES), time.monotonic()
    with TableWriter(out, TARGETS) as table:
        for piece in target_pieces(model, dataset, decode):
            table.write(piece)
            measured.extend(piece.select(**MEASURES))
            said = in_sum(measured)
            pace = f"{said['tokens'] / (time.monotonic() - began):.0f} tokens/s"
            print(f"taught {said['examples']} of {dataset.height} examples, {pace}", file=sys.stderr, flush=True)
        refuse_another_law(said)
    write_json(summary, said | {"bytes_per_token": out.stat().st_size / said["tokens"]})


def refuse_other_logits(model: Any, dataset: pl.DataFrame) -> None:
    if not head_makes_the_logits(model, dataset["prompt_ids"][0].to_list()[:32]):
        raise UserError(
            f"{type(model).__name__} does more than its head to make logits (it scales or caps them): soft targets are not "
            "for such models."
        )


def target_pieces(model: Any, dataset: pl.DataFrame, decode: Decode) -> Iterator[pl.DataFrame]:
    rows, tokens = [], 0
    for request_id, prompt, completion in dataset.iter_rows():
        rows.append({"request_id": request_id} | example_targets(model, prompt, completion, decode))
        tokens += len(completion)
        if tokens >= PIECE_TOKENS:
            yield pl.DataFrame(rows, schema=TARGETS)
            rows, tokens = [], 0
    yield pl.DataFrame(rows, schema=TARGETS)


@torch.inference_mode()
def example_targets(model: Any, prompt: list[int], completion: list[int], decode: Decode) -> dict[str, Any]:
    """q at each token of one completion."""
    device, head = model.device, model.get_output_embeddings()
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        hidden = _hidden(model, torch.tensor([prompt + completion], device=device))[len(prompt) - 1 : -1]
        sampled = torch.tensor(completion, device=device)
        chunks = [
            retained_tokens(_logits(hidden[chunk], head), decode, sampled[chunk])
            for chunk in position_chunks(len(completion), len(head.weight))
        ]
    counts, ids, q, of_sampled = (torch.cat(each).cpu().numpy() for each in zip(*chunks, strict=True))
    return {
        "retained": counts.astype(np.int32),
        "token_ids": ids.astype(np.int32),
        "probabilities": q.astype(np.float32),
        "entropy": float(-(q * np.log(q)).sum()),
        "sampled_probability": float(of_sampled.sum()),
        "outside": int((of_sampled == 0).sum()),
    }


class Retained(NamedTuple):
    """What a decode retains at some positions, one position after the other."""

    counts: Tensor  # of tokens, at each position
    token_ids: Tensor
    probabilities: Tensor
    of_sampled: Tensor  # the sampled token's probability, at each position


def retained_tokens(logits: Tensor, decode: Decode, sampled: Tensor) -> Retained:
    law = Law(*torch.tensor([law_numbers(decode)], device=logits.device).unbind(1))
    weights = token_weights(logits, law, steps_of([decode], logits.shape[1]))
    positions, ids = weights.nonzero(as_tuple=True)
    kept = weights[positions, ids].double()
    totals = kept.new_zeros(len(logits)).index_add_(0, positions, kept)
    of_sampled = weights.gather(1, sampled[:, None])[:, 0].double() / totals
    return Retained((weights > 0).sum(1), ids, kept / totals[positions], of_sampled)


def _hidden(model: Any, input_ids: Tensor) -> Tensor:
    return model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state[0]


def _logits(hidden: Tensor, head: Any) -> Tensor:
    precision = head_precision(hidden)
    return float32_logits(hidden.to(precision), head.weight.to(precision), head.bias)


def in_sum(measured: pl.DataFrame) -> dict[str, Any]:
    total = measured.sum().row(0, named=True)
    tokens = total["tokens"]
    return {
        "examples": measured.height,
        "tokens": tokens,
        "mean_retained": total["kept"] / tokens,
        "largest_retained": measured["largest"].max(),
        "loss_floor": total["entropy"] / tokens,  # H(q), nats a token: the loss of a student that is q
        "mean_sampled_probability": total["sampled_probability"] / tokens,
        "outside": total["outside"],
    }


def refuse_another_law(said: dict[str, Any]) -> None:
    if said["outside"] > OUTSIDE * said["tokens"]:
        raise UserError(
            f"{said['outside']} of {said['tokens']} sampled tokens are not among those that the decode retains, more than "
            f"{OUTSIDE:.0%}: the dataset was sampled from another model or at another decode; make it anew."
        )
