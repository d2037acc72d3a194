"""The port of the training worker: `/health` and `/metrics`, as the API answers them, for the trainer alone."""

from __future__ import annotations

import logging
import os
from threading import Thread
from typing import Any

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from waitress.server import create_server

from core.errors import ConfigurationError, MathcodeError, Unauthorized
from core.keys import KeyRing
from core.observing.observatory import Observatory, render_health, wants_text
from core.settings import Settings

THREADS = 2

logger = logging.getLogger(__name__)


class Door:
    """Listens from its making on; `start` has a thread of its own answer until `close`."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        host, port = settings.host, settings.trainer_port
        try:
            self._server: Any = create_server(app, host=host, port=port, threads=THREADS, ident=None)
        except OSError as error:
            raise ConfigurationError(
                f"port {port} on {host} cannot be used ({os.strerror(error.errno or 0)}): "
                "set MATHCODE_TRAINER_PORT to a free one, or to 0 for none"
            ) from error
        self._thread = Thread(target=self._server.run, name="door", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.close()


def open_door(settings: Settings, observatory: Observatory, keys: KeyRing) -> Door | None:
    """None where no port is wanted. Raises ConfigurationError where it is taken."""
    return Door(create_app(settings, observatory, keys), settings) if settings.trainer_port else None


def create_app(settings: Settings, observatory: Observatory, keys: KeyRing) -> Flask:
    app = Flask("mathcode-trainer", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]

    def health() -> ResponseReturnValue:
        body, status = render_health(observatory.unhealthy())
        return jsonify(body), status

    def metrics() -> ResponseReturnValue:
        _identify(settings, keys)
        if wants_text(request.headers.get("Accept", "")):
            return prometheus()
        return jsonify(observatory.summary())

    def prometheus() -> ResponseReturnValue:
        _identify(settings, keys)
        body, content_type = observatory.text(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type, headers={"Vary": "Accept"})

    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/metrics", view_func=metrics)
    app.add_url_rule("/metrics/prometheus", view_func=prometheus)
    app.register_error_handler(MathcodeError, _render_error)
    return app


def _identify(settings: Settings, keys: KeyRing) -> None:
    """Where keys are needed, one is needed here. Raises Unauthorized or DatabaseUnavailable."""
    if not settings.needs_keys:
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("an API key is needed: send it as `Authorization: Bearer mk_...`")
    keys.authenticate(token.strip())


def _render_error(error: MathcodeError) -> ResponseReturnValue:
    status = 401 if isinstance(error, Unauthorized) else 503
    return jsonify({"error": {"code": error.code, "message": error.message}}), status
