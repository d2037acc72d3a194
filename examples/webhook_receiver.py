"""Receive webhooks of mathcode and verify each with the `openai` client.

    pip install openai
    OPENAI_WEBHOOK_SECRET=$(mathcode webhooks secret) python examples/webhook_receiver.py 9000

Then submit a job with `"webhook_url": "http://127.0.0.1:9000/"`; for an address that is not public, and for http,
the server needs MATHCODE_WEBHOOK_ALLOW=127.0.0.0/8. Deliveries may come twice: `webhook-id` says so.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import InvalidWebhookSignatureError, OpenAI

client = OpenAI(api_key="unused")  # takes the secret from that variable
seen: set[str] = set()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = client.webhooks.unwrap(body, dict(self.headers))
        except (InvalidWebhookSignatureError, ValueError):
            self.send_error(400)
            return
        if event.id not in seen:
            seen.add(event.id)
            sys.stdout.write(f"{event.type} {event.data.id}\n")
            sys.stdout.flush()
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    sys.stdout.write(f"listening on http://127.0.0.1:{server.server_port}/\n")
    sys.stdout.flush()
    server.serve_forever()
