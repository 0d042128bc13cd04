"""The worker's pages. `/metrics` is Faust's Prometheus page and includes our metrics."""

from collections.abc import Callable
from typing import Any

import faust
from faust.sensors.prometheus import setup_prometheus_sensors
from faust.web import Request, Response, View

from web.health import Health


def pages(app: faust.App, batches: Callable[[], dict[str, Any]], health: Health) -> None:
    """Register the pages on the app.

    Args:
        app: the Faust app.
        batches: returns what ``/batches/`` shows.
        health: for ``/health/`` and ``/ready/``.
    """
    setup_prometheus_sensors(app, name_prefix="faust")

    @app.page("/batches/", name="batches")
    async def batches_page(self: View, request: Request) -> Response:
        return self.json(batches())

    @app.page("/health/", name="health")
    async def health_page(self: View, request: Request) -> Response:
        return _answer(self, health.alive())

    @app.page("/ready/", name="ready")
    async def ready_page(self: View, request: Request) -> Response:
        return _answer(self, health.ready())


def _answer(view: View, reason: str | None) -> Response:
    if reason is None:
        return view.json({"status": "ok"})
    return view.json({"status": "unavailable", "reason": reason}, status=503)
