"""The buffer between reading and writing: pure state, no timing, no I/O.

Invariants:
- chunks leave in the order in which they arrived;
- a chunk is here until it is written: waiting, or in flight between ``take`` and ``done``;
- what is discarded is never handed out: its events are re-read.

``pipeline.memory`` counts and bounds the memory.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pipeline.chunk import Chunk


class Buffer:
    """Chunks waiting to be written, and those being written."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self._in_flight: list[Chunk] = []
        #: What a write could not store: the next write begins with it.
        self.stuck: list[Chunk] = []
        #: Events waiting, and their approximate bytes.
        self.waiting = 0
        self.waiting_bytes = 0
        self.epoch = 0
        self.opened: datetime | None = None

    def __bool__(self) -> bool:
        """Whether anything waits: a chunk without events waits too, to move its offset."""
        return bool(self._chunks)

    @property
    def events(self) -> int:
        """Events here: waiting, in flight and stuck."""
        return self.waiting + sum(chunk.events for chunk in (*self._in_flight, *self.stuck))

    @property
    def oldest_timestamp(self) -> int | None:
        """Kafka's timestamp (ms) of the oldest event here; None when there is none."""
        chunks = (*self._in_flight, *self.stuck, *self._chunks)
        return min((chunk.oldest for chunk in chunks if chunk.oldest is not None), default=None)

    def put(self, chunk: Chunk) -> None:
        """Add a chunk."""
        self.opened = self.opened or datetime.now(UTC)
        self._chunks.append(chunk)
        self._count(chunk, 1)

    def take(self, max_events: int, max_bytes: int) -> tuple[datetime, list[Chunk]] | None:
        """Hand out chunks up to about these limits, at least one; None when empty.

        ``done`` must follow.
        """
        if not self._chunks:
            return None
        opened = self.opened or datetime.now(UTC)
        taken: list[Chunk] = []
        events = size = 0
        while self._chunks:
            chunk = self._chunks[0]
            events += chunk.events
            size += chunk.size
            if taken and (events > max_events or size > max_bytes):
                break
            self._count(chunk, -1)
            taken.append(self._chunks.popleft())
        self._in_flight += taken
        self.opened = datetime.now(UTC) if self._chunks else None
        return opened, taken

    def done(self, stuck: Sequence[Chunk] = ()) -> None:
        """All that ``take`` returned and all that was stuck is written, except for ``stuck``."""
        # Parts of a chunk share its lease.
        held = {id(chunk.lease) for chunk in stuck}
        _release(chunk for chunk in (*self._in_flight, *self.stuck) if id(chunk.lease) not in held)
        self._in_flight.clear()
        self.stuck = list(stuck)

    def discard(self) -> int:
        """Drop what is waiting or stuck and begin a new epoch; return how many events that is."""
        forgotten = self.waiting + sum(chunk.events for chunk in self.stuck)
        _release([*self._chunks, *self.stuck])
        self._chunks.clear()
        self.stuck = []
        self.waiting = self.waiting_bytes = 0
        self.opened = None
        self.epoch += 1
        return forgotten

    def _count(self, chunk: Chunk, sign: int) -> None:
        self.waiting += sign * chunk.events
        self.waiting_bytes += sign * chunk.size


def _release(chunks: Iterable[Chunk]) -> None:
    for chunk in chunks:
        if chunk.lease is not None:
            chunk.lease.release()
