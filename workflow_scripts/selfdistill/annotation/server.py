"""Asks an OpenAI-compatible server. It may be slow, busy, down or wrong; what it said whole is kept, and nothing else.

Timeouts, refused connections, 408, 409, 425, 429 and every 5xx are tried again, later each time; so is a reply that is no
JSON or holds no text. Any other answer would be the same again: it ends the job with a sentence. A redirect is not
followed, for it would carry the key elsewhere. The key is sent as a header and is taken out of whatever the server says.
"""

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from selfdistill.foundation.errors import UserError
from selfdistill.study.annotation import Judge

AGAIN = {408, 409, 425, 429}
LONGEST_PAUSE = 60.0  # seconds
LARGEST_REPLY = 16 * 2**20  # bytes
PIECE = 2**16
SHOWN = 300  # characters of what a server says


class Unanswered(Exception):
    """A question that is worth another try."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause  # that the server asks for


@dataclass(frozen=True)
class Question:
    request_id: str
    prompt: str
    seed: int
    about: str  # which answer, in words


@dataclass(frozen=True)
class Reply:
    request_id: str
    text: str
    finish_reason: str
    tokens: int
    model: str  # that the server says it is
    seconds: float


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def key_of(judge: Judge, environment: Mapping[str, str] = os.environ) -> str | None:
    """The server's key; a sentence where it is not there, or cannot be one. It is never shown."""
    if judge.server is None or judge.key_from is None:
        return None
    key = environment.get(judge.key_from, "").strip()
    if not key:
        raise UserError(
            f"annotation.judge.key_from: {judge.key_from} is not set in the environment, and {urlsplit(judge.server).hostname} is "
            "asked with a key; export it, or write key_from: null where the server asks for none."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(
            f"annotation.judge.key_from: what {judge.key_from} holds is no key: it has spaces or other signs."
        )
    return key


@dataclass
class Server:
    judge: Judge
    temperature: float
    max_tokens: int
    key: str | None
    first_pause: float = 1.0
    given_up: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._opener = urllib.request.build_opener(NoRedirect)

    def ask_all(self, questions: Iterable[Question]) -> Iterator[Reply]:
        """Each reply as it comes. A question that is never answered is named in `given_up`; where several in a row are not,
        the server is left alone."""
        waiting: set[Future[Reply]] = set()
        rest, in_a_row = iter(questions), 0
        with ThreadPoolExecutor(self.judge.parallel) as pool:
            try:
                while True:
                    free = 0 if in_a_row > self.judge.parallel else self.judge.parallel - len(waiting)
                    waiting |= {pool.submit(self.ask, question) for question in islice(rest, free)}
                    if not waiting:
                        return
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for each in done:
                        try:
                            reply = each.result()
                        except Unanswered as error:
                            in_a_row += 1
                            self.given_up.append(str(error))
                        else:
                            in_a_row = 0
                            yield reply
            finally:
                self._stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def ask(self, question: Question) -> Reply:
        pause = self.first_pause
        for attempt in range(1, self.judge.tries + 1):
            try:
                return self._ask_once(question)
            except Unanswered as error:
                if attempt == self.judge.tries or self._stopped.is_set():
                    raise
                self._stopped.wait(min(max(pause, error.pause), LONGEST_PAUSE))
                pause *= 2
        raise AssertionError("a question is tried at least once")

    def _ask_once(self, question: Question) -> Reply:
        began = time.monotonic()
        content = self._post(self._body(question), question.about, began + self.judge.seconds)
        try:
            said = json.loads(content)
            choice = said["choices"][0]
            text, reason = choice["message"]["content"], str(choice.get("finish_reason") or "unknown")
            if not isinstance(text, str):
                raise TypeError("no text")
            tokens = int((said.get("usage") or {}).get("completion_tokens") or 0)
            model = str(said.get("model") or self.judge.model)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise Unanswered(f"its reply is none: {self._shown(content)}") from None
        return Reply(question.request_id, self._without_key(text), reason, tokens, model, time.monotonic() - began)

    def _body(self, question: Question) -> bytes:
        asked = {
            "model": self.judge.model,
            "messages": [{"role": "user", "content": question.prompt}],
            "temperature": self.temperature,
            "seed": question.seed % 2**31,
            self.judge.cap: self.max_tokens,
        }
        return json.dumps(asked).encode()

    def _post(self, body: bytes, about: str, deadline: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        address = f"{(self.judge.server or '').rstrip('/')}/chat/completions"
        try:
            asked = urllib.request.Request(address, body, headers)
            with self._opener.open(asked, timeout=self.judge.seconds) as response:
                return read_until(response, deadline)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(PIECE)
            if error.code in AGAIN or error.code >= 500:
                raise Unanswered(f"{error.code}: {self._shown(said)}", seconds_asked_for(error.headers)) from None
            raise UserError(self._final(error.code, said, about)) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise Unanswered(f"no reply ({self._without_key(str(why)) or type(error).__name__})") from None

    def _final(self, code: int, said: bytes, about: str) -> str:
        server = f"{self.judge.server}: answers {code} ({self._shown(said)})"
        if code in (401, 403):
            return f"{server}; it does not take the key of {self.judge.key_from or 'nobody'}: correct it, or annotation.judge.key_from."
        if code == 404:
            return f"{server}; correct annotation.judge.server, which ends where /chat/completions begins, or annotation.judge.model."
        if 300 <= code < 400:
            return f"{server}; redirects are not followed, for the key would go along: write the last address as annotation.judge.server."
        return (
            f"{server} to {about}; where that is too long for it, lower annotation.longest; otherwise correct annotation.judge. "
            "Replies that came before are kept."
        )

    def _shown(self, said: bytes) -> str:
        text = " ".join(self._without_key(said.decode("utf-8", "replace")).split())
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "…") if self.key else text


def read_until(response: Any, deadline: float) -> bytes:
    """Whole, or not at all: a server may drip for ever."""
    content = b""
    while piece := response.read1(PIECE):
        content += piece
        if len(content) > LARGEST_REPLY:
            raise Unanswered(f"its reply has more than {LARGEST_REPLY} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    return content


def seconds_asked_for(headers: Any) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", 0)))
    except (TypeError, ValueError):
        return 0.0  # a date, which few send
