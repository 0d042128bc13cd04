"""Whether the worker is alive and ready and, if not, why."""

from dataclasses import dataclass
from time import monotonic

from agents.breaker_service import BreakerService
from pipeline.background.database_watch import DatabaseWatch
from pipeline.errors import DatabaseTrouble
from pipeline.flush.flusher import Flusher
from pipeline.patience import Patience
from source.control import ConsumerControl
from source.log_ends import LogEnds


@dataclass(frozen=True)
class Health:
    """Judges the worker by its parts.

    Args:
        start: what it waits for before it runs.
        flusher, watch, ends, breakers, consumer: the parts.
        quiet_limit: seconds that the flusher may give no sign of life.
    """

    start: Patience
    flusher: Flusher
    watch: DatabaseWatch
    ends: LogEnds
    breakers: BreakerService
    consumer: ConsumerControl
    quiet_limit: float

    def alive(self) -> str | None:
        """None if alive, else why not. The event loop is alive, or the page would not answer."""
        moved = self.flusher.last_tick
        if moved is not None and (quiet := monotonic() - moved) > self.quiet_limit:
            return f"the flusher has made no progress for {quiet:.0f} s"
        return None

    @property
    def database_trouble(self) -> DatabaseTrouble | None:
        """Why nothing can be written, by the last write or the last check."""
        return self.flusher.last_error or self.watch.last_error

    def ready(self) -> str | None:
        """None if events flow into the database, else why not."""
        if self.start.waiting_for:
            return f"the worker waits to start: {self.start.waiting_for}"
        if self.flusher.last_tick is None:
            return "the worker is starting"
        if reason := self.ends.away:
            return reason
        if self.consumer.is_rebalancing:
            return "the consumer group is rebalancing"
        if not self.consumer.is_positioned:
            return "the stored offsets are not known yet"
        if trouble := self.database_trouble:
            return f"the database {trouble}"
        if not self.breakers.are_known:
            return "the circuit breakers are not read from the database yet"
        if stuck := self.flusher.stuck:
            return f"an event cannot be stored: {stuck}"
        if reason := self.breakers.reason:
            return f"the circuit breaker is open: {reason}"
        return self.alive()
