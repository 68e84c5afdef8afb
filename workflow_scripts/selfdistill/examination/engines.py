"""The examination of an engine, with the lab's small model: what the sampler, the check of exports and the probes rely on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfdistill.examination.checks import Found, NotAsked, Watch, examined, require, unwatched
from selfdistill.examination.laws import (
    CONTEXT,
    MODEL,
    TOKENIZER,
    examine_all,
    lab_probes,
    lab_requests,
    reference_logits,
)
from selfdistill.sampling.engines.contract import Engine, EngineSettings
from selfdistill.sampling.requests import Given, Probed, Request, Sample

BATCH, COUNT, TOP = 3, 8, 256
END = 13  # a full stop, which is common and not the model's own end: what ends a sample is what was asked for
CAPS = (16, 80)  # tokens: one that cuts, and one that lets some end by themselves
PENALISED = 4  # the lab's request whose likeliest tokens repeat themselves, so that a penalty changes them
OPEN = "<|im_start|>user\nA box holds "  # what many tokens may go on with
# First tokens of each decode, and the standard errors that their mean may lie from the law's: of 20,000 simulated right engines
# the farthest lay 6 away.
DRAWS, ERRORS = 120, 7
FIRST: tuple[dict[str, Any], ...] = ({"temperature": 0.2}, {"temperature": 2.0}, {"temperature": 2.0, "min_p": 0.2})
Opener = Callable[[EngineSettings], Engine]
Numbers = NDArray[np.float64]


@dataclass
class Examined:
    open: Opener
    within: float = 1e-3

    @cached_property
    def engine(self) -> Engine:
        return self.open(EngineSettings(MODEL, "float32", CONTEXT, [END], batch=BATCH, top=TOP))

    @cached_property
    def asked(self) -> list[Request]:
        """Of several decodes, mixed; one that takes the likeliest token, and one that takes it after a penalty."""
        short, long = (lab_requests(COUNT, max_tokens=cap) for cap in CAPS)
        mixed = [long[n] if n % 2 else replace(short[n], top_k=5, temperature=0.7) for n in range(COUNT - 1)]
        greedy = replace(long[-1], temperature=0.0, top_k=0, top_p=1.0)
        penalised = replace(long[PENALISED], top_k=1, top_p=1.0, presence_penalty=2.0)
        return [*mixed, greedy, replace(penalised, request_id=f"{penalised.request_id}-penalised")]

    @cached_property
    def drawn(self) -> list[Sample]:
        return list(self.engine.sample(iter(self.asked)))

    @cached_property
    def sampled(self) -> dict[str, Sample]:
        found = {sample.request_id: sample for sample in self.drawn}
        if not all(request.request_id in found for request in self.asked):
            raise NotAsked("it is asked of samples, and requests lack theirs")
        return found


def examine_engine(opener: Opener, within: float = 1e-3, watch: Watch = unwatched) -> Iterator[Found]:
    """`within` is how far a log-probability may lie from that of a plain forward pass in float32."""
    return examined(CHECKS, Examined(opener, within), watch=watch)


def _each_once(subject: Examined) -> None:
    names = sorted(sample.request_id for sample in subject.drawn)
    require(names == sorted(request.request_id for request in subject.asked), "requests lack a sample, or have several")


def _as_there_is_room(subject: Examined) -> None:
    taken = 0

    def requests() -> Iterator[Request]:
        nonlocal taken
        for number in range(5 * BATCH):
            taken += 1
            request = subject.asked[0]
            yield replace(request, request_id=f"{request.request_id}-{number}")

    samples = subject.engine.sample(requests())
    require(next(iter(samples), None), f"{5 * BATCH} requests have no sample")
    require(taken < 5 * BATCH, f"all {taken} requests were taken before the first sample came, with a batch of {BATCH}")
    for _ in samples:
        pass


def _whole(subject: Examined) -> None:
    for request in subject.asked:
        sample = subject.sampled[request.request_id]
        tokens, reason = sample.token_ids, sample.finish_reason
        require(0 < len(tokens) <= request.max_tokens, f"{len(tokens)} tokens where {request.max_tokens} were allowed")
        require(reason in ("stop", "length"), f"finish_reason is {reason!r} and must be 'stop' or 'length'")
        require(END not in tokens[:-1], "a sample goes on behind an end token")
        require(
            (tokens[-1] == END) == (reason == "stop"),
            f"finish_reason is {reason!r} of a sample that ends with {tokens[-1]}",
        )
        require(reason == "stop" or len(tokens) == request.max_tokens, "a sample is cut before max_tokens")
        require(
            len(sample.logprobs) == len(tokens), f"{len(sample.logprobs)} log-probabilities for {len(tokens)} tokens"
        )
        require(sample.seconds >= 0, f"seconds are {sample.seconds}")
    ends = {sample.finish_reason for sample in subject.drawn}
    require("stop" in ends, "no sample ends at the token in stop_ids, where nearly every long one has it")


def _same_alone(subject: Examined) -> None:
    for request in subject.asked[:2]:
        among = subject.sampled[request.request_id].token_ids
        alone = [sample.token_ids for sample in subject.engine.sample(iter([request]))]
        require(len(alone) == 1, f"a request alone has {len(alone)} samples")
        require(alone == [among], "a request gives other tokens alone than among others: its seed must decide them")


def _seeds_matter(subject: Examined) -> None:
    asked = [replace(subject.asked[1], request_id=f"seed-{seed}", seed=seed, max_tokens=CAPS[0]) for seed in range(4)]
    drawn = {tuple(sample.token_ids) for sample in subject.engine.sample(iter(asked))}
    require(len(drawn) > 1, "four seeds give the same sample")


def _laws_of(request: Request, sample: Sample) -> Numbers:
    everywhere = Probed(request.request_id, request.prompt_ids, sample.token_ids, [*range(len(sample.token_ids))])
    logits = reference_logits(everywhere)
    return logits - logits.max(1, keepdims=True)


def _logprobs(subject: Examined) -> None:
    for request in subject.asked:
        sample = subject.sampled[request.request_id]
        laws = _laws_of(request, sample)
        require(len(sample.logprobs) == len(laws), "a sample has not one log-probability for each token")
        own = laws[np.arange(len(laws)), sample.token_ids] - np.log(np.exp(laws).sum(1))
        require(
            np.allclose(own, sample.logprobs, rtol=subject.within, atol=subject.within),
            "log-probabilities of a sample are not the model's own at temperature 1, without penalty or truncation",
        )


def _within_the_decode(subject: Examined) -> None:
    """Tokens that the decode leaves out are never sampled. A little slack lets near ties be."""
    for request in subject.asked:
        sample = subject.sampled[request.request_id]
        laws = _penalised(_laws_of(request, sample), request, sample)
        own = laws[np.arange(len(laws)), sample.token_ids]
        if request.temperature == 0:
            require((own >= -1e-4).all(), "temperature 0 does not take the likeliest token")
            continue
        likelier = (laws > own[:, None] + 1e-4).sum(1)
        after = f" after presence_penalty: {request.presence_penalty:g}" if request.presence_penalty else ""
        require((likelier < request.top_k).all(), f"a token outside top_k: {request.top_k}{after} was sampled")
        order = -np.sort(-laws, 1)[:, : request.top_k] / request.temperature
        shares = np.exp(order) / np.exp(order).sum(1, keepdims=True)
        before = np.where(np.arange(shares.shape[1]) < likelier[:, None], shares, 0).sum(1)
        require((before < request.top_p + 1e-4).all(), f"a token outside top_p: {request.top_p} was sampled")


def _penalised(laws: Numbers, request: Request, sample: Sample) -> Numbers:
    laws = laws.copy()
    for position in range(len(laws)):
        laws[position, [*set(sample.token_ids[:position])]] -= request.presence_penalty
    return laws - laws.max(1, keepdims=True)


def _first_tokens(subject: Examined) -> None:
    """Many seeds, one token each: none that min_p leaves out, and their mean log-probability is the law's own."""
    [request] = lab_requests(1, max_tokens=1, top_k=0, top_p=1.0)
    request = replace(request, prompt_ids=TOKENIZER.encode(OPEN).ids)
    asked = {
        f"first-{number}-{seed}": replace(request, request_id=f"first-{number}-{seed}", seed=seed, **decode)
        for seed in range(DRAWS)
        for number, decode in enumerate(FIRST)
    }
    drawn = {sample.request_id: sample.token_ids for sample in subject.engine.sample(iter(asked.values()))}
    require(drawn.keys() == asked.keys(), f"{len(drawn)} of {len(asked)} requests for one token have a sample")
    logits = reference_logits(Probed("first", request.prompt_ids, [END], [0]))[0]
    logprobs = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    for number, decode in enumerate(FIRST):
        of = ", ".join(f"{key} {value}" for key, value in decode.items())
        tokens = [drawn[name][0] for name in asked if name.startswith(f"first-{number}-")]
        law = np.exp((logprobs - logprobs.max()) / decode["temperature"])
        least = decode.get("min_p", 0.0)
        require((law[tokens] >= least - 1e-4).all(), f"a token outside min_p: {least} was sampled")
        law = np.where(law >= least, law, 0) / law[law >= least].sum()
        mean = float(law @ logprobs)
        error = float(np.sqrt(law @ (logprobs - mean) ** 2 / DRAWS))
        found = logprobs[tokens].mean()
        require(
            abs(found - mean) <= ERRORS * error,
            f"at {of}, {DRAWS} first tokens have a mean log-probability of {found:.2f}, where the law has {mean:.2f} with a "
            f"standard error of {error:.2f}",
        )


