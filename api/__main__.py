"""`python -m api`: the API under waitress, which buffers slow clients and gives each request a thread."""

from __future__ import annotations

import logging
import os
import signal
import sys
from threading import Event, Thread
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from api.app import create_app
from api.server import create_server
from api.services import Services
from core.errors import ConfigurationError, DatabaseUnavailable
from core.keys import KeyStore
from core.logs import configure_logging
from core.settings import Settings, load_settings

EX_CONFIG = 78
MIGRATION_RETRY_S = 1.0

logger = logging.getLogger("api")


def main() -> int:
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        serve(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return EX_CONFIG
    return 0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = create_app(settings)
    services: Services = app.extensions["mathcode"]
    stopping = Event()
    Thread(target=_migrate, args=(services, stopping), name="migration", daemon=True).start()
    server = create_server(app, settings)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        services.reader.close()
        server.pull_trigger()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    logger.info("serving on http://%s:%s", settings.host, settings.port)
    server.run_until(stopping, grace_s=settings.drain_s)


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
