"""Connections to a server that end in time and go nowhere else: no redirect, and no proxy on the way to this machine.

A timeout of a socket is for one silence: a server that sends a byte now and then never meets it. A `Deadline` shuts the
connection from outside, whatever it is at: its handshake, its headers or a body.
"""

import contextlib
import http.client
import socket
import threading
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from selfdistill.study.annotation import LOCAL

PIECE = 2**16


class Deadline:
    """Of all connections that are made within it."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._sockets: list[socket.socket] = []
        self._connections: list[http.client.HTTPConnection] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def refuse_late(self) -> None:
        if self.over:
            raise TimeoutError("timed out")

    def connections(self, kind: type[http.client.HTTPConnection]) -> Callable[..., http.client.HTTPConnection]:
        """Makes connections of a kind. Their sockets are held here, for a connection lets go of its own with the headers."""

        def connection(*arguments: Any, **more: Any) -> http.client.HTTPConnection:
            made = kind(*arguments, **more)
            connect = made.connect

            def connect_in_time() -> None:
                self._connections.append(made)
                connect()
                self._sockets.append(made.sock)
                self.refuse_late()

            made.connect = connect_in_time  # type: ignore[method-assign]
            return made

        return connection

    def _end(self) -> None:
        self.over = True
        opening = [connection.sock for connection in self._connections if connection.sock]
        for each in (*self._sockets, *opening):
            with contextlib.suppress(OSError):  # closed before
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # below TLS, whose reader may be at work


class Asked(urllib.request.Request):
    def __init__(self, address: str, body: bytes, headers: dict[str, str], deadline: Deadline) -> None:
        super().__init__(address, body, headers)
        self.deadline = deadline


class InTime(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> http.client.HTTPResponse:
        return self.do_open(req.deadline.connections(http.client.HTTPConnection), req)


class InTimeEncrypted(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> http.client.HTTPResponse:
        return self.do_open(req.deadline.connections(http.client.HTTPSConnection), req)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, *_: Any) -> None:
        """Where it leads is not even read."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]


def opener_to(address: str) -> urllib.request.OpenerDirector:
    """To this machine a key goes unencrypted: a proxy of the environment would read it."""
    handlers: list[urllib.request.BaseHandler] = [NoRedirect(), InTime(), InTimeEncrypted()]
    if urlsplit(address).hostname in LOCAL:
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def read_whole(response: Any, deadline: Deadline, largest: int) -> bytes:
    """Whole, in time and not too large, or not at all."""
    content = b""
    while piece := response.read1(PIECE):
        content += piece
        if len(content) > largest:
            raise http.client.HTTPException(f"more than {largest} bytes")
    deadline.refuse_late()
    return content