def _scores(subject: Examined) -> None:
    probes = lab_probes(2)[:2]
    given = [Given(probe.carrier_id, probe.prompt_ids, probe.completion_ids) for probe in probes]
    for probe, found in zip(probes, subject.engine.score(given), strict=True):
        everywhere = replace(probe, positions=[*range(len(probe.completion_ids))])
        logits = reference_logits(everywhere)
        laws = logits - logits.max(1, keepdims=True)
        own = laws[np.arange(len(laws)), probe.completion_ids] - np.log(np.exp(laws).sum(1))
        require(len(found) == len(own), f"{len(found)} scores for {len(own)} tokens")
        require(
            np.allclose(found, own, rtol=subject.within, atol=subject.within),
            "scores are not those of a plain forward pass",
        )


def _distributions(subject: Examined) -> None:
    probes = lab_probes(2)
    examine_all(list(subject.engine.distributions(iter(probes), TOP)), probes, subject.within, TOP)


CHECKS: dict[str, Callable[[Examined], None]] = {
    "each request has one sample": _each_once,
    "requests are taken as there is room": _as_there_is_room,
    "samples are whole and say how they ended": _whole,
    "a request gives the same tokens alone and among others": _same_alone,
    "another seed gives another sample": _seeds_matter,
    "log-probabilities of samples are the model's own": _logprobs,
    "samples keep to temperature 0, top_k, top_p and presence_penalty": _within_the_decode,
    "first tokens are as likely as temperature and min_p make them": _first_tokens,
    "score gives a plain forward pass's log-probabilities": _scores,
    "distributions gives a plain forward pass's laws": _distributions,
}
