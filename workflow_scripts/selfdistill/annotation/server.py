"""Asks an OpenAI-compatible server. It may be slow, busy, down or wrong; what it said whole is kept, and nothing else.

Timeouts, refused connections, 408, 409, 425, 429 and every 5xx are tried again, later each time; so is a reply that is no
JSON or holds no text. Any other answer would be the same again: it ends the job with a sentence. The key is sent as a
header and is taken out of whatever the server says; `connection.py` keeps it from going elsewhere.
"""

import http.client
import json
import os
import threading
import time
import urllib.error
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from selfdistill.annotation.connection import Asked, Deadline, opener_to, read_whole
from selfdistill.annotation.contract import Question, Reply
from selfdistill.foundation.errors import UserError
from selfdistill.study.annotation import Judge
from selfdistill.tables import words

AGAIN = {408, 409, 425, 429}
LONGEST_PAUSE = 60.0  # seconds, of our own choice
LONGEST_PATIENCE = 3600.0  # seconds; a server that asks for more is left for another run
LARGEST_REPLY = 16 * 2**20  # bytes
SHOWN = 300  # characters of what a server says


class Unanswered(Exception):
    """A question that is worth another try."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause  # that the server asks for


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
    engine = words.SERVER
    judge: Judge
    temperature: float
    max_tokens: int
    key: str | None
    first_pause: float = 1.0
    given_up: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._opener = opener_to(self.judge.server or "")

    def ask_all(self, questions: Iterable[Question]) -> Iterator[Reply]:
        """Each reply as it comes. A question that is never answered is named in `given_up`; where several in a row are not,
        the server is left alone. Where one answer ends the job, replies that are under way are still waited for."""
        waiting: set[Future[Reply]] = set()
        rest, in_a_row = iter(questions), 0
        final: UserError | None = None
        with ThreadPoolExecutor(self.judge.parallel) as pool:
            try:
                while True:
                    left_alone = final is not None or in_a_row > self.judge.parallel
                    free = 0 if left_alone else self.judge.parallel - len(waiting)
                    waiting |= {pool.submit(self.ask, question) for question in islice(rest, free)}
                    if not waiting:
                        break
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for each in done:
                        try:
                            reply = each.result()
                        except Unanswered as error:
                            in_a_row += 1
                            self.given_up.append(str(error))
                        except UserError as error:
                            final = final or error
                            self._stopped.set()  # nothing is tried again
                        else:
                            in_a_row = 0
                            yield reply
            finally:
                self._stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)
        if final:
            raise final

    def left(self, lacking: int, wanted: int) -> str:
        last = f" The last one: {self.given_up[-1]}." if self.given_up else ""
        return (
            f"{self.judge.server}: {lacking} of {wanted} questions have no reply after {self.judge.tries} tries "
            f"each, or were left when several in a row had none.{last} What was answered is kept: see to the server and run again."
        )

    def ask(self, question: Question) -> Reply:
        pause = self.first_pause
        for attempt in range(1, self.judge.tries + 1):
            try:
                return self._ask_once(question)
            except Unanswered as error:
                if attempt == self.judge.tries or self._stopped.is_set() or error.pause > LONGEST_PATIENCE:
                    raise
                self._stopped.wait(max(min(pause, LONGEST_PAUSE), error.pause))
                if self._stopped.is_set():
                    raise
                pause *= 2
        raise AssertionError("a question is tried at least once")

    def _ask_once(self, question: Question) -> Reply:
        began = time.monotonic()
        content = self._post(self._body(question), question.about)
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
        text, reason, model = map(self._without_key, (text, reason, model))
        return Reply(question.request_id, text, reason, tokens, model, time.monotonic() - began)

    def _body(self, question: Question) -> bytes:
        asked = {
            "model": self.judge.model,
            "messages": [{"role": "user", "content": question.prompt}],
            "temperature": self.temperature,
            "seed": question.seed % 2**31,
            self.judge.cap: self.max_tokens,
        }
        return json.dumps(asked).encode()

    def _post(self, body: bytes, about: str) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        address = f"{(self.judge.server or '').rstrip('/')}/chat/completions"
        with Deadline(self.judge.seconds) as deadline:
            asked = Asked(address, body, headers, deadline)
            try:
                with self._opener.open(asked, timeout=self.judge.seconds) as response:
                    return read_whole(response, deadline, LARGEST_REPLY)
            except urllib.error.HTTPError as error:
                code, pause, said = error.code, seconds_asked_for(error.headers), self._said(error, deadline)
            except (OSError, http.client.HTTPException) as error:
                raise Unanswered(f"no reply ({self._why(error, deadline)})") from None
        if code in AGAIN or code >= 500:
            patience = f"; it asks for {pause:.0f} s of patience" if pause > LONGEST_PATIENCE else ""
            raise Unanswered(f"{code}: {said}{patience}", pause)
        raise UserError(self._final(code, said, about))

    def _said(self, error: urllib.error.HTTPError, deadline: Deadline) -> str:
        """The code decides what to do, also where no more of the answer comes."""
        try:
            with error:
                return self._shown(read_whole(error, deadline, LARGEST_REPLY))
        except (OSError, http.client.HTTPException) as broken:
            return f"nothing more; {self._why(broken, deadline)}"

    def _why(self, error: Exception, deadline: Deadline) -> str:
        if deadline.over:
            return "timed out"
        return self._without_key(str(getattr(error, "reason", None) or error)) or type(error).__name__

    def _final(self, code: int, said: str, about: str) -> str:
        server = f"{self.judge.server}: answers {code} ({said})"
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


def seconds_asked_for(headers: Any) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", 0)))
    except (TypeError, ValueError):
        return 0.0  # a date, which few send
