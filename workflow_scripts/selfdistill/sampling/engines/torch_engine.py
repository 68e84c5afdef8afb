"""The PyTorch engine: continuous batching on one thread or one device, for models that fit the Decoder.

Rows that finish are refilled from the queue as soon as enough of them are free to make a prefill worth its while, and
the rows in use are always the first ones, so that no step computes rows that nobody waits for.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.decoder import Decoder, Span, padded
from selfdistill.sampling.engines.laws import next_tokens, positions_together
from selfdistill.sampling.law import Law, draw, law_numbers, shares, steps_of
from selfdistill.sampling.requests import Given, NextTokens, Probed, Request, Sample

SPAN = 32  # rows that attend together on a CPU


class TorchEngine:
    name = "torch"
    version = str(torch.__version__)

    def __init__(self, settings: EngineSettings) -> None:
        self.settings, self.device = settings, torch.device(settings.device)
        dtype = getattr(torch, settings.dtype)
        self.decoder = Decoder(settings.model, settings.batch, settings.context, dtype, self.device)

    @torch.inference_mode()
    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        rows = _Rows(self.settings, self.decoder)
        refill = max(1, self.settings.batch // 8)
        more = True
        while more or rows.used:
            free = self.settings.batch - rows.used
            if more and (free >= refill or not rows.used):
                admitted = list(islice(requests, min(free, refill)))
                more = len(admitted) == min(free, refill)
                if admitted:
                    rows.admit(admitted)
            else:
                rows.step()
            yield from rows.finished()

    @torch.inference_mode()
    def score(self, given: list[Given]) -> list[list[float]]:
        found: dict[str, list[float]] = {}
        longest_first = sorted(given, key=lambda each: -len(each.completion_ids))
        for begin in range(0, len(given), self.settings.batch):
            found |= self._score_together(longest_first[begin : begin + self.settings.batch])
        return [found[each.request_id] for each in given]

    @torch.inference_mode()
    def distributions(self, given: Iterable[Probed], top: int) -> Iterator[NextTokens]:
        """One text at a time: a long one fills any device, and short ones take no time."""
        head = self.decoder.float32_head()
        together = positions_together(self.decoder.shape.vocabulary)
        for each in given:
            *_, hidden = self.decoder.read(read_for(each))
            asked = hidden[before(each, self.device)]
            stood = torch.tensor([each.completion_ids[position] for position in each.positions], device=self.device)

            def logits_of(part: slice, asked: Tensor = asked) -> Tensor:
                return self.decoder.float32_logits(asked[part], head)

            yield next_tokens(each.carrier_id, logits_of, stood, top, together)

    def _score_together(self, given: list[Given]) -> dict[str, list[float]]:
        """Token by token through the cache, as it samples. Shorter completions stand behind longer ones and drop out."""
        logits = self.decoder.prefill([each.prompt_ids for each in given], 0)
        found: dict[str, list[float]] = {each.request_id: [] for each in given}
        for count in range(len(given[0].completion_ids)):
            asked = [each for each in given if len(each.completion_ids) > count]
            tokens = torch.tensor([each.completion_ids[count] for each in asked], device=self.device)
            given_to = logits[: len(asked)].log_softmax(-1).gather(1, tokens[:, None])[:, 0]
            for each, logprob in zip(asked, given_to.tolist(), strict=True):
                found[each.request_id].append(logprob)
            positions = [len(each.prompt_ids) + count for each in asked]
            width = padded(max(positions) + 1)
            logits = self.decoder.step(
                tokens, torch.tensor(positions, device=self.device), [Span(slice(0, len(asked)), width)]
            )
        return found


def read_for(each: Probed) -> list[int]:
    """All that the asked laws are given."""
    return (each.prompt_ids + each.completion_ids)[: len(each.prompt_ids) + max(each.positions)]


def before(each: Probed, device: torch.device) -> Tensor:
    """Where the token stands whose hidden state says what comes at each position."""
    return torch.tensor([len(each.prompt_ids) + position - 1 for position in each.positions], device=device)


class _Rows:
    """The sequences under way: rows 0 … used-1 of every table, and of the decoder's cache."""

    def __init__(self, settings: EngineSettings, decoder: Decoder) -> None:
        self.decoder, self.device, self.loops = decoder, decoder.device, settings.abort_loops
        batch = settings.batch

        def table(width: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(batch, width, dtype=dtype, device=self.device)

        self.used = 0
        self.requests: list[Request] = []
        self.started: list[float] = []
        self.lengths = np.zeros(batch, dtype=np.int64)
        self.numbers = table(4, torch.long)
        self.last, self.position, self.count, self.limit = self.numbers.unbind(1)
        self.laws = table(6, torch.float32)
        self.shares = table(settings.context, torch.float32)
        self.tokens = table(settings.context, torch.int32)
        self.logprobs = table(settings.context, torch.float32)
        self.seen = table(decoder.shape.vocabulary, torch.bool)
        self.stop_ids = torch.tensor(settings.stop_ids, device=self.device)
        self.stops = set(settings.stop_ids)
        # How many of the last tokens equal the one a period before, for every period looked at.
        self.periods = torch.arange(1, self.loops.max_period + 1 if self.loops else 1, device=self.device)
        self.repeats = table(len(self.periods), torch.int32)
        self.tables = [self.numbers, self.laws, self.shares, self.tokens, self.logprobs, self.seen, self.repeats]

    def admit(self, requests: list[Request]) -> None:
        first = self.used
        rows = slice(first, first + len(requests))
        self.used = rows.stop
        self.requests += requests
        self.started += [time.monotonic()] * len(requests)
        self.lengths[rows] = [len(request.prompt_ids) for request in requests]
        numbers = [[0, len(r.prompt_ids), 0, r.max_tokens] for r in requests]
        self.numbers[rows] = torch.tensor(numbers, device=self.device)
        self.laws[rows] = torch.tensor([law_numbers(r) for r in requests], device=self.device)
        self.shares[rows] = shares(requests, self.shares.shape[1]).to(self.device)
        self.seen[rows], self.repeats[rows] = False, 0
        self.steps = steps_of(self.requests, self.decoder.shape.vocabulary)
        self._take(rows, self.decoder.prefill([request.prompt_ids for request in requests], first))

    def step(self) -> None:
        rows = slice(0, self.used)
        logits = self.decoder.step(self.last[rows], self.position[rows], self._spans())
        self.position[rows] += 1
        self.lengths[rows] += 1
        self._take(rows, logits)

    def _spans(self) -> list[Span]:
        size = SPAN if self.device.type == "cpu" else self.used
        together = [slice(begin, min(begin + size, self.used)) for begin in range(0, self.used, size)]
        return [Span(rows, padded(int(self.lengths[rows].max()) + 1)) for rows in together]

    def _take(self, rows: slice, logits: Tensor) -> None:
        """Draws the next token of these rows. `position` is where that token will stand."""
        law, where = Law(*self.laws[rows].unbind(1)), self.count[rows, None]
        chances = self.shares[rows].gather(1, where)[:, 0]
        tokens = draw(logits, law, self.steps, self.seen[rows], chances)[:, None]
        self.logprobs[rows].scatter_(1, where, logits.log_softmax(-1).gather(-1, tokens))
        self.tokens[rows].scatter_(1, where, tokens.int())
        self.last[rows] = tokens[:, 0]
        if self.steps.penalty:
            self.seen[rows].scatter_(1, tokens, True)
        if self.loops:
            before = where - self.periods
            same = (self.tokens[rows].gather(1, before.clamp(min=0)) == tokens) & (before >= 0)
            self.repeats[rows] = (self.repeats[rows] + 1) * same
        self.count[rows] += 1

    def finished(self) -> Iterator[Sample]:
        """Yields the rows that are finished and closes the gaps they leave."""
        used = self.used
        finished = torch.isin(self.last[:used], self.stop_ids) | (self.count[:used] >= self.limit[:used])
        if self.loops:
            finished |= (self.repeats[:used] >= self.periods * (self.loops.min_repeats - 1)).any(1)
        for row in reversed(finished.nonzero()[:, 0].tolist()):
            request, count = self.requests[row], int(self.count[row])
            token_ids = self.tokens[row, :count].tolist()
            yield Sample(
                request_id=request.request_id,
                token_ids=token_ids,
                finish_reason=self._reason(token_ids[-1], count, request),
                logprobs=self.logprobs[row, :count].tolist(),
                seconds=time.monotonic() - self.started[row],
            )
            self._remove(row)

    def _reason(self, last: int, count: int, request: Request) -> str:
        """In vLLM's order: an end token, the cap, a loop."""
        if last in self.stops:
            return "stop"
        return "length" if count >= request.max_tokens else "loop"

    def _remove(self, row: int) -> None:
        """Closes a gap so that the rows in use stay the first ones, and long rows drift to the front: those of a span
        attend over as much of the cache as its longest needs."""
        for begin in range((row // SPAN + 1) * SPAN, self.used, SPAN):
            longest = begin + int(self.lengths[begin : min(begin + SPAN, self.used)].argmax())
            self._move(longest, row)
            row = longest
        self._move(self.used - 1, row)
        self.requests.pop()
        self.started.pop()
        self.used -= 1

    def _move(self, source: int, target: int) -> None:
        if source == target:
            return
        for table in self.tables:
            table[target] = table[source]
        self.requests[target], self.started[target] = self.requests[source], self.started[source]
        self.lengths[target] = self.lengths[source]
        self.decoder.move(source, target, int(self.lengths[source]))
