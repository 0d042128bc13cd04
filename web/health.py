"""Whether the worker is alive and ready and, if not, why."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

#: Seconds after which a rebalance counts as stuck.
REBALANCE_TIMEOUT = 60


@dataclass(frozen=True)
class Health:
    """Judges the worker by a few probes.

    Args:
        quiet_for: seconds since the flusher's last sign of life, None before its first.
        quiet_limit: seconds it may be quiet.
        database_error: what is wrong with the database ("is away: …"), or None.
        stuck: which event cannot be stored and why, or None.
        held_back: why the circuit breaker is open, or None.
        rebalancing: True while partitions are being handed around.
        positioned: True once the start offsets are known.
    """

    quiet_for: Callable[[], float | None]
    quiet_limit: float
    database_error: Callable[[], str | None]
    stuck: Callable[[], str | None]
    held_back: Callable[[], str | None]
    rebalancing: Callable[[], bool]
    positioned: Callable[[], bool]

    def alive(self) -> str | None:
        """None if alive, else why not. The event loop is alive, or the page would not answer."""
        quiet = self.quiet_for()
        if quiet is not None and quiet > self.quiet_limit:
            return f"the flusher has made no progress for {quiet:.0f} s"
        return None

    def ready(self) -> str | None:
        """None if events flow into the database, else why not."""
        if self.quiet_for() is None:
            return "the worker is starting"
        if self.rebalancing():
            return "the consumer group is rebalancing"
        if not self.positioned():
            return "the stored offsets are not known yet"
        if error := self.database_error():
            return f"the database {error}"
        if stuck := self.stuck():
            return f"an event cannot be stored: {stuck}"
        if reason := self.held_back():
            return f"the circuit breaker is open: {reason}"
        return self.alive()


def seconds_since(moment: float | None) -> float | None:
    """Seconds since a ``time.monotonic`` reading."""
    return None if moment is None else monotonic() - moment
