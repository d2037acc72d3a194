"""The yardstick of queue_overhead.py: Celery alone, an empty task, the same broker and pool."""

from celery import Celery

from core.settings import load_settings

app = Celery("plain", broker=load_settings().require_redis_url(), backend=load_settings().require_redis_url())
app.conf.update(
    worker_pool="threads",
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_default_queue="plain",
    broker_connection_retry_on_startup=True,
)


@app.task(name="plain.empty")
def empty() -> None:
    """Nothing at all."""
