"""The composition root of the API. Building it opens no connection, so it starts while servers are away."""

from __future__ import annotations

from functools import cache

from celery import Celery
from flask import Flask

from api import errors
from api.routes import jobs as job_routes
from api.routes import status as status_routes
from api.routes import training as training_routes
from api.seats import Seats
from api.services import Services, attach
from core.database import Database
from core.events import EventLog
from core.jobs import JobStore
from core.lanes import LaneStore
from core.messages import ModelName
from core.model_versions import VersionStore
from core.roster import Roster
from core.settings import Settings
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer
from ensemble.models import describe_model
from ensemble.router_building import build_router
from tasks.admission import Admission
from tasks.celery_app import app as celery_app
from tasks.closing import Closer
from tasks.doorbell import Doorbell
from tasks.lanes import Lanes
from tasks.submit import Submitter

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
    app.register_blueprint(job_routes.blueprint)
    app.register_blueprint(status_routes.blueprint)
    app.register_blueprint(training_routes.blueprint)
    return app


def build_services(settings: Settings, celery: Celery) -> Services:
    database = Database(settings.require_database_url(), connections=min(settings.api_threads, MAX_CONNECTIONS))
    events = EventLog.connect(settings.require_redis_url())
    jobs = JobStore(database)
    doorbell = Doorbell(celery)
    roster = Roster(database, beat_s=settings.beat_s)
    lanes = Lanes(store=LaneStore(database), roster=roster, doorbell=doorbell, low_share=settings.low_share)
    submitter = Submitter(
        jobs=jobs,
        router=build_router(settings),
        admission=_admission(settings),
        doorbell=doorbell,
        closer=Closer(jobs=jobs, events=events, lanes=lanes),
        lanes=lanes,
        deadline_s=settings.deadline_s,
    )
    return Services(
        settings=settings,
        database=database,
        jobs=jobs,
        events=events,
        roster=roster,
        versions=VersionStore(database),
        submitter=submitter,
        seats=Seats(settings.api_threads // 2),
    )


def _admission(settings: Settings) -> Admission:
    specs = {model: describe_model(model, settings) for model in ModelName}

    @cache  # loaded when the first long prompt arrives: short ones are admitted without counting
    def tokenizer_of(model: ModelName) -> Tokenizer:
        return load_tokenizer(specs[model].directory)

    context_tokens = {model: spec.context_tokens for model, spec in specs.items()}
    return Admission(context_tokens=context_tokens, tokenizer_of=tokenizer_of)
