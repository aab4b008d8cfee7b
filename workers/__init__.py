"""The fleet: `celery -A workers worker` works on the runs of `kat run --executor celery`."""

from workers.app import app

__all__ = ["app"]
