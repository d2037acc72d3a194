"""The composition root of the API. Building it opens no connection, so it starts while servers are away."""

from __future__ import annotations

from celery import Celery
from flask import Flask

from api import access_log, callers, cross_origin, decisions, errors
from api.reader import Reader
from api.routes import batches as batch_routes
from api.routes import documentation
from api.routes import feedback as feedback_routes
from api.routes import files as file_routes
from api.routes import jobs as job_routes
from api.routes import observing as observing_routes
from api.routes import openai as openai_routes
from api.routes import page as page_routes
from api.routes import queues as queue_routes
from api.routes import routing as routing_routes
from api.routes import status as status_routes
from api.routes import training as training_routes
from api.routes import versions as version_routes
from api.seats import Seats
from api.services import Services, attach
from core.batches import BatchStore
from core.database import Database
from core.events import EventLog
from core.files import FileStore
from core.idempotency import IdempotencyStore
from core.jobs import JobStore
from core.keys import KeyRing, KeyStore
from core.lanes import LaneStore
from core.limits import LimitStore
from core.model_versions import VersionStore
from core.roster import Roster
from core.settings import Settings
from core.tracing import build_tracer
from ensemble.router_files import WatchedRouter
from tasks.celery_app import app as celery_app
from tasks.closing import Closer
from tasks.corridor import build_admission, build_gate
from tasks.doorbell import Doorbell
from tasks.lanes import Lanes
from tasks.observing import INSTALLATION, build_observatory
from tasks.served import ServedVersions
from tasks.submit import Defaults, Submitter

# Statements take a millisecond: more connections than this would only wait for each other in PostgreSQL.
MAX_CONNECTIONS = 16


def create_app(settings: Settings, celery: Celery = celery_app) -> Flask:
    """The WSGI application. Raises ConfigurationError."""
    app = Flask("mathcode", static_folder=None)
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    attach(app.extensions, build_services(settings, celery))
    errors.register(app)
    access_log.register(app)
    callers.register(app)
    cross_origin.register(app)
    decisions.register(app)
    app.register_blueprint(batch_routes.blueprint)
    app.register_blueprint(feedback_routes.blueprint)
    app.register_blueprint(file_routes.blueprint)
    app.register_blueprint(job_routes.blueprint)
    app.register_blueprint(observing_routes.blueprint)
    app.register_blueprint(openai_routes.blueprint)
    app.register_blueprint(routing_routes.blueprint)
    app.register_blueprint(status_routes.blueprint)
    app.register_blueprint(training_routes.blueprint)
    app.register_blueprint(version_routes.blueprint)
    app.register_blueprint(queue_routes.blueprint)
    app.register_blueprint(page_routes.blueprint)
    app.register_blueprint(documentation.blueprint)
    return app


def build_services(settings: Settings, celery: Celery) -> Services:
    database = Database(settings.require_database_url(), connections=min(settings.api_threads, MAX_CONNECTIONS))
    events = EventLog.connect(settings.require_redis_url())
    jobs = JobStore(database)
    doorbell = Doorbell(celery)
    roster = Roster(database, beat_s=settings.beat_s)
    lanes = Lanes(store=LaneStore(database), roster=roster, doorbell=doorbell, low_share=settings.low_share)
    served = ServedVersions(roster)
    router = WatchedRouter(settings)
    keys, limits = KeyRing(KeyStore(database)), LimitStore(database)
    gate = build_gate(settings, keys, limits)
    submitter = Submitter(
        jobs=jobs,
        router=router,
        admission=build_admission(settings),
        doorbell=doorbell,
        closer=Closer(jobs=jobs, events=events, lanes=lanes),
        lanes=lanes,
        served=served,
        gate=gate,
        idempotency=IdempotencyStore(database),
        defaults=Defaults(deadline_s=settings.deadline_s, webhook_url=settings.default_webhook_url),
    )
    return Services(
        tracer=build_tracer(settings, "api"),
        settings=settings,
        database=database,
        jobs=jobs,
        events=events,
        reader=Reader(events=events, jobs=jobs),
        roster=roster,
        versions=VersionStore(database),
        served=served,
        keys=keys,
        limits=limits,
        gate=gate,
        router=router,
        submitter=submitter,
        doorbell=doorbell,
        files=FileStore(database),
        batches=BatchStore(database),
        seats=Seats(settings.streams),
        observatory=build_observatory(
            settings, database, events=events, roster=roster, doorbell=doorbell, scope=INSTALLATION
        ),
    )
