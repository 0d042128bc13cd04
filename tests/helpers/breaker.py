"""A circuit breaker, and chunks that open it."""

from datetime import UTC, datetime

from agents.circuit_breaker import CircuitBreaker
from agents.flash_sales import FLASH_SALES
from pipeline.chunk import Chunk
from pipeline.memory import Memory
from pipeline.partition import Partition
from pipeline.record import PlainRecord

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


GOOD = b'{"event_id":"e","user_id":"u","product_id":"p","category":"c"}'


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def chunk(
    start: int, *, good: int = 0, bad: int = 0, partition: int = 0, memory: Memory | None = None
) -> Chunk:
    """A chunk of events of which some are dropped."""
    end = start + good + bad
    records = [PlainRecord(n, b"<broken>" if n < start + bad else GOOD) for n in range(start, end)]
    lease = memory.hold(len(records), 100) if memory else None
    return Chunk.transform(FLASH_SALES, Partition("t", partition), start, end, records, lease=lease)


def breaker(
    window: int = 10, share: float = 0.9, pause: float = 0.0, clock: Clock | None = None
) -> CircuitBreaker:
    """A circuit breaker with a small window."""
    return CircuitBreaker(share, window, pause, clock or Clock())
