"""The PyTorch engine: continuous batching on one thread or one device, for models that fit the Decoder.

Rows that finish are refilled from the queue as soon as enough of them are free to make a prefill worth its while;
when the queue is empty the rows in use are moved together, so that no step computes rows that nobody waits for.
"""

import time
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from selfdistill.sampling.decoder import Decoder
from selfdistill.sampling.engines import EngineSettings
from selfdistill.sampling.requests import Request, Sample
from selfdistill.sampling.sampling_law import Law, draw


class TorchEngine:
    name = "torch"
    version = str(torch.__version__)

    def __init__(self, settings: EngineSettings) -> None:
        self.device = torch.device(settings.device)
        self.context, self.batch = settings.context, settings.batch
        self.decoder = Decoder(settings.model, self.batch, self.context, getattr(torch, settings.dtype), self.device)
        self.stop_ids = torch.tensor(settings.stop_ids, device=self.device)

    @torch.inference_mode()
    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        rows = _Rows(self.batch, self.context, self.decoder.shape.vocabulary, self.device)
        refill = max(1, self.batch // 8)
        more = True
        while more or rows.used:
            free = self.batch - rows.used
            if more and (free >= refill or rows.used == 0):
                admitted = list(islice(requests, free))
                more = len(admitted) == free
                if admitted:
                    where = rows.admit(admitted)
                    logits = self.decoder.prefill([request.prompt_ids for request in admitted], where)
                    rows.take(where, logits)
            else:
                used = rows.used
                logits = self.decoder.step(rows.last[:used], rows.position[:used], rows.longest())
                rows.position[:used] += 1
                rows.take(torch.arange(used, device=self.device), logits)
            yield from rows.collect(self.stop_ids, self.decoder)


class _Rows:
    """The sequences under way. Rows 0 … used-1 of every column are in use."""

    def __init__(self, batch: int, context: int, vocabulary: int, device: torch.device) -> None:
        def column(dtype: torch.dtype) -> Tensor:
            return torch.zeros(batch, dtype=dtype, device=device)

        self.device, self.used = device, 0
        self.requests: list[Request] = []
        self.started: list[float] = []
        self.last, self.position, self.count = column(torch.long), column(torch.long), column(torch.long)
        self.seed, self.limit = column(torch.long), column(torch.long)
        self.law = Law(
            column(torch.float32),
            column(torch.long),
            column(torch.float32),
            column(torch.float32),
            column(torch.float32),
        )
        self.tokens = torch.zeros(batch, context, dtype=torch.int32, device=device)
        self.logprobs = torch.zeros(batch, context, dtype=torch.float32, device=device)
        self.seen = torch.zeros(batch, vocabulary, dtype=torch.bool, device=device)
        self.columns = [
            self.last,
            self.position,
            self.count,
            self.seed,
            self.limit,
            self.logprobs,
            self.tokens,
            self.seen,
        ]
        self.columns += [
            self.law.temperature,
            self.law.top_k,
            self.law.top_p,
            self.law.min_p,
            self.law.presence_penalty,
        ]

    def longest(self) -> int:
        return int(self.position[: self.used].max()) + 1

    def admit(self, requests: list[Request]) -> Tensor:
        where = torch.arange(self.used, self.used + len(requests), device=self.device)
        fill = {
            "seed": (self.seed, torch.long),
            "max_tokens": (self.limit, torch.long),
            "temperature": (self.law.temperature, torch.float32),
            "top_k": (self.law.top_k, torch.long),
            "top_p": (self.law.top_p, torch.float32),
            "min_p": (self.law.min_p, torch.float32),
            "presence_penalty": (self.law.presence_penalty, torch.float32),
        }
        for name, (column, dtype) in fill.items():
            column[where] = torch.tensor(
                [getattr(request, name) for request in requests], dtype=dtype, device=self.device
            )
        self.position[where] = torch.tensor([len(request.prompt_ids) for request in requests], device=self.device)
        self.count[where], self.seen[where] = 0, False
        self.requests += requests
        self.started += [time.monotonic()] * len(requests)
        self.used += len(requests)
        return where

    def take(self, where: Tensor, logits: Tensor) -> None:
        """Draws the next token of these rows. `position` is where that token will stand."""
        law = Law(*(column[where] for column in vars(self.law).values()))
        penalised = bool((law.presence_penalty != 0).any())
        tokens = draw(logits, law, self.seen[where] if penalised else None, self.seed[where], self.count[where])
        logprobs = logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
        self.logprobs[where, self.count[where]] = logprobs
        self.last[where] = tokens
        self.tokens[where, self.count[where]] = tokens.int()
        if penalised:
            self.seen[where, tokens] = True
        self.count[where] += 1

    def collect(self, stop_ids: Tensor, decoder: Decoder) -> Iterator[Sample]:
        """Yields the rows that are finished and closes the gaps they leave."""
        stopped = torch.isin(self.last[: self.used], stop_ids)
        finished = stopped | (self.count[: self.used] >= self.limit[: self.used])
        for row in reversed(finished.nonzero()[:, 0].tolist()):
            request = self.requests[row]
            yield Sample(
                request_id=request.request_id,
                token_ids=self.tokens[row, : int(self.count[row])].tolist(),
                finish_reason="stop" if bool(stopped[row]) else "length",
                logprobs=self.logprobs[row, : int(self.count[row])].tolist(),
                seconds=time.monotonic() - self.started[row],
            )
            self._remove(row, decoder)

    def _remove(self, row: int, decoder: Decoder) -> None:
        last = self.used - 1
        if row != last:
            for column in self.columns:
                column[row] = column[last]
            decoder.move(last, row, int(self.position[last]))
            self.requests[row], self.started[row] = self.requests[last], self.started[last]
        self.requests.pop()
        self.started.pop()
        self.used = last
