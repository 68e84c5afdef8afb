"""Gradients of single sequences at a frozen checkpoint, each split by the class of its tokens, folded into a sketch.

In: a checkpoint, the base, an arm's examples. Out: the products of all sequences' gradients with each other. A gradient is
the sum over a class's tokens, all weights, as training takes it before it divides by the tokens of a step; of an arm with
soft targets it is that of the sampled tokens, which agrees with its own on average. Every sequence takes one forward pass
and one backward pass for each class that it holds; its sketches lie in the work folder, and a probe that was killed goes on.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import torch
import transformers
from torch import Tensor

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import whole_file, write_json
from selfdistill.foundation.locks import held
from selfdistill.mechanism.classes import token_class
from selfdistill.mechanism.theory import Laws
from selfdistill.models.digests import model_digest
from selfdistill.sampling.law import Law, law_numbers, steps_of, token_weights
from selfdistill.study.mechanism import Classes
from selfdistill.study.sampling import Decode
from selfdistill.study.section import Section
from selfdistill.tables import words
from selfdistill.tables.mechanism import GRADIENT_PRODUCTS
from selfdistill.tables.whole import write_table
from selfdistill.training.examples.teacher import refuse_other_logits
from selfdistill.training.instruments.bf16 import pieces
from selfdistill.training.objectives.soft import (
    SoftTargets,
    float32_logits,
    head_precision,
    position_chunks,
    soft_cross_entropy,
)
from selfdistill.training.settings import identity_hash
from selfdistill.training.trainer.model import LARGE_MODEL, load_model

LEAST = 8  # sequences
NUMBERS_TOGETHER = 4096  # of each sketch, in the products


class ProbeSettings(Section):
    """All that the sketches depend on besides the models and the examples."""

    decode: Decode  # beyond whose kept set lies the tail
    classes: Classes
    sketch: int
    seed: int
    context: int
    device: Literal["cpu", "cuda"] = "cpu"


def probe_examples(dataset: pl.DataFrame, unused: pl.DataFrame, sequences: int, context: int) -> pl.DataFrame:
    """One example a problem, those first that no training was shown; chosen by their request ids, which are hashes.

    A model that was trained on a sequence has a gradient on it that speaks of that sequence's noise, too.
    """
    columns = ["request_id", "problem_id", "prompt_ids", "completion_ids"]
    shown = dataset.select(*columns, fresh=False)
    others = unused.join(dataset, on="problem_id", how="anti").select(*columns, fresh=True)
    length = pl.col("prompt_ids").list.len() + pl.col("completion_ids").list.len()
    fitting = pl.concat([others.sort("request_id"), shown.sort("request_id")]).filter(length <= context)
    chosen = fitting.unique("problem_id", keep="first", maintain_order=True).head(sequences)
    if chosen.height < LEAST:
        raise UserError(
            f"mechanism.noise: {chosen.height} examples of different problems fit the context, and {LEAST} are needed; "
            "raise training.samples."
        )
    return chosen


class Place(NamedTuple):
    """Which numbers of the sketch a tensor's first weight falls on, and the signs of all of its weights."""

    first: int
    signs: Tensor


class Sketch:
    """Folds a gradient into m numbers: weight after weight onto number after number, each with a random sign of its own.

    Products are kept on average, with an error of |a||b|/√m. The signs are a byte a weight and are drawn on the CPU, so that
    every device folds alike.
    """

    def __init__(self, parameters: Sequence[Tensor], numbers: int, seed: int) -> None:
        self.parameters, self.numbers = parameters, numbers
        generator, first = torch.Generator().manual_seed(seed), 0
        self.places: list[Place] = []
        for parameter in parameters:
            signs = torch.randint(0, 2, (parameter.numel(),), generator=generator, dtype=torch.int8).mul_(2).sub_(1)
            self.places.append(Place(first, signs.to(parameter.device)))
            first = (first + parameter.numel()) % numbers

    @torch.no_grad()
    def of_gradient(self) -> Tensor:
        """Of what `.grad` holds."""
        total = torch.zeros(self.numbers, device=self.parameters[0].device)
        for parameter, (first, signs) in zip(self.parameters, self.places, strict=True):
            if parameter.grad is not None:
                for part, part_signs in zip(pieces(parameter.grad), pieces(signs), strict=True):
                    self._fold(total, part.float() * part_signs, first)
                    first = (first + part.numel()) % self.numbers
        return total

    def _fold(self, total: Tensor, signed: Tensor, first: int) -> None:
        start = min(self.numbers - first, signed.numel())
        total[first : first + start] += signed[:start]
        whole = (signed.numel() - start) // self.numbers * self.numbers
        total += signed[start : start + whole].view(-1, self.numbers).sum(0)
        rest = signed[start + whole :]
        total[: rest.numel()] += rest


