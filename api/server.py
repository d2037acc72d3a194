"""waitress, made to hold many open streams and to give up on slow clients.

Of many threads most wait inside an event stream; they are started as they are needed. A client that owes a
request, or is owed an answer, must let SLOWEST bytes a second pass, or be done within the timeout.
"""

from __future__ import annotations

import resource
import time
from threading import Event
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from api.channel import Channel
from api.uploads import parser_for, upload_limit
from core.settings import Settings

MAINTENANCE_S = 1.0
TURN_S = 0.05
KEEP_IDLE_S = 1.0
"""While it stops: how long clients may still send a next request on an open connection, whose answer closes it."""
# A body a little too large is read and refused by Flask; one far too large is cut off by waitress.
BODY_SLACK = 16
CONNECTIONS = 512
"""As many may be open beside those that hold a thread, such as clients that keep theirs for the next request."""
FILES = 256  # open files beside connections
HELD_BACK = 262_144
"""Bytes that wait for one client before its thread does."""
IN_MEMORY = 65_536  # of those; the rest goes to a temporary file


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
    is_stopping = False
    next_channel_cleanup: float

    def run_until(self, stopping: Event, *, grace_s: float) -> None:
        """Serve all addresses until `stopping`; then take no more, and let what was taken end within `grace_s`."""
        while not stopping.is_set():
            self._turn(self.adj.asyncore_loop_timeout)
        for server in [each for each in self._map.values() if isinstance(each, Server)]:
            server.stop_listening()
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < grace_s and self._is_busy(keep_idle=passed < KEEP_IDLE_S):
            self._turn(TURN_S)
        self.task_dispatcher.shutdown()

    def _turn(self, timeout_s: float) -> None:
        self.asyncore.loop(timeout_s, self.adj.asyncore_use_poll, self._map, 1)

    def stop_listening(self) -> None:
        """Who is connected already is taken in: closing the socket would reset him with his request unread."""
        self.is_stopping, known = True, -1
        while known != len(self._map):
            known = len(self._map)
            self.handle_accept()
        wasyncore.dispatcher.close(self)

    def _is_busy(self, *, keep_idle: bool) -> bool:
        """Whether a connection is open; unless they are kept, those between two requests are closed."""
        channels = [each for each in self._map.values() if isinstance(each, Channel)]
        for channel in channels:
            if channel.is_idle and not channel.is_asking and not keep_idle:
                channel.will_close = True
        return bool(channels)

    def readable(self) -> bool:
        """Where no further connection could be accepted, those that owe a request make room, then idle ones."""
        latest = time.time() + self.adj.cleanup_interval
        self.next_channel_cleanup = min(self.next_channel_cleanup, latest)  # the clock may have gone back
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
