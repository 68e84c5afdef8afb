"""The depth of a thought: the layer from which on a model's next-token law stays near the one that it ends with.

After each layer the law is read as if that layer were the last, through the final norm and the head (arXiv 2602.13517, whose
threshold of 0.5 is the default). Its distance from the last layer's law is the Jensen–Shannon divergence in bits, between 0
and 1. That paper takes the first layer within the threshold; here all later ones must be within it too, so that a law that
comes near and leaves again has not settled.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import without_place
from selfdistill.mechanism.prober import Asked, Job, ProberSettings, ask
from selfdistill.sampling.engines.choice import choose_reader
from selfdistill.sampling.engines.contract import Engine
from selfdistill.sampling.engines.decoder import Decoder, read_shape
from selfdistill.sampling.engines.laws import parts_of, positions_together
from selfdistill.sampling.engines.torch_engine import TorchEngine, before, read_for
from selfdistill.sampling.requests import Probed
from selfdistill.study.sampling import AUTO
from selfdistill.tables.mechanism import DEPTHS

LAWS_TOGETHER = 4  # of the same size, while two are compared


def depths_of_model(job: Job, settings: ProberSettings, distance: float) -> None:
    refuse_without_layers(job.model, settings.engine)
    ask(job, settings.of_engine("torch"), DEPTHS, partial(depth_rows, distance=distance), {"distance": distance})


def refuse_without_layers(model: Path, engine: str) -> None:
    reader = choose_reader(engine, model)
    if reader == "torch":
        try:
            read_shape(model)
            return
        except UserError as error:
            raise UserError(f"mechanism.depth: remove the key, it cannot be measured here: {error}") from None
    chosen = ", and the torch engine does not know its norm and head" if engine == AUTO else ""
    raise UserError(
        f"mechanism.depth: remove the key; {model} is read by the {without_place(reader)} engine, which shows no layers{chosen}."
    )


def depth_rows(
    engine: Engine, asked: Asked, given: list[Probed], distance: float
) -> Iterator[tuple[str, pl.DataFrame]]:
    assert isinstance(engine, TorchEngine)
    for each in given:
        found = divergences(engine.decoder, each)
        columns = {
            "probe_id": asked.probes[each.carrier_id],
            "model_id": [asked.model_id] * len(found),
            "layers": [engine.decoder.shape.layers] * len(found),
            "depth": settled_at(found, distance),
            "distances": pl.Series(found).arr.to_list(),
        }
        yield each.carrier_id, pl.DataFrame(columns, strict=False)


def settled_at(distances: NDArray[np.float32], distance: float) -> NDArray[np.int64]:
    """The first layer, counted from 1, from which on all are within the distance. The last one is at no distance of itself."""
    layers = distances.shape[1]
    beyond = distances[:, ::-1] > distance
    return np.where(beyond.any(1), layers - beyond.argmax(1) + 1, 1)


@torch.inference_mode()
def divergences(decoder: Decoder, each: Probed, together: int | None = None) -> NDArray[np.float32]:
    """From the last layer's law, [positions, layers]. The logits of a few positions and two layers are held at once."""
    places, head = before(each, decoder.device), decoder.float32_head()
    states = torch.stack([hidden[places] for hidden in decoder.read(read_for(each))])
    together = together or max(1, positions_together(decoder.shape.vocabulary) // LAWS_TOGETHER)
    parts = []
    for part in parts_of(len(places), together):
        laws = (decoder.float32_logits(state[part], head).log_softmax(-1) for state in states[:-1])
        last = decoder.float32_logits(states[-1, part], head).log_softmax(-1)
        parts.append(torch.stack([*(divergence(law, last) for law in laws), last.new_zeros(len(last))], 1))
    return torch.cat(parts).cpu().numpy()


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """Jensen–Shannon, in bits, of rows of log-probabilities."""
    mean = torch.logaddexp(one, other) - math.log(2)
    both = one.exp() * (one - mean) + other.exp() * (other - mean)
    return (both.sum(-1) / (2 * math.log(2))).clamp(0.0, 1.0)
