"""Follow a job's text as it appears, with nothing but `requests`.

    python examples/stream.py "Implement a binary search tree in Python" [--url URL] [--key mk_...]

A connection that breaks is taken up after the last event, also at another process of the API.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator

import requests

TRIES = 60


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("prompt")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key")
    given = parser.parse_args()
    with requests.Session() as session:
        if given.key:
            session.headers["Authorization"] = f"Bearer {given.key}"
        jobs = f"{given.url}/v1/jobs"
        submitted = session.post(jobs, json={"prompt": given.prompt}, timeout=30)
        submitted.raise_for_status()
        for name, data in follow(session, f"{jobs}/{submitted.json()['id']}"):
            if name == "piece":
                print(data["text"], end="", flush=True)
            elif name == "restarted":
                print(f"\n[{data['model']} begins again]")
            elif name == "answer" and len(data["completions"]) > 1:
                print(f"\n\n--- both together ---\n{data['response']}", end="")
            elif name == "done":
                print(f"\n[{data['status']}]")
                sys.exit(data["status"] != "succeeded")


def follow(session: requests.Session, job: str) -> Iterator[tuple[str, dict]]:
    """The events of the job at that URL, each once, up to and with `done`."""
    last = None
    for _ in range(TRIES):
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with session.get(f"{job}/events", headers=headers, stream=True, timeout=30) as response:
                response.raise_for_status()
                for event_id, name, data in events(response):
                    yield name, data
                    last = event_id
                    if name == "done":
                        return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            pass
        time.sleep(0.5)
    sys.exit(f"no API answers at {job}")


def events(response: requests.Response) -> Iterator[tuple[str, str, dict]]:
    """(id, name, data) of a text/event-stream; lines that begin with a colon keep the connection alive."""
    fields: dict[str, str] = {}
    for line in response.iter_lines(chunk_size=None, decode_unicode=False):
        if line:
            name, _, value = line.decode().partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}


if __name__ == "__main__":
    main()
