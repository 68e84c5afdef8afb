"""A server on this machine that answers as vLLM's does, out of the torch engine: as much of it as the engine of docs/extend.md
reads. It loads whatever model it is asked for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from selfdistill.examination.laws import CONTEXT
from selfdistill.sampling.engines.contract import EngineSettings
from selfdistill.sampling.engines.torch_engine import TorchEngine
from selfdistill.sampling.requests import Probed, Request

ENGINE_LOCK = threading.Lock()  # one engine computes one thing at a time


@cache
def engine_of(model: Path, stop_ids: tuple[int, ...]) -> TorchEngine:
    return TorchEngine(EngineSettings(model, "float32", CONTEXT, [*stop_ids], batch=1))


class Answering(BaseHTTPRequestHandler):
    folder = Path()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with ENGINE_LOCK:
            engine = engine_of(self.folder / asked["model"], tuple(asked.get("stop_token_ids", ())))
            choice = self.read(engine, asked) if "prompt_logprobs" in asked else self.write(engine, asked)
        content = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def write(self, engine: TorchEngine, asked: dict[str, Any]) -> dict[str, Any]:
        decode = {key: asked[key] for key in ("max_tokens", "seed", "temperature", "top_k", "top_p", "min_p")}
        request = Request("asked", asked["prompt"], presence_penalty=asked["presence_penalty"], **decode)
        [sample] = engine.sample(iter([request]))
        return {
            "token_ids": sample.token_ids,
            "finish_reason": sample.finish_reason,
            "logprobs": {"token_logprobs": sample.logprobs},
        }

    def read(self, engine: TorchEngine, asked: dict[str, Any]) -> dict[str, Any]:
        tokens, top = asked["prompt"], asked["prompt_logprobs"]
        probed = Probed("asked", tokens[:1], tokens[1:], [*range(len(tokens) - 1)])
        [told] = engine.distributions([probed], max(top, 1))
        laws: list[dict[str, Any] | None] = [None]
        for position, token in enumerate(tokens[1:]):
            likeliest = zip(told.ids[position].tolist(), told.logprobs[position].tolist(), strict=True)
            law = {str(each): {"logprob": logprob, "rank": n + 1} for n, (each, logprob) in enumerate(likeliest)}
            own = {"logprob": float(told.given[position]), "rank": int(told.ranks[position])}
            laws.append((law if top else {}) | {str(token): own})
        return {"prompt_logprobs": laws}

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address, and models by their paths from the folder."""
    handler = type("Here", (Answering,), {"folder": folder})
    with Server(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()
