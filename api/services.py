"""What the views need, built once per process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from api.reader import Reader
from api.seats import Seats
from core.batches import BatchStore
from core.database import Database
from core.events import EventLog
from core.files import FileStore
from core.jobs import JobStore
from core.keys import KeyRing
from core.limits import LimitStore
from core.model_versions import VersionStore
from core.observing.observatory import Observatory
from core.roster import Roster
from core.settings import Settings
from core.tracing import Tracer
from ensemble.routing.router import Router
from tasks.doorbell import Doorbell
from tasks.gate import Gate
from tasks.served import ServedVersions
from tasks.submit import Submitter

_KEY = "mathcode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    database: Database
    jobs: JobStore
    events: EventLog
    reader: Reader
    roster: Roster
    versions: VersionStore
    served: ServedVersions
    keys: KeyRing
    limits: LimitStore
    gate: Gate
    router: Router
    submitter: Submitter
    doorbell: Doorbell
    files: FileStore
    batches: BatchStore
    seats: Seats
    observatory: Observatory
    tracer: Tracer


def attach(extensions: dict[str, object], services: Services) -> None:
    extensions[_KEY] = services


def services() -> Services:
    """Those of the application that handles the current request."""
    return cast(Services, current_app.extensions[_KEY])
