"""A worker's part in doors.py: writes to event logs, as pieces, the moments at which it does so.

    REDIS_URL=... python -m benchmarks.token_writer SECONDS TOKENS_PER_S JOB_ID...

Jobs take turns; the first one gets every other token. The moments are nanoseconds of the monotonic clock, which
all processes of a machine share.
"""

from __future__ import annotations

import sys
import time

from core.events import EventLog, Piece
from core.messages import ModelName
from core.settings import load_settings


def main() -> None:
    seconds, rate, jobs = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    log = EventLog.connect(load_settings().require_redis_url())
    begun, number = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        job_id = jobs[0] if number % 2 == 0 else jobs[(number // 2) % len(jobs)]
        log.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=1, text=str(time.monotonic_ns())))
        number += 1
        time.sleep(max(0.0, begun + number / rate - time.monotonic()))


if __name__ == "__main__":
    main()
