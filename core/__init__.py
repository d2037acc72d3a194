"""The vocabulary and the shared stores; knows neither Flask nor Celery nor torch."""