# The classes of a completion's tokens


@torch.inference_mode()
def token_parts(base: Any, prompt: list[int], completion: list[int], settings: ProbeSettings) -> np.ndarray:
    """Index of each token's part (words.GRADIENT_PARTS), by the base's law at temperature 1."""
    head, decode = base.get_output_embeddings(), settings.decode
    law = Law(*torch.tensor([law_numbers(decode)], device=base.device).unbind(1))
    with torch.autocast(base.device.type, torch.bfloat16, enabled=base.device.type == "cuda"):
        hidden = hidden_states(base, prompt, completion)
        found = []
        for chunk in position_chunks(len(completion), len(head.weight)):
            precision = head_precision(hidden)
            logits = float32_logits(hidden[chunk].to(precision), head.weight.to(precision), head.bias)
            kept = token_weights(logits, law, steps_of([decode], logits.shape[1])) > 0
            p = logits.softmax(-1)
            top, second = p.topk(2).values.unbind(-1)
            found.append(parts_of(top, second, 1 - (p * kept).sum(-1), settings.classes))
    return np.concatenate(found)


def parts_of(top: Tensor, second: Tensor, tail: Tensor, thresholds: Classes) -> np.ndarray:
    """The probed positions' classes, of which only locks and forks are told apart here."""
    laws = Laws.of(torch.stack([top, second], dim=-1).double().log().cpu().numpy())
    classes = token_class(laws, tail.double().cpu().numpy(), thresholds)
    lock, fork, rest = map(words.GRADIENT_PARTS.index, (words.LOCK, words.FORK, words.REST))
    return np.select([classes == words.LOCK, classes == words.FORK], [lock, fork], rest).astype(np.int8)


def hidden_states(model: Any, prompt: list[int], completion: list[int]) -> Tensor:
    """Of the positions that speak of the completion's tokens."""
    ids = torch.tensor([prompt + completion], device=model.device)
    states: Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
    return states[len(prompt) - 1 : -1]


# The gradients


