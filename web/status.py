"""The worker's state, for `/batches/`, the dashboard and the charts."""

from dataclasses import dataclass
from time import time
from typing import Any

from agents.breaker_service import BreakerService
from config.version import VERSION
from pipeline.background.housekeeping import Housekeeping
from pipeline.background.rollup_service import RollupService
from pipeline.flush.flusher import Flusher
from pipeline.memory import Memory
from web.history import History, Totals
from web.progress import Progress


@dataclass(frozen=True)
class Status:
    """Collects the state from the parts of the worker."""

    progress: Progress
    history: History
    memory: Memory
    flusher: Flusher
    breakers: BreakerService
    rollups: RollupService
    housekeeping: Housekeeping

    def sample(self) -> None:
        """Add the current totals to the charts' history."""
        in_memory = self.memory.events
        read = self.progress.events + in_memory
        dropped, lag = self.progress.total_dropped, self.progress.total_lag
        self.history.sample(Totals(time(), read, dropped, lag, in_memory))

    def version(self) -> object:
        """Changes whenever something was stored or summed, as far as the worker knows."""
        sums = self.rollups.progress
        return self.progress.batches, sums and (sums.summed_to, sums.newest)

    def as_json(self) -> dict[str, Any]:
        """The content of `/batches/`."""
        return {
            "version": VERSION,
            **self.progress.as_json(),
            "empty_flushes": self.flusher.empty_flushes,
            "buffered": self.flusher.buffer.events,
            "breakers": self.breakers.as_json(),
            "rollup": self.rollups.as_json(),
            "storage": self.housekeeping.as_json(),
            "in_memory": {"events": self.memory.events, "bytes": self.memory.bytes},
        }

    def with_history(self) -> dict[str, Any]:
        """The content of the dashboard."""
        quality = [one._asdict() for one in self.history.quality()]
        return {**self.as_json(), "quality": quality, "history": self.history.as_json()}
