"""`python -m api`: the API under waitress, which buffers slow clients and gives each request a thread."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from threading import Event, Thread
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask

from api.app import create_app
from api.error_shapes import render_error
from api.services import Services
from api.uploads import parser_for, upload_limit
from core.errors import ConfigurationError, DatabaseUnavailable
from core.keys import KeyStore
from core.logs import configure_logging
from core.settings import Settings, load_settings

EX_CONFIG = 78
MIGRATION_RETRY_S = 1.0
# A body a little too large is read and refused by Flask; one far too large is cut off by waitress.
BODY_SLACK = 16

logger = logging.getLogger("api")


def main() -> int:
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        serve(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return EX_CONFIG
    return 0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = create_app(settings)
    stopping = Event()
    migration = Thread(target=_migrate, args=(app.extensions["mathcode"], stopping), name="migration", daemon=True)
    migration.start()
    server = create_server(
        app,
        host=settings.host,
        port=settings.port,
        threads=settings.api_threads,
        max_request_body_size=upload_limit(settings),
        channel_request_lookahead=1,  # reads on while a request is answered, and so sees that a client is gone
        send_bytes=1,  # a piece of text leaves when it appears, not when a buffer is full
        ident=None,
    )

    JsonChannel.parser_class = parser_for(BODY_SLACK * settings.max_body_bytes)
    server.channel_class = JsonChannel

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    logger.info("serving on http://%s:%s", settings.host, settings.port)
    server.run()


class JsonErrorTask(ErrorTask):  # type: ignore[misc]
    """What waitress itself refuses, such as malformed HTTP, in the shape of all our errors."""

    def execute(self) -> None:
        error = self.request.error
        code = "body_too_large" if error.code == 413 else error.reason.lower().replace(" ", "_")
        path = str(getattr(self.request, "path", ""))  # not known where the request line itself is malformed
        content = render_error(path, status=error.code, code=code, message=error.body)
        body = json.dumps(content).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class JsonChannel(HTTPChannel):  # type: ignore[misc]
    error_task_class = JsonErrorTask


def _migrate(services: Services, stopping: Event) -> None:
    """Bring the database up to date as soon as it can be reached; until then requests get a 503."""
    while not stopping.is_set():
        try:
            services.database.migrate()
            _look_for_keys(services)
            return
        except ConfigurationError as error:
            logger.critical("%s", error)
            os._exit(EX_CONFIG)
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            logger.warning("migrations wait: %s", error)
            stopping.wait(MIGRATION_RETRY_S)


def _look_for_keys(services: Services) -> None:
    """Say why every request is refused, where that is so."""
    if services.settings.needs_keys and not KeyStore(services.database).exists():
        logger.warning("requests need an API key and there is none: make one with `mathcode keys create NAME`")


if __name__ == "__main__":
    sys.exit(main())
