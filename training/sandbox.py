"""Runs programs that a model wrote, apart from everything: for small checks, not for hostile minds.

What always holds: a process of its own, `python -I -S` with an empty environment and an empty working directory,
limits on processor time, memory, file sizes, open files and processes (none but itself), a deadline after which
its whole group is killed. As root it also becomes nobody. What holds where the kernel allows it: no network, by a
namespace of its own; elsewhere an audit hook refuses sockets and processes, which stops accidents only.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("sandboxed.py")
MEMORY_BYTES = 512 << 20
TIMEOUT_S = 5.0


def passes(source: str, *, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> bool:
    """Whether the program `source` runs to its end without an error in time; leaving early is an error."""
    proof = secrets.token_hex(16)
    task = {"source": source, "proof": proof, "memory_bytes": memory_bytes, "seconds": max(1, round(timeout_s))}
    with tempfile.TemporaryDirectory(prefix="exercise-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o777)
        # The launcher travels as text: nobody may be unable to read our files.
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER.read_text(encoding="utf-8")],
            cwd=directory,
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            told = process.communicate(json.dumps(task).encode(), timeout=timeout_s)[0]
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return told == proof.encode()
