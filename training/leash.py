"""What ties a child of the pipeline to it: the process that holds the other end of standard input.

Called first by every child. Started by hand, with a terminal or a closed standard input, a child runs on its own.
"""

from __future__ import annotations

import os
import stat
import sys
from threading import Thread

EX_ORPHANED = 71


def tie_to_parent() -> None:
    """End this process at once when the other end of a pipe on standard input is closed."""
    descriptor = sys.stdin.fileno() if sys.stdin is not None else -1
    if descriptor >= 0 and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        Thread(target=_await_end, args=(descriptor,), name="leash", daemon=True).start()


def _await_end(descriptor: int) -> None:
    while os.read(descriptor, 4096):
        pass
    os._exit(EX_ORPHANED)
