"""The memory of events between Kafka and the database, counted and bounded.

Whatever holds events has a lease on their bytes, which ends with the object at the latest: no code
path, such as a rebalance that drops queues, can forget to release it. Reading waits at the limit.

Thread-safe: events are read in the consumer's thread and written from others.
"""

import asyncio
import ctypes
import gc
from contextlib import suppress
from threading import RLock

#: Numbers of the options, in glibc's malloc.h.
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8

#: Bytes of a block of memory that goes back to the system as soon as it is freed, glibc's first
#: choice. Smaller ones are kept, because to get a new one costs a page fault for each 4 KB.
LARGE = 131_072


class Lease:
    """Some events and their bytes, held until ``release`` or until nothing refers to it."""

    __slots__ = ("_memory", "_queued", "events", "size")

    def __init__(self, memory: "Memory", events: int, size: int) -> None:
        self._memory = memory
        self._queued = 1
        self.events = events
        self.size = size

    def transformed(self, size: int) -> None:
        """The events have left the queue, and now take ``size`` bytes."""
        self._memory._add(0, size - self.size, -self._queued)
        self._queued = 0
        self.size = size

    def release(self) -> None:
        """Release the memory; a second call does nothing."""
        self._memory._add(-self.events, -self.size, -self._queued)
        self.events = self.size = self._queued = 0

    __del__ = release


class Memory:
    """Counts events and bytes in memory.

    Args:
        max_events: limit of events.
        max_bytes: limit of their bytes, approximate: it may be exceeded by one fetch.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.events = 0
        self.bytes = 0
        #: Fetches that wait for the agent.
        self.queued = 0
        # Garbage collection may end a lease in the middle of another one's count.
        self._lock = RLock()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def hold(self, events: int, size: int) -> Lease:
        """Count events that are in memory from now on."""
        self._add(events, size, 1)
        return Lease(self, events, size)

    @property
    def room(self) -> int:
        """How many more events may be read now."""
        if self.bytes >= self.max_bytes:
            return 0
        return max(0, self.max_events - self.events)

    async def wait_for_room(self, timeout: float) -> bool:  # noqa: ASYNC109 - part of its meaning
        """Wait until there is room; False where there is none after ``timeout`` seconds."""
        if self.room:
            return True
        event = asyncio.Event()
        self._waiter = asyncio.get_running_loop(), event
        try:
            # Memory released before the waiter was set has notified nobody.
            if not self.room:
                await asyncio.wait_for(event.wait(), timeout)
        except TimeoutError:
            pass
        finally:
            self._waiter = None
        return bool(self.room)

    def _add(self, events: int, size: int, queued: int) -> None:
        with self._lock:
            self.events += events
            self.bytes += size
            self.queued += queued
        waiter = self._waiter
        if waiter and size <= 0 and self.room:
            loop, event = waiter
            # The loop of a worker that is ending may be closed already.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)


def return_freed_memory() -> None:
    """Have glibc give large blocks back to the system as soon as they are freed.

    By default it keeps ever larger blocks once it has seen large ones, and each thread has its own
    arena: 7 MB at the usual load, and much more after values of megabytes.
    Elsewhere (musl, macOS) nothing is done.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, LARGE)
        mallopt(_ARENA_MAX, 2)


def tune_gc() -> None:
    """Have Python collect cycles less often, and skip the objects that exist already.

    By default the collector visits every buffered event again and again, which took a third of the
    processor time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