def sequence_sketches(
    model: Any, sketch: Sketch, prompt: list[int], completion: list[int], parts: np.ndarray
) -> Tensor:
    """A row for each part: the sketch of the gradient of the summed loss of its tokens."""
    device = model.device
    rows = torch.zeros(len(words.GRADIENT_PARTS), sketch.numbers, device=device)
    there = [part for part in range(len(rows)) if (parts == part).any()]
    tokens, of_part = torch.tensor(completion, device=device), torch.tensor(parts, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        hidden = hidden_states(model, prompt, completion)
        for part in there:
            chosen = of_part == part
            model.zero_grad(set_to_none=True)
            loss = sum_of_losses(hidden[chosen], model.get_output_embeddings(), tokens[chosen])
            loss.backward(retain_graph=part != there[-1])  # type: ignore[no-untyped-call]
            rows[part] = sketch.of_gradient()
    model.zero_grad(set_to_none=True)
    return rows


def sum_of_losses(hidden: Tensor, head: Any, tokens: Tensor) -> Tensor:
    """−Σ log p of these tokens; logits are made for a few positions at a time, and for the gradient never all at once."""
    one = torch.ones(len(tokens), device=hidden.device)
    return soft_cross_entropy(hidden, head, SoftTargets(one.long(), tokens, one)).loss


def products_of(sketches: np.ndarray) -> np.ndarray:
    """Of all rows with all rows, in float64."""
    total = np.zeros((len(sketches), len(sketches)))
    for first in range(0, sketches.shape[1], NUMBERS_TOGETHER):
        part = sketches[:, first : first + NUMBERS_TOGETHER].astype(np.float64)
        total += part @ part.T
    return total


# The program


class Kept:
    """What is known of each sequence already: a file each, whole or not there."""

    def __init__(self, folder: Path, kind: str, shape: tuple[int, ...] | None) -> None:
        self.folder, self.kind, self.shape = folder, kind, shape

    def get(self, request_id: str) -> np.ndarray | None:
        try:
            found: np.ndarray = np.load(self._path(request_id), allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            return None
        return found if self.shape in (None, found.shape) and np.isfinite(found).all() else None

    def put(self, request_id: str, array: np.ndarray) -> None:
        with whole_file(self._path(request_id)) as part, open(part, "wb") as handle:
            np.save(handle, array)

    def _path(self, request_id: str) -> Path:
        return self.folder / f"{self.kind}-{request_id}.npy"


def write_products(
    model_folder: Path, base_folder: Path, examples: pl.DataFrame, settings: ProbeSettings, out: Path, work: Path
) -> None:
    transformers.utils.logging.disable_progress_bar()
    same = model_folder.resolve() == base_folder.resolve()
    with held(work / "lock", lambda other: f"{work}: {other} probes these gradients already; wait for it or stop it."):
        folder = _claimed(work, settings, model_folder, base_folder)
        parts = Kept(folder, "parts", None)
        base = _with_parts(base_folder, examples, settings, parts)
        model = base if same and base is not None else load_model(model_folder)
        del base
        table = _table(model, examples, settings, parts, Kept(folder, "sketch", _shape(settings)))
        write_table(table, out, GRADIENT_PRODUCTS)
        shutil.rmtree(folder)


def _shape(settings: ProbeSettings) -> tuple[int, int]:
    return len(words.GRADIENT_PARTS), settings.sketch


def _claimed(work: Path, settings: ProbeSettings, model: Path, base: Path) -> Path:
    """The folder of this very probe. One of other settings is of no use to it and is left alone."""
    identity = {"settings": settings.model_dump(), "model": model_digest(model), "base": model_digest(base)}
    folder = work / identity_hash(identity)[:16]
    if not folder.is_dir():
        write_json(folder / "identity.json", identity)
    return folder


def _with_parts(base_folder: Path, examples: pl.DataFrame, settings: ProbeSettings, kept: Kept) -> Any | None:
    """Every sequence's parts are known afterwards; the base is given back where it was needed for that."""
    asked = [row for row in examples.iter_rows(named=True) if kept.get(row["request_id"]) is None]
    if not asked:
        return None
    base = load_model(base_folder).to(settings.device).eval()
    refuse_other_logits(base, examples)
    for row in asked:
        kept.put(row["request_id"], token_parts(base, row["prompt_ids"], row["completion_ids"], settings))
    return base


def _table(model: Any, examples: pl.DataFrame, settings: ProbeSettings, parts: Kept, sketches: Kept) -> pl.DataFrame:
    model = model.to(settings.device).eval()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = sum(parameter.numel() for parameter in learning)
    if settings.device == "cuda" and weights >= LARGE_MODEL:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.train()  # else nothing is recomputed; there is no dropout
    sketch = Sketch(learning, settings.sketch, settings.seed)
    rows: list[dict[str, Any]] = []
    found: list[np.ndarray] = []
    for row, of_tokens, of_gradients in _gradients(model, sketch, examples, parts, sketches):
        found.append(of_gradients)
        common = {key: row[key] for key in ("request_id", "problem_id", "fresh")}
        common |= {"sketch": settings.sketch, "parameters": weights}
        counts = np.bincount(of_tokens, minlength=len(words.GRADIENT_PARTS))
        rows += [common | {"part": part, "tokens": int(counts[at])} for at, part in enumerate(words.GRADIENT_PARTS)]
    products = products_of(np.concatenate(found))
    table = pl.DataFrame(
        [row | {"products": products[at]} for at, row in enumerate(rows)], schema_overrides=GRADIENT_PRODUCTS
    )
    return table.select(list(GRADIENT_PRODUCTS))


def _gradients(
    model: Any, sketch: Sketch, examples: pl.DataFrame, parts: Kept, sketches: Kept
) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    began, tokens = time.monotonic(), 0
    for number, row in enumerate(examples.iter_rows(named=True), start=1):
        name, of_tokens = row["request_id"], parts.get(row["request_id"])
        assert of_tokens is not None
        found = sketches.get(name)
        if found is None:
            found = sequence_sketches(model, sketch, row["prompt_ids"], row["completion_ids"], of_tokens).cpu().numpy()
            if not np.isfinite(found).all():
                raise UserError(
                    f"request {name}: its gradient is not finite; look at this checkpoint before anything else."
                )
            sketches.put(name, found)
            tokens += len(row["completion_ids"])
        if number == examples.height or number % max(1, examples.height // 20) == 0:
            pace = round(tokens / max(time.monotonic() - began, 1e-9))
            progress = {"event": "progress", "label": "gradients", "done": number, "total": examples.height}
            print(
                f"gradients {number}/{examples.height}  {pace} tokens/s\n{json.dumps(progress)}",
                file=sys.stderr,
                flush=True,
            )
        yield row, of_tokens, found
