"""A server on this machine that judges as OpenAI's API does, and misbehaves as it is told.

It counts "perhaps" and "wait" in what it is asked. `conduct` says, of each attempt at a question, how it behaves.
"""

import itertools
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WELL, SLOW, BUSY, BROKEN, GARBLED, CUT, DENIED, MOVED, DRIPPING, WAIT_A_WHILE, NO_SUCH = (
    "well", "slow", "500", "no JSON at all", "a judgement that is no JSON", "cut", "401", "302", "dripping", "429", "404",
)  # fmt: skip
TOO_LONG = "400"
# A fault whose body never comes, is reset or drips, and headers that drip.
STALLED, RESET, DRIPPING_FAULT, DRIPPING_HEADERS = "500 stalled", "429 reset", "500 dripping", "headers dripping"
STATUS = {BUSY: 500, DENIED: 401, MOVED: 302, WAIT_A_WHILE: 429, NO_SUCH: 404, TOO_LONG: 400}
Conduct = Callable[[str, int], str]  # of a question and the number of the attempt, from 1


class StandIn(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, conduct: Conduct) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.conduct, self.released = conduct, threading.Event()
        self.patience = "17"  # seconds that it asks for where it is to be asked later
        self.elsewhere: str | None = None  # where it sends its clients, if not to itself
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.attempts: Counter[tuple[str, int]] = Counter()  # by question and seed: passes differ by their seeds alone
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_: Any) -> None:
        """A client that no longer waits is what slowness is about."""


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        question = json.loads(body) if body else {}
        prompt = question["messages"][0]["content"] if question else ""
        with self.server.lock:
            name = (prompt, question.get("seed", 0))
            self.server.attempts[name] += 1
            attempt = self.server.attempts[name]
            self.server.asked.append(question)
            self.server.keys.append(self.headers.get("Authorization"))
        conduct = self.server.conduct(prompt, attempt) if self.path == "/v1/chat/completions" else NO_SUCH
        if conduct == SLOW:
            self.server.released.wait()
        if conduct == DRIPPING:
            self.drip(200)
        elif conduct == DRIPPING_FAULT:
            self.drip(500)
        elif conduct == DRIPPING_HEADERS:
            self.send_response(200)
            self.flush_headers()
            self.drip_on(b"X-More: yes\r\n")
        elif conduct == STALLED:
            self.promise(500)
            self.server.released.wait()
        elif conduct == RESET:
            self.promise(429)
            self.server.released.wait(0.05)  # the client has read the headers by then, or is reset at them
            self.reset()
        elif conduct in STATUS:
            self.say(STATUS[conduct], f"no: {self.headers.get('Authorization')}".encode())
        else:
            self.say(200, b"<html>" if conduct == BROKEN else self.reply(prompt, conduct))

    def reply(self, prompt: str, conduct: str) -> bytes:
        answer = prompt.rpartition("ANSWER")[2]
        doubts = len(re.findall(r"\b(perhaps|wait)\b", answer, re.IGNORECASE))
        said = {GARBLED: '{"doubts": about three'}.get(conduct, json.dumps({"doubts": doubts}))
        choice = {
            "message": {"role": "assistant", "content": said},
            "finish_reason": "length" if conduct == CUT else "stop",
        }
        return json.dumps({"model": "stand-in-1", "choices": [choice], "usage": {"completion_tokens": 7}}).encode()

    def say(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == STATUS[MOVED]:
            self.send_header("Location", self.server.elsewhere or f"{self.server.address}/elsewhere")
        if status == STATUS[WAIT_A_WHILE]:
            self.send_header("Retry-After", self.server.patience)
        self.end_headers()
        self.wfile.write(content)

    def drip(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()
        self.drip_on(b" ")

    def drip_on(self, drop: bytes) -> None:
        """A little now and then, each in time, and never an end."""
        for letter in itertools.cycle(drop):
            if self.server.released.wait(0.02):
                return
            self.wfile.write(bytes([letter]))
            self.wfile.flush()

    def promise(self, status: int) -> None:
        """A body that does not come."""
        self.send_response(status)
        self.send_header("Content-Length", "100")
        self.end_headers()

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()


@contextmanager
def judging(conduct: Conduct = lambda prompt, attempt: WELL) -> Iterator[StandIn]:
    server = StandIn(conduct)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
