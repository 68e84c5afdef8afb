"""Asks vLLM, in its own environment, what the tests want to know: python ask.py QUESTIONS.json ANSWERS.json

Questions come by engine, since starting one takes seconds: {name: {"settings": …, "questions": {name: question}}}. A
question has `requests` to sample, of which only the first `only` are taken if it says so, completions to `score`, or some to
`probe` for their laws.
Answers keep the names. A user's mistake is an answer: `error`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow_scripts"))

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.engines.choice import open_engine
from selfdistill.sampling.engines.contract import Engine, EngineSettings
from selfdistill.sampling.requests import Given, Probed, Request
from selfdistill.study.sampling import AbortLoops


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
        return {"logprobs": engine.score([Given(**given) for given in question["score"]])}
    if "probe" in question:
        return laws(engine, [Probed(**probed) for probed in question["probe"]], question["top"])
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


def laws(engine: Engine, asked: list[Probed], top: int) -> dict[str, Any]:
    try:
        told = [asdict(each) for each in engine.distributions(iter(asked), top)]
    except UserError as error:
        return {"error": str(error)}
    return {
        "laws": [
            {key: getattr(value, "tolist", lambda value=value: value)() for key, value in each.items()} for each in told
        ]
    }


class Counted(Iterator[Request]):
    """Knows how many of the requests were taken."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self.requests, self.count = requests, 0

    def __next__(self) -> Request:
        request = next(self.requests)
        self.count += 1
        return request


if __name__ == "__main__":
    main()
