"""The gate beside a ledger that is there and says nothing."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from core.database import Database
from core.errors import DatabaseUnavailable
from core.keys import KeyRing, KeyStore
from core.limits import LimitStore
from core.messages import GenerationRequest, ModelName
from core.patience import CONNECT_S
from tasks.gate import Gate

CALLERS = 12


def test_a_silent_ledger_is_waited_for_together_and_not_by_one_caller_after_the_other() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/c"
        with closing(Database(url, connections=CALLERS)) as database, ThreadPoolExecutor(CALLERS) as callers:
            keys = KeyRing(KeyStore(database))
            gate = Gate(keys=keys, limits=LimitStore(database), max_queued=10, default_max_tokens=8)

            def is_refused(_: int) -> bool:
                try:
                    gate.admit(GenerationRequest(prompt="x"), [ModelName.MATHSTRAL], None)
                except DatabaseUnavailable:
                    return True
                return False

            start = time.monotonic()
            assert all(callers.map(is_refused, range(CALLERS)))
            assert time.monotonic() - start < 3 * CONNECT_S
