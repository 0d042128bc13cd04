"""The memory of events between Kafka and the database, counted and bounded.

Each object that holds events has a lease on their bytes, which ends with the object at the latest:
no code path can forget to release it, even a rebalance that drops queues. At the limit, reading
waits.

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

#: Blocks of at least so many bytes go back to the system as soon as they are freed; it is glibc's
#: initial value. Smaller ones are kept, as a new one costs a page fault for each 4 KB.
LARGE = 131_072


class Lease:
    """A count of events and their bytes, until ``release`` or until nothing refers to it."""

    __slots__ = ("_memory", "_queued", "events", "size")

    def __init__(self, memory: "Memory", events: int, size: int) -> None:
        self._memory = memory
        self._queued = 1
        self.events = events
        self.size = size

    def transformed(self, size: int) -> None:
        """The events have left the queue and now take ``size`` bytes."""
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
        max_events: maximum events.
        max_bytes: maximum of their bytes; one fetch may exceed it.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.events = 0
        self.bytes = 0
        #: Fetches waiting for the agent.
        self.queued = 0
        # Garbage collection may end a lease in the middle of another one's count.
        self._lock = RLock()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def hold(self, events: int, size: int) -> Lease:
        """Count these events as in memory from now on."""
        self._add(events, size, 1)
        return Lease(self, events, size)

    @property
    def room(self) -> int:
        """How many more events may be read now."""
        if self.bytes >= self.max_bytes:
            return 0
        return max(0, self.max_events - self.events)

    async def wait_for_room(self, timeout: float) -> bool:  # noqa: ASYNC109 - part of its meaning
        """Wait until there is room; False if there is none after ``timeout`` seconds."""
        if self.room:
            return True
        event = asyncio.Event()
        self._waiter = asyncio.get_running_loop(), event
        try:
            # A release before the waiter was set has woken nobody.
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
            # A stopping worker's loop may be closed already.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)


def return_freed_memory() -> None:
    """Have glibc give large blocks back to the system as soon as they are freed.

    By default it keeps larger and larger blocks once it has seen large ones, and each thread has
    its own arena: that costs 7 MB at the usual load, and far more after values of megabytes. Does
    nothing with another C library (musl, macOS).
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, LARGE)
        mallopt(_ARENA_MAX, 2)


def tune_gc() -> None:
    """Have Python collect cycles less often, and skip the objects that exist already.

    By default it visits every buffered event over and over, which took a third of the CPU time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
