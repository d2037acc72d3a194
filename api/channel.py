"""One connection of the server, and what is known of its client: how slow it is, whether it is still there."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import MSG_PEEK, SO_ERROR, SO_LINGER, SOL_SOCKET
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from api.error_shapes import new_request_id, render_error

SLOWEST = 500  # bytes per second
RESET = struct.pack("ii", 1, 0)
"""Closing throws away what the kernel still has to send."""
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
"""May come before any answer, and means nothing to who waits for it."""
ON_DISCONNECT = "mathcode.on_disconnect"


class RequestTimeout(Error):  # type: ignore[misc]
    code = 408
    reason = "Request Timeout"


class JsonErrorTask(ErrorTask):  # type: ignore[misc]
    """What waitress itself refuses, such as malformed HTTP, in the shape of all our errors."""

    def execute(self) -> None:
        error = self.request.error
        code = "body_too_large" if error.code == 413 else error.reason.lower().replace(" ", "_")
        path = str(getattr(self.request, "path", ""))  # not known where the request line itself is malformed
        content = render_error(path, status=error.code, code=code, message=error.body)
        body = json.dumps(content).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), ("x-request-id", new_request_id())]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Task(WSGITask):  # type: ignore[misc]
    """Tells the application how to learn that the client is gone, and a client that the server is going."""

    def execute(self) -> None:
        if self.channel.server.is_stopping:
            self.set_close_on_finish()
        super().execute()

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[ON_DISCONNECT] = self.channel.on_disconnect
        return environ


@dataclass(slots=True)
class Pace:
    """Bytes that passed since a moment."""

    since: float = field(default_factory=time.monotonic)
    passed: int = 0

    def is_too_slow(self, timeout_s: float) -> bool:
        """Whether fewer than SLOWEST a second passed in the last `timeout_s`; begins anew where not."""
        now = time.monotonic()
        if now - self.since < timeout_s:
            return False
        if self.passed < SLOWEST * timeout_s:
            return True
        self.since, self.passed = now, 0
        return False


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection, with the clocks of its client."""

    error_task_class = JsonErrorTask
    task_class = Task
    request: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._asking, self._taking = Pace(), Pace()
        self._is_new = True
        self._is_silent = False  # the client will send nothing more
        self._is_answering = False  # something of the answer to the current request was written
        super().__init__(*arguments, **options)

    @property
    def is_asking(self) -> bool:
        """Whether a request is owed: begun and not whole, or the first one."""
        return not self.requests and (self.request is not None or self._is_new)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is served here and nothing waits to be sent."""
        return not self.requests and not self.total_outbufs_len

    @property
    def asking_since(self) -> float:
        return self._asking.since

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """Watch this connection while its request is served, and call `listener` when it may have been closed.

        Whether it has been says the environment's `waitress.client_disconnected`.
        """
        self._listeners.append(listener)
        if not self.connected:
            listener()
        self.server.pull_trigger()

    def readable(self) -> bool:
        """While a request is served, only for who waits to learn of a disconnect."""
        if self._is_silent and self.requests:
            if self.connected and self.socket.getsockopt(SOL_SOCKET, SO_ERROR):
                self.will_close = True  # it was reset: there is nobody
            return False
        return bool((self._listeners or not self.requests) and super().readable())

    def handle_read(self) -> None:
        """A client that sends nothing more while it is served has gone, or has only said all: it is asked."""
        served = next(iter(tuple(self.requests)), None)
        if served and self._has_no_more() and (self._is_answering or served.version == "1.1"):
            self._is_silent = True
            self._ask()
        else:
            super().handle_read()

    def _has_no_more(self) -> bool:
        try:
            return bool(self.socket.recv(1, MSG_PEEK) == b"")
        except OSError:
            return False

    def _ask(self) -> None:
        """Send what means nothing: who is gone resets the connection. In a stream, its thread does it."""
        with self.outbuf_lock:
            if not self._is_answering:
                self.outbufs[-1].append(INTERIM)
                self.current_outbuf_count += len(INTERIM)
                self.total_outbufs_len += len(INTERIM)
                self._flush_exception(self._flush_some, do_close=False)
        self._tell()

    def write_soon(self, data: Any) -> int:
        if data:
            with self.outbuf_lock:
                self._is_answering = True
        written: int = super().write_soon(data)
        return written

    def received(self, data: bytes) -> bool:
        if self.request is None and not self._is_new:
            self._asking = Pace()
        self._is_new = False
        self._asking.passed += len(data)
        return bool(super().received(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        self._taking.passed += sent
        if self._is_silent:
            self.server.pull_trigger()  # the reset may have come already
        return sent

    def service(self) -> None:
        self._listeners, self._is_answering = [], False
        super().service()

    def handle_close(self) -> None:
        super().handle_close()
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def give_up_if_slow(self, timeout_s: float) -> None:
        """Refuse a request that does not arrive, close a connection that takes nothing."""
        if not self.total_outbufs_len:
            self._taking = Pace()
        elif self._taking.is_too_slow(timeout_s):
            self.socket.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
            self.handle_close()  # not by `will_close`, which waits until something can be sent
            return
        if self.is_asking and self._asking.is_too_slow(timeout_s):
            self._refuse(timeout_s)

    def _refuse(self, timeout_s: float) -> None:
        with self.requests_lock:
            if self.request is None:
                self.will_close = True
                return
            self.request.error = RequestTimeout(
                f"the request was not whole after {timeout_s:g} seconds: send it faster"
            )
            self.request.completed = True
            self.requests.append(self.request)
            self.request = None
            self.server.add_task(self)
