"""What engines and loaders of others are asked: the page's examples keep it, and what is broken is found."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from extend_examples import example
from selfdistill.commands.main import run
from selfdistill.examination.checks import Broken
from selfdistill.examination.engines import BATCH, CHECKS, Examined, examine_engine
from selfdistill.examination.laws import CONTEXT, MODEL
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.requests import Given, Probed, Request, Sample


class Answering(BaseHTTPRequestHandler):
    """What a server of vLLM's answers, out of the torch engine: as much of it as the page's engine reads."""

    engine: TorchEngine

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        choice = self.read(asked) if "prompt_logprobs" in asked else self.write(asked)
        content = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def write(self, asked: dict[str, Any]) -> dict[str, Any]:
        decode = {key: asked[key] for key in ("max_tokens", "seed", "temperature", "top_k", "top_p", "min_p")}
        request = Request("asked", asked["prompt"], presence_penalty=asked["presence_penalty"], **decode)
        [sample] = self.engine.sample(iter([request]))
        return {
            "token_ids": sample.token_ids,
            "finish_reason": sample.finish_reason,
            "logprobs": {"token_logprobs": sample.logprobs},
        }

    def read(self, asked: dict[str, Any]) -> dict[str, Any]:
        tokens, top = asked["prompt"], asked["prompt_logprobs"]
        probed = Probed("asked", tokens[:1], tokens[1:], [*range(len(tokens) - 1)])
        [told] = self.engine.distributions([probed], max(top, 1))
        laws: list[dict[str, Any] | None] = [None]
        for position, token in enumerate(tokens[1:]):
            likeliest = zip(told.ids[position].tolist(), told.logprobs[position].tolist(), strict=True)
            law = {str(each): {"logprob": logprob, "rank": n + 1} for n, (each, logprob) in enumerate(likeliest)}
            own = {"logprob": float(told.given[position]), "rank": int(told.ranks[position])}
            laws.append((law if top else {}) | {str(token): own})
        return {"prompt_logprobs": laws}

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Answering.engine = TorchEngine(EngineSettings(MODEL, "float32", CONTEXT, [0], batch=1))
    with HTTPServer(("127.0.0.1", 0), Answering) as listening:
        monkeypatch.setenv("FORKLOCK_SERVER", f"http://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield
        listening.shutdown()
        thread.join()


def test_the_pages_engine_keeps_the_contract(server: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examine", "engine", str(example("engine", tmp_path))]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"kept: {claim}" for claim in CHECKS]
    assert said.err.endswith("keeps its contract.\n")


def test_the_pages_loader_keeps_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examine", "loader", str(example("loader", tmp_path))]) == 0
    assert "broken" not in capsys.readouterr().out


SEEDS = "another seed gives another sample"


class Careless(TorchEngine):
    """Breaks every claim but two."""

    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        taken = [replace(each, top_k=0, top_p=1.0, temperature=3.0) for each in requests]
        for number, sample in enumerate(super().sample(iter(taken[: 4 * BATCH]))):
            cut = replace(sample, token_ids=sample.token_ids[: len(sample.token_ids) - number % 2])
            yield replace(cut, logprobs=[each + 0.1 for each in cut.logprobs])

    def score(self, given: list[Given]) -> list[list[float]]:
        return [scores[::-1] for scores in super().score(given)]

    def distributions(self, given: Any, top: int) -> Iterator[Any]:
        return (replace(told, ranks=told.ranks + 1) for told in super().distributions(given, top))


def test_what_an_engine_breaks_is_found_claim_by_claim() -> None:
    found = {each.claim: each.broken for each in examine_engine(Careless)}
    kept = {claim for claim, broken in found.items() if not broken}
    assert kept == {"each request has one sample", SEEDS}
    assert "all 15 requests were taken before the first sample came" in str(
        found["requests are taken as there is room"]
    )
    assert "told to have rank" in str(found["distributions gives a plain forward pass's laws"])


class Blind(TorchEngine):
    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        return super().sample(replace(each, seed=1) for each in requests)


def test_an_engine_that_looks_at_no_seed_is_found() -> None:
    with pytest.raises(Broken, match="four seeds give the same sample"):
        CHECKS[SEEDS](Examined(Blind))


def test_what_a_loader_breaks_is_found_and_an_error_of_its_own_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = example("loader", tmp_path)
    text = file.read_text()
    file.write_text(
        text.replace("find_files(folder, FILES)", 'sorted(folder.glob("*/*"))').replace(
            'row["key"], level', 'row["key"] + "1", level'
        )
    )
    assert run(["examine", "loader", str(file)]) == 1
    said = capsys.readouterr().out
    assert "broken: problems and answers come through unchanged: problems or answers come through changed" in said
    assert "broken: an empty folder is one sentence: it reads what is none of its files without a word" in said
    file.write_text(text.replace('level=int(row["points"])', 'level=int(row["pints"])'))
    assert run(["examine", "loader", str(file)]) == 1
    assert "it raises KeyError: 'pints'" in capsys.readouterr().out
