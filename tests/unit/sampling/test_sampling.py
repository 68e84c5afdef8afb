"""The torch engine computes what transformers computes, samples the law it is asked for, and a draw depends on its seed alone."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from scipy import stats

from selfdistill.foundation.errors import UserError
from selfdistill.models.tokens import end_tokens
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.law import Law, draw, law_numbers, shares, steps_of, uniform
from selfdistill.sampling.requests import Given, Request, Sample, request_id, seed_of, shard_of
from selfdistill.study.sampling import AbortLoops

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "resources/lab/model"
torch.set_num_threads(1)


def requests(count: int, **decode: float) -> list[Request]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    rows = [json.loads(line) for line in (ROOT / "resources/lab/problems/exam.jsonl").read_text().splitlines()]
    settings = {
        "max_tokens": 224,
        "temperature": 1.0,
        "top_k": 20,
        "top_p": 0.95,
        "min_p": 0.0,
        "presence_penalty": 0.0,
    }
    settings.update(decode)
    asked = []
    for number in range(count):
        text = f"<|im_start|>user\n{rows[number % len(rows)]['problem']}<|im_end|>\n<|im_start|>assistant\n<think>\n"
        name = request_id("lab", "float32", [number], {}, 0, "", 0)
        asked.append(Request(name, tokenizer.encode(text).ids, seed=seed_of(name), **settings))  # type: ignore[arg-type]
    return asked


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(EngineSettings(MODEL, "float32", 320, end_tokens(MODEL), 24))


@pytest.fixture(scope="module")
def samples(engine: TorchEngine) -> dict[str, Sample]:
    return {sample.request_id: sample for sample in engine.sample(iter(requests(100)))}


@pytest.fixture(scope="module")
def reference():  # type: ignore[no-untyped-def]
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()


def test_log_probabilities_are_those_of_transformers(samples: dict[str, Sample], reference) -> None:  # type: ignore[no-untyped-def]
    for request in requests(100)[:12]:
        sample = samples[request.request_id]
        ids = torch.tensor([request.prompt_ids + sample.token_ids])
        with torch.no_grad():
            logs = reference(ids).logits[0].log_softmax(-1)
        start = len(request.prompt_ids)
        expected = [float(logs[start + i - 1, token]) for i, token in enumerate(sample.token_ids)]
        assert sample.logprobs == pytest.approx(expected, abs=1e-3)


def test_given_completions_are_scored_as_they_were_when_they_were_sampled(
    engine: TorchEngine, samples: dict[str, Sample]
) -> None:
    """More of them than the engine has rows, of unequal lengths, the shortest cut to one token."""
    asked = [Given(each.request_id, each.prompt_ids, samples[each.request_id].token_ids) for each in requests(60)]
    asked[7] = replace(asked[7], completion_ids=asked[7].completion_ids[:1])
    for each, found in zip(asked, engine.score(asked), strict=True):
        expected = samples[each.request_id].logprobs[: len(each.completion_ids)]
        assert found == pytest.approx(expected, abs=1e-4)


def test_a_sample_is_the_same_alone_and_in_a_batch(engine: TorchEngine, samples: dict[str, Sample]) -> None:
    for request in requests(100)[::12]:
        alone = next(iter(engine.sample(iter([request]))))
        assert alone.token_ids == samples[request.request_id].token_ids


def test_every_request_is_answered_once_and_ends_as_it_says(samples: dict[str, Sample]) -> None:
    stop = set(end_tokens(MODEL))
    assert set(samples) == {request.request_id for request in requests(100)}
    for sample in samples.values():
        assert (sample.token_ids[-1] in stop) == (sample.finish_reason == "stop")
        assert not stop & set(sample.token_ids[:-1])
        assert sample.finish_reason == "stop" or len(sample.token_ids) == 224


def test_greedy_decoding_is_that_of_transformers(engine: TorchEngine, reference) -> None:  # type: ignore[no-untyped-def]
    for request in requests(4, temperature=0.0, top_k=0, top_p=1.0, max_tokens=60):
        mine = next(iter(engine.sample(iter([request])))).token_ids
        ids = torch.tensor([request.prompt_ids])
        theirs = reference.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=60, do_sample=False)
        assert mine == theirs[0, ids.shape[1] :].tolist()


def drawn(logits: torch.Tensor, asked: list[Request], seen: torch.Tensor | None = None) -> list[int]:
    """The first token of each request, from the rows of logits."""
    law = Law(*torch.tensor([law_numbers(request) for request in asked]).unbind(1))
    seen = torch.zeros(logits.shape, dtype=torch.bool) if seen is None else seen
    chances = shares(asked, 1)[:, 0]
    return draw(logits, law, steps_of(asked, logits.shape[1]), seen, chances).tolist()


def asking(
    seed: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0, penalty: float = 0.0
) -> Request:
    return Request("", [1], 1, seed, temperature, top_k, top_p, min_p, penalty)


def expected_law(logits: torch.Tensor, temperature: float, top_k: int, top_p: float, min_p: float) -> list[float]:
    """The law spelt out slowly: temperature, min-p, top-k, then the smallest prefix with top_p of what is left."""
    p = (logits.double() / temperature).softmax(-1).tolist()
    order = sorted(range(len(p)), key=lambda i: -p[i])
    kept = [i for i in order if p[i] >= min_p * p[order[0]]][: top_k or len(p)]
    mass = sum(p[i] for i in kept)
    nucleus, gathered = [], 0.0
    for i in kept:
        if gathered >= top_p:
            break
        nucleus.append(i)
        gathered += p[i] / mass
    total = sum(p[i] for i in nucleus)
    return [p[i] / total if i in nucleus else 0.0 for i in range(len(p))]


@pytest.mark.parametrize(
    "decode",
    [
        (1.0, 0, 1.0, 0.0),
        (0.7, 20, 0.95, 0.0),
        (1.5, 5, 0.8, 0.0),
        (1.3, 0, 0.6, 0.0),
        (1.0, 0, 1.0, 0.1),
        (2.0, 7, 0.9, 0.05),
    ],
)
def test_frequencies_follow_the_law(decode: tuple[float, int, float, float]) -> None:
    logits = torch.randn(40, generator=torch.Generator().manual_seed(3)) * 2
    n = 40_000
    temperature, top_k, top_p, min_p = decode
    rng = random.Random(17)
    asked = [asking(rng.getrandbits(63), temperature, top_k, top_p, min_p) for _ in range(n)]
    found = drawn(logits.expand(n, -1), asked)
    expected = expected_law(logits, *decode)
    counts = Counter(found)
    assert all(expected[token] > 0 for token in counts), "a token outside the truncated support was drawn"
    alive = [i for i, p in enumerate(expected) if p * n >= 5]
    observed = [counts[i] for i in alive]
    scale = sum(observed) / sum(expected[i] for i in alive)
    assert stats.chisquare(observed, [expected[i] * scale for i in alive]).pvalue > 1e-4


def test_rows_of_different_decodes_do_not_disturb_each_other() -> None:
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(5)) * 2
    rows = [
        (0.0, 0, 1.0, 0.0),
        (1.0, 0, 1.0, 0.0),
        (0.7, 20, 0.95, 0.0),
        (1.5, 3, 1.0, 0.0),
        (1.0, 0, 0.5, 0.0),
        (1.0, 0, 1.0, 0.2),
    ]
    asked = [asking(seed, *row) for seed, row in enumerate(rows)]
    together = drawn(logits, asked)
    assert together == [drawn(logits[i : i + 1], asked[i : i + 1])[0] for i in range(len(rows))]
    assert together[0] == int(logits[0].argmax())


def test_the_presence_penalty_counts_a_token_once() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    seen = torch.tensor([[True, False, False]])
    assert drawn(logits, [asking(0, temperature=0.0, penalty=1.5)], seen) == [1]
    assert drawn(logits, [asking(0, temperature=0.0, penalty=0.5)], seen) == [0]


def test_random_numbers_are_uniform_and_uncorrelated() -> None:
    rng = random.Random(0)
    seeds = torch.tensor([rng.getrandbits(63) for _ in range(300)])
    grid = torch.stack([uniform(seeds, torch.full((300,), step)) for step in range(200)])
    assert stats.kstest(grid.flatten().numpy(), "uniform").pvalue > 1e-3
    assert abs(float(torch.corrcoef(grid[:, :2].T)[0, 1])) < 0.25
    successive = stats.pearsonr(grid[:-1].flatten().numpy(), grid[1:].flatten().numpy())
    assert abs(successive.statistic) < 0.02
    neighbours = torch.stack([uniform(torch.arange(20_000), torch.zeros(20_000, dtype=torch.long))])
    assert stats.kstest(neighbours.flatten().numpy(), "uniform").pvalue > 1e-3


def test_an_unknown_architecture_is_a_sentence(tmp_path: Path) -> None:
    config = json.loads((MODEL / "config.json").read_text()) | {"architectures": ["Qwen3_5ForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="not Qwen3_5ForCausalLM"):
        TorchEngine(EngineSettings(tmp_path, "float32", 320, [0], 4))


def test_content_keys_change_with_everything_that_changes_a_sample() -> None:
    base = ("digest", "float32", [1, 2, 3], {"temperature": 1.0}, 0, "", 7)
    others = ("other", "bfloat16", [1, 2], {"temperature": 1.1}, 1, "aa", 8)
    variants = [(*base[:i], other, *base[i + 1 :]) for i, other in enumerate(others)]
    keys = {request_id(*base), *(request_id(*variant) for variant in variants)}  # type: ignore[arg-type]
    assert len(keys) == 8
    assert request_id(*base) == request_id(*base)


def test_seeds_and_shards_are_spread_evenly() -> None:
    keys = [request_id("digest", "float32", [i], {}, 0, "", 0) for i in range(3000)]
    assert len({seed_of(key) for key in keys}) == 3000
    assert all(0 <= seed_of(key) < 2**63 for key in keys)
    assert stats.chisquare(list(Counter(shard_of(key, 4) for key in keys).values())).pvalue > 1e-3


def test_prompt_ids_use_the_chat_template_once() -> None:
    from tokenizers import Tokenizer

    from selfdistill.sampling.prompts import tokenise_prompts

    problems = pl.DataFrame({"problem_id": ["a"], "problem": ["Start with 7. Add {5}."]})
    ids = tokenise_prompts(problems, "{problem}\nBox it.", MODEL)["prompt_ids"][0].to_list()
    text = Tokenizer.from_file(str(MODEL / "tokenizer.json")).decode(ids, skip_special_tokens=False)
    assert text == "<|im_start|>user\nStart with 7. Add {5}.\nBox it.<|im_end|>\n<|im_start|>assistant\n<think>\n"


def test_the_chat_templates_switches_reach_it_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    from selfdistill.sampling.prompts import tokenise_prompts

    switched = tmp_path / "switched"
    shutil.copytree(MODEL, switched)
    template = "{{ messages[0].content }}{% if enable_thinking %}<think>{% endif %}"
    (switched / "chat_template.jinja").write_text(template)
    problems = pl.DataFrame({"problem_id": ["a"], "problem": ["Start with 7."]})
    on, off = (
        tokenise_prompts(problems, "{problem}", switched, {"enable_thinking": each})["prompt_ids"][0].to_list()
        for each in (True, False)
    )
    assert on[:-1] == off and len(on) > 1
    with pytest.raises(
        UserError, match=r"model\.chat\.enable_thinking: the chat template of .* reads no enable_thinking"
    ):
        tokenise_prompts(problems, "{problem}", MODEL, {"enable_thinking": True})


def test_requests_are_taken_as_there_is_room(engine: TorchEngine) -> None:
    taken = 0

    def asked() -> Iterator[Request]:
        nonlocal taken
        for request in requests(100):
            taken += 1
            yield request

    given = 0
    for _ in engine.sample(asked()):
        given += 1
        assert taken <= given + 24
    assert given == 100


def test_an_engine_that_is_left_early_can_be_used_again(engine: TorchEngine, samples: dict[str, Sample]) -> None:
    sampling = engine.sample(iter(requests(40)))
    assert isinstance(sampling, Generator)
    next(sampling)
    sampling.close()
    again = {sample.request_id: sample.token_ids for sample in engine.sample(iter(requests(40)))}
    assert again == {name: samples[name].token_ids for name in again}


def test_every_end_token_ends_a_completion(samples: dict[str, Sample]) -> None:
    """A digit declared an end token: each completion is cut after its first, and is otherwise the same."""
    digit = Counter(token for sample in samples.values() for token in sample.token_ids[:-1]).most_common(1)[0][0]
    engine = TorchEngine(EngineSettings(MODEL, "float32", 320, [*end_tokens(MODEL), digit], 24))
    for sample in engine.sample(iter(requests(30))):
        free = samples[sample.request_id].token_ids
        cut = free[: free.index(digit) + 1] if digit in free else free
        assert sample.token_ids == cut and (sample.finish_reason == "stop" or len(cut) == 224)


def test_bfloat16_samples_too() -> None:
    engine = TorchEngine(EngineSettings(MODEL, "bfloat16", 320, end_tokens(MODEL), 16))
    found = list(engine.sample(iter(requests(16))))
    assert len(found) == 16 and all(len(sample.logprobs) == len(sample.token_ids) > 0 for sample in found)


def repeats(tokens: list[int], loops: AbortLoops) -> bool:
    """Slowly: does the tail consist of so many copies of one period?"""
    for period in range(1, loops.max_period + 1):
        whole = period * loops.min_repeats
        if whole <= len(tokens) and tokens[-whole:] == tokens[-period:] * loops.min_repeats:
            return True
    return False


@pytest.mark.parametrize(
    "loops",
    [
        AbortLoops(max_period=8, min_repeats=3),
        AbortLoops(max_period=1, min_repeats=4),
        AbortLoops(max_period=64, min_repeats=3),
    ],
)
def test_a_loop_is_stopped_at_the_token_that_completes_it(loops: AbortLoops) -> None:
    """Against the free completions of the same requests, of which an aborted one is the beginning."""
    asked = requests(60, temperature=1.6, top_k=0, top_p=1.0) + requests(20, temperature=0.3)
    asked = [replace(request, request_id=str(i)) for i, request in enumerate(asked)]
    free_engine = TorchEngine(EngineSettings(MODEL, "float32", 320, end_tokens(MODEL), 24))
    engine = TorchEngine(EngineSettings(MODEL, "float32", 320, end_tokens(MODEL), 24, abort_loops=loops))
    free = {sample.request_id: sample for sample in free_engine.sample(iter(asked))}
    aborted = 0
    for sample in engine.sample(iter(asked)):
        whole = free[sample.request_id]
        first = next((n for n in range(1, len(whole.token_ids)) if repeats(whole.token_ids[:n], loops)), None)
        if first is None:
            assert sample.token_ids == whole.token_ids and sample.finish_reason == whole.finish_reason
        else:
            assert sample.token_ids == whole.token_ids[:first] and sample.finish_reason == "loop"
            aborted += 1
    assert aborted > 0
