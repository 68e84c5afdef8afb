"""What every engine must tell of next-token laws, compared with a plain forward pass of transformers and its whole logits."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from selfdistill.examination.checks import require
from selfdistill.sampling.requests import NextTokens, Probed, Request, request_id, seed_of

LAB = Path(__file__).parents[3] / "resources/lab"
MODEL = LAB / "model"
TOKENIZER = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
TOP, CONTEXT = 256, 320


def lab_requests(count: int, **decode: Any) -> list[Request]:
    """Requests to sample from the lab's model, as a plan would make them."""
    rows = [json.loads(line) for line in (LAB / "problems/exam.jsonl").read_text().splitlines()]
    settings = {
        "max_tokens": 224, "temperature": 1.0, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "presence_penalty": 0.0, **decode
    }  # fmt: skip
    asked = []
    for number in range(count):
        text = f"<|im_start|>user\n{rows[number % len(rows)]['problem']}<|im_end|>\n<|im_start|>assistant\n<think>\n"
        name = request_id("lab", "float32", [number], {}, 0, "", 0)
        asked.append(Request(name, TOKENIZER.encode(text).ids, seed=seed_of(name), **settings))
    return asked


def lab_probes(count: int = 6) -> list[Probed]:
    """Prompts of the lab, each gone on with by what a model might write, and by tokens that none would: ranks beyond the kept
    ones occur."""
    rng = np.random.default_rng(7)
    asked = []
    for number, request in enumerate(lab_requests(count)):
        likely = TOKENIZER.encode("Then 69+43=112.\n</think>\n\nThe answer is \\boxed{112}.<|im_end|>").ids
        completion = [*likely, *(int(token) for token in rng.integers(3, 500, 30 + 13 * number))]
        positions = sorted({0, len(completion) - 1, *map(int, rng.choice(len(completion), 12, replace=False))})
        asked.append(Probed(request.request_id, request.prompt_ids, completion, positions))
    # One that leaves a single token of the context.
    long = (lab_requests(1)[0].prompt_ids * CONTEXT)[: CONTEXT - 1]
    return [*asked, Probed("long", long[:10], long[10:], [0, 1, 150, len(long) - 11])]


@functools.cache
def _reference(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def reference_logits(probed: Probed, folder: Path = MODEL) -> NDArray[np.float64]:
    """[positions, vocabulary]"""
    with torch.no_grad():
        logits = _reference(folder)(torch.tensor([probed.prompt_ids + probed.completion_ids])).logits[0]
    return logits[[len(probed.prompt_ids) + position - 1 for position in probed.positions]].double().numpy()


def examine_all(told: list[NextTokens], asked: list[Probed], within: float, top: int = TOP) -> None:
    require(len(told) == len(asked), f"it tells of {len(told)} completions where {len(asked)} were given")
    for each, probed in zip(told, asked, strict=True):
        examine(each, probed, within, top=top)
    ranks = np.concatenate([each.ranks for each in told])
    assert ranks.min() == 1 and ranks.max() > TOP, "the examination must ask for both"


def examine(told: NextTokens, probed: Probed, within: float, folder: Path = MODEL, top: int = TOP) -> None:
    """Differences are allowed as a share of a log-probability, too: those of unlikely tokens are large numbers."""
    logits = reference_logits(probed, folder)
    total = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    logprobs = logits - total[:, None]
    stood = np.array([probed.completion_ids[position] for position in probed.positions])
    own = logprobs[np.arange(len(stood)), stood]
    shape = (len(stood), min(top, logits.shape[1]))
    require(
        told.carrier_id == probed.carrier_id, f"{told.carrier_id!r} is told of where {probed.carrier_id!r} was asked"
    )
    require(told.ids.shape == shape, f"ids have the shape {told.ids.shape} and must have {shape}")

    def alike(found: NDArray[Any], expected: NDArray[Any], what: str) -> None:
        require(
            found.shape == expected.shape and np.allclose(found, expected, rtol=within, atol=within),
            f"{what} differ from those of a plain forward pass by more than {within:g}",
        )

    alike(told.given, own, "log-probabilities of the tokens that stood there")
    alike(told.logprobs, -np.sort(-logprobs, 1)[:, : told.ids.shape[1]], "the likeliest tokens' log-probabilities")
    alike(told.logprobs, np.take_along_axis(logprobs, told.ids, 1), "log-probabilities by token id")
    require((np.diff(told.logprobs) <= 0).all(), "the likeliest tokens are not in falling order")
    require(all(len(set(row)) == len(row) for row in told.ids.tolist()), "a token is told twice")
    _examine_ranks(told, logprobs, stood, within)
    if told.entropy is not None:
        alike(told.entropy, -(np.exp(logprobs) * logprobs).sum(1), "entropies")
    if told.log_sum_exp is not None:
        alike(told.log_sum_exp, total, "log-sum-exps")


def _examine_ranks(told: NextTokens, logprobs: NDArray[np.float64], stood: NDArray[Any], within: float) -> None:
    """By sorting. Tokens as likely as the one that stood there may fall on either side of it."""
    for rank, row, token in zip(told.ranks, logprobs, stood, strict=True):
        slack = within * (1 + abs(row[token]))
        likelier, as_likely = (row > row[token] + slack).sum(), (row >= row[token] - slack).sum()
        require(1 + likelier <= rank <= as_likely, f"a token of rank {1 + likelier} is told to have rank {rank}")
