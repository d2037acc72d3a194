"""Submit a prompt, poll until it is answered, print the answer. Needs `requests` and nothing else.

python examples/submit_and_poll.py "Solve the equation: 2x^2 + 5x - 3 = 0" [--url URL] [--key mk_...]
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid

import requests

FINAL = {"succeeded", "failed", "dead", "cancelled", "expired"}
TRIES = 5


def submit(session: requests.Session, url: str, prompt: str) -> str:
    """The id of the new job. The Idempotency-Key makes trying again safe, whatever was lost on the way."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"prompt": prompt, "max_tokens": 64, "deadline_s": 300, "wait_s": 10}
    problem = f"no API answers at {url}"
    for _ in range(TRIES):
        try:
            response = session.post(f"{url}/v1/jobs", json=body, headers=headers, timeout=60)
        except requests.ConnectionError:
            time.sleep(1)
            continue
        problem = f"{url} cannot take the job now: try again later"
        if response.status_code not in {429, 503} or response.headers.get("x-should-retry") == "false":
            break
        time.sleep(int(response.headers["Retry-After"]))
    else:
        sys.exit(problem)
    if not response.ok:
        sys.exit(response.json()["error"]["message"])
    return str(response.json()["id"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("prompt")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key")
    given = parser.parse_args()
    session = requests.Session()
    if given.key:
        session.headers["Authorization"] = f"Bearer {given.key}"
    job_id, pause = submit(session, given.url, given.prompt), 0.05
    while (job := session.get(f"{given.url}/v1/jobs/{job_id}", timeout=60).json())["status"] not in FINAL:
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)
    if job["status"] != "succeeded":
        sys.exit(f"job {job_id} {job['status']}: {job['error']['message']}")
    print(job["answer"]["response"])


if __name__ == "__main__":
    main()
