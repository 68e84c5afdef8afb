"""Asks vLLM, in its own environment, what the tests want to know: python ask.py QUESTIONS.json ANSWERS.json

Questions come by engine, since starting one takes seconds: {name: {"settings": …, "questions": {name: question}}}. A
question has `requests` to sample, of which only the first `only` are taken if it says so, or `score`: pairs of a prompt and a
completion whose tokens' log-probabilities are wanted. Answers keep the names. A user's mistake is an answer: `error`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

from selfdistill.config.study import AbortLoops
from selfdistill.errors import UserError
from selfdistill.sampling.engines import Engine, EngineSettings, open_engine
from selfdistill.sampling.requests import Request


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    answers = {name: ask(engine["settings"], engine["questions"]) for name, engine in asked.items()}
    Path(sys.argv[2]).write_text(json.dumps(answers))


def ask(settings: dict[str, Any], questions: dict[str, Any]) -> dict[str, Any]:
    loops = settings.pop("abort_loops", None)
    model = Path(settings.pop("model"))
    try:
        engine = open_engine(
            "vllm", EngineSettings(model, abort_loops=AbortLoops(**loops) if loops else None, **settings)
        )
    except UserError as error:
        return {"error": str(error)}
    return {"version": engine.version} | {name: answer(engine, question) for name, question in questions.items()}


def answer(engine: Engine, question: dict[str, Any]) -> dict[str, Any]:
    if "score" in question:
        return {"logprobs": score(engine.engine, question["score"])}  # type: ignore[attr-defined]
    taken = Counted(Request(**request) for request in question["requests"])
    samples, ahead = [], 0
    try:
        sampling = engine.sample(taken)
        for sample in islice(sampling, question.get("only")):
            samples.append(asdict(sample))
            ahead = max(ahead, taken.count - len(samples))
        sampling.close()  # type: ignore[attr-defined]
    except UserError as error:
        return {"error": str(error)}
    left = engine.engine.get_num_unfinished_requests()  # type: ignore[attr-defined]
    return {"samples": samples, "ahead": ahead, "left": left}


class Counted(Iterator[Request]):
    """Knows how many of the requests were taken."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self.requests, self.count = requests, 0

    def __next__(self) -> Request:
        request = next(self.requests)
        self.count += 1
        return request


def score(engine: Any, pairs: list[tuple[list[int], list[int]]]) -> list[list[float]]:
    """The log-probabilities that vLLM gives to the tokens of these completions, read as prompts."""
    from vllm import SamplingParams

    wanted = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
    for number, (prompt, completion) in enumerate(pairs):
        engine.add_request(str(number), {"type": "token", "prompt_token_ids": prompt + completion}, wanted)
    found: dict[int, list[float]] = {}
    while engine.has_unfinished_requests():
        for output in engine.step():
            prompt, completion = pairs[int(output.request_id)]
            given = output.prompt_logprobs[len(prompt) :]
            found[int(output.request_id)] = [at[token].logprob for at, token in zip(given, completion, strict=True)]
    return [found[number] for number in range(len(pairs))]


if __name__ == "__main__":
    main()
