"""waitress, made to hold many open streams and to give up on slow clients.

Of many threads most wait inside an event stream; they are started as they are needed. A client that owes a
request, or is owed an answer, must let SLOWEST bytes a second pass, or be done within the timeout.
"""

from __future__ import annotations

import json
import resource
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from flask import Flask
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from api.error_shapes import render_error
from api.uploads import parser_for, upload_limit
from core.settings import Settings

SLOWEST = 500  # bytes per second
MAINTENANCE_S = 1.0
# A body a little too large is read and refused by Flask; one far too large is cut off by waitress.
BODY_SLACK = 16
CONNECTIONS = 512
"""As many may be open beside those that hold a thread, such as clients that keep theirs for the next request."""
FILES = 256  # open files beside connections
HELD_BACK = 262_144
"""Bytes that wait for one client before its thread does."""
IN_MEMORY = 65_536  # of those; the rest goes to a temporary file
RESET = struct.pack("ii", 1, 0)
"""Closing throws away what the kernel still has to send."""
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
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Task(WSGITask):  # type: ignore[misc]
    """Tells the application how to learn that the client is gone."""

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
        """Watch this connection while its request is served, and call `listener` when it is closed."""
        self._listeners.append(listener)
        if not self.connected:
            listener()
        self.server.pull_trigger()

    def readable(self) -> bool:
        """While a request is served, only for who waits to learn of a disconnect."""
        return bool((self._listeners or not self.requests) and super().readable())

    def received(self, data: bytes) -> bool:
        if self.request is None and not self._is_new:
            self._asking = Pace()
        self._is_new = False
        self._asking.passed += len(data)
        return bool(super().received(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        self._taking.passed += sent
        return sent

    def service(self) -> None:
        self._listeners = []
        super().service()

    def handle_close(self) -> None:
        super().handle_close()
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


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Starts a thread when none is free, up to `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def add_task(self, task: Any) -> None:
        with self.lock:
            count = len(self.threads)
            idle = count - self.stop_count - self.active_count
            is_short = idle <= len(self.queue) and count < self._most and self.stop_count == 0
        if is_short:
            self.set_thread_count(count + 1)
        super().add_task(task)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Listens at one address."""

    channel_class = Channel
    client_timeout_s = 30.0

    def readable(self) -> bool:
        """Where no further connection could be accepted, those that owe a request make room, then idle ones."""
        if len(self._map) >= self.adj.connection_limit:
            idle = [channel for channel in self.active_channels.values() if channel.is_idle]
            idle.sort(key=lambda channel: (not channel.is_asking, channel.asking_since))
            for channel in idle[: max(1, len(idle) // 8)]:
                channel.will_close = True
        return bool(super().readable())

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for channel in tuple(self.active_channels.values()):
            channel.give_up_if_slow(self.client_timeout_s)


def create_server(app: Flask, settings: Settings) -> Server:
    """A server that listens at every address that the host's name has; its `run` serves all of them."""
    threads = settings.api_threads + settings.streams
    limit = _allow_files(threads + CONNECTIONS + FILES) - FILES
    adjustments = Adjustments(
        host=settings.host,
        port=settings.port,
        threads=threads,
        max_request_body_size=upload_limit(settings),
        send_bytes=1,  # a piece of text leaves when it appears, not when a buffer is full
        ident=None,
        connection_limit=min(limit, threads + CONNECTIONS),
        cleanup_interval=MAINTENANCE_S,
        asyncore_use_poll=True,  # select() ends at 1,024 files
        channel_request_lookahead=1,
        outbuf_overflow=IN_MEMORY,
        outbuf_high_watermark=HELD_BACK,
    )
    dispatcher, sockets = Dispatcher(threads), dict[int, Any]()
    for sockinfo in adjustments.listen:
        server = Server(app, sockets, dispatcher=dispatcher, adj=adjustments, sockinfo=sockinfo)
        server.channel_class = _channel_for(settings)
        server.client_timeout_s = settings.client_timeout_s
    return server


def _channel_for(settings: Settings) -> type[Channel]:
    class Configured(Channel):
        parser_class = parser_for(BODY_SLACK * settings.max_body_bytes)

    return Configured


def _allow_files(wanted: int) -> int:
    """How many files this process may open, after asking for `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
