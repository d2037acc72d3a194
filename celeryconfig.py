"""Celery's configuration. Read lazily by `tasks.celery_app`, with this process's settings."""

from kombu import Exchange, Queue

from core.messages import Priority
from core.settings import load_settings
from tasks.queues import STEPS, QueueName

_settings = load_settings()
_redis_timeouts = {"socket_connect_timeout": 1.0, "socket_timeout": 5.0, "socket_keepalive": True}

broker_url = _settings.require_redis_url()
# Publishers do not wait for a broker that is away: the reconciler publishes later. Consumers reconnect for ever.
# Redis keeps no list of unacknowledged messages: the ledger's leases do what it is for, without its visibility
# timeout, and kombu fails to clear it when a connection breaks, which would end the worker.
broker_transport_options = {**_redis_timeouts, "max_retries": 0, "ack_emulation": False}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_pool_limit = _settings.api_threads

# Only the chord's plumbing: the truth about a job is its row in Postgres.
result_backend = f"tasks.chord_backend:ChordBackend+{broker_url}"
result_expires = 3600
result_chord_expires = 86_400
redis_socket_connect_timeout = 1.0
redis_socket_timeout = 5.0
result_backend_transport_options = {"retry_policy": {"max_retries": 0, "timeout": 2.0}}
task_ignore_result = True

accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"

task_queues = [Queue(name.value, Exchange(name.value), routing_key=name.value) for name in QueueName]
task_default_queue = QueueName.LIGHT.value
task_default_priority = STEPS[Priority.NORMAL]
task_create_missing_queues = False

# One process per queue, its threads waiting on one engine; prefetched messages never exceed free slots.
worker_pool = "threads"
worker_concurrency = _settings.slots
worker_prefetch_multiplier = 1
task_acks_late = True
worker_cancel_long_running_tasks_on_connection_loss = False  # with a Redis backend it loses jobs
worker_redirect_stdouts = False

imports = (
    "tasks.generate",
    "tasks.merge",
    "tasks.housekeeping",
    "tasks.training",
    "worker.bootstrap",
    "training.bootstrap",
)

# The clock of its host may go back.
beat_scheduler = "tasks.beat:SteadyScheduler"
# Its file is written after each task, so that a health check sees by its age that the clock goes.
beat_sync_every = 1

beat_schedule = {
    "reconcile": {
        "task": "mathcode.reconcile",
        "schedule": _settings.reconcile_s,
        "options": {
            "queue": QueueName.LIGHT.value,
            "priority": STEPS[Priority.HIGH],  # no stream of merges keeps repairs waiting
            "expires": 10 * _settings.reconcile_s,
        },
    },
    "batches": {
        "task": "mathcode.batches",
        "schedule": _settings.reconcile_s,
        "options": {"queue": QueueName.LIGHT.value, "expires": 10 * _settings.reconcile_s},
    },
    "prune": {
        "task": "mathcode.prune",
        "schedule": 30 * _settings.reconcile_s,
        "options": {
            "queue": QueueName.LIGHT.value,
            "priority": STEPS[Priority.LOW],
            "expires": 60 * _settings.reconcile_s,
        },
    },
    "watch": {
        "task": "mathcode.watch",
        "schedule": _settings.check_interval_s,
        "options": {"queue": QueueName.LIGHT.value, "expires": 10 * _settings.check_interval_s},
    },
}
