"""Whether one part of an installation is well, as an exit status, for health checks of containers.

python -m core.observing.probe url http://127.0.0.1:8000/healthz     it answers with 2xx
python -m core.observing.probe worker codestral                      this host's worker has signed and serves
python -m core.observing.probe file /tmp/beat-schedule               it was written within a minute
"""

from __future__ import annotations

import glob
import http.client
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from core.database import Database
from core.errors import MathcodeError
from core.roster import Roster, WorkerState
from core.settings import load_settings

TIMEOUT_S = 4.0
FRESH_S = 60.0


def url_trouble(url: str) -> str | None:
    """What is wrong with the answer of `url`."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)) as connection:
        try:
            connection.request("GET", parts.path or "/")
            response = connection.getresponse()
            body = response.read(500).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return f"{url}: {error}"
    return None if response.status < 300 else f"{url} answers {response.status}: {body.strip()}"


def worker_trouble(queue: str) -> str | None:
    """What is wrong with this host's worker of `queue`. Raises MathcodeError."""
    settings = load_settings()
    with closing(Database(settings.require_database_url(), connections=1)) as database:
        workers = Roster(database, beat_s=settings.beat_s).alive()
    mine = [worker for worker in workers if worker.name.startswith(f"{queue}@{socket.gethostname()}:")]
    if not mine:
        return f"no worker of {queue} on this host has signed the roster lately"
    if all(worker.state is WorkerState.LOADING for worker in mine):
        return f"the worker of {queue} still loads its model"
    return None


def file_trouble(path: str) -> str | None:
    """What is wrong with the file, or those that begin with its name."""
    named = Path(path)
    written = [found.stat().st_mtime for found in named.parent.glob(f"{glob.escape(named.name)}*")]
    if not written:
        return f"{path} is not there"
    age_s = time.time() - max(written)
    return None if age_s < FRESH_S else f"{path} was last written {age_s:.0f} s ago"


CHECKS = {"url": url_trouble, "worker": worker_trouble, "file": file_trouble}


def main(words: list[str]) -> int:
    """0 where all is well, else 1 and a sentence."""
    if len(words) != 2 or words[0] not in CHECKS:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        trouble = CHECKS[words[0]](words[1])
    except MathcodeError as error:
        trouble = error.message
    if trouble:
        sys.stderr.write(f"{trouble}\n")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
