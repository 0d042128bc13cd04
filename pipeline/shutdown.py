"""Ends the worker after a fatal error: with one sentence, and exit status 1."""

from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError
from pipeline.log_events import named

log = get_logger(__name__)


class FatalExit(SystemExit):
    """Ends the process with status 1, after the reason was logged."""

    def __init__(self, error: FatalError) -> None:
        super().__init__(1)
        self.sentence = str(error)


def end_worker(service: Service, error: FatalError) -> None:
    """Log the error's sentence once and end the worker, so that the platform restarts it."""
    root = service.beacon.root
    worker = service if root is None else root.data
    if not worker.crashed:
        log.critical("%s", error, extra=named("worker_failed"))
        # Like mode's `crash`, but without a pointless stack trace.
        worker._crash(FatalExit(error))
