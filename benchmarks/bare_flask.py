"""A yardstick of doors.py: the least a Flask route can do with a submission, under the same server."""

from __future__ import annotations

import sys

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from waitress import serve

app = Flask("bare")


@app.post("/submit")
def submit() -> ResponseReturnValue:
    """Parse and answer."""
    return jsonify({"prompt": request.get_json(force=True)["prompt"]}), 202


if __name__ == "__main__":
    serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=32, ident=None)
