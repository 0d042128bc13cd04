"""Ends the worker after a fatal error: with one sentence, and exit status 1."""

from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError

log = get_logger(__name__)


class FatalExit(SystemExit):
    """Ends the process with status 1 for a reason that has been said."""

    def __init__(self, error: FatalError) -> None:
        super().__init__(1)
        self.sentence = str(error)


def end_worker(service: Service, error: FatalError) -> None:
    """Say the error's sentence, once, and end the worker, so that the platform starts it again."""
    root = service.beacon.root
    worker = service if root is None else root.data
    if not worker.crashed:
        log.critical("%s", error)
        # As mode's `crash` does, which logs a stack that is none.
        worker._crash(FatalExit(error))
