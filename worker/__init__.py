"""The process that hosts one engine: `celery -A tasks.celery_app worker -Q mathstral` (or codestral, or light)."""
