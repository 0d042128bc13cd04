"""Ends the worker after a fatal error: with one sentence, and exit status 1."""

import asyncio

from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError

log = get_logger(__name__)


async def end_worker(service: Service, error: FatalError) -> None:
    """Say the error's sentence and end the worker, so that the platform starts it again."""
    log.critical("%s", error)
    # In a task of its own, where no exception is being handled: `crash` logs the traceback of one.
    await asyncio.create_task(service.crash(SystemExit(1)))
