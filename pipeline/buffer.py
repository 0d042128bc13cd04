"""The buffer between reading and writing: pure state, no timing, no I/O.

Invariants:
- chunks leave in the order they came;
- ``held`` counts the events waiting and the events taken but not yet ``done``;
- a chunk put with an epoch that is over is refused, because its events will be read again.
"""

from collections import deque
from datetime import UTC, datetime

from pipeline.chunk import Chunk


class Buffer:
    """Chunks waiting to be written.

    Args:
        capacity: events held at most; a single larger chunk is let in when nothing is held.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._chunks: deque[Chunk] = deque()
        self._taken = 0
        self._out: list[Chunk] = []
        self.waiting = 0
        self.epoch = 0
        self.opened: datetime | None = None

    @property
    def held(self) -> int:
        """Events in memory: waiting and being written."""
        return self.waiting + self._taken

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows in memory."""
        return sum(len(chunk.rows) for chunk in (*self._out, *self._chunks))

    @property
    def oldest_timestamp(self) -> int | None:
        """Kafka's timestamp (ms) of the oldest event in memory; None when there is none."""
        chunks = (chunk for chunk in (*self._out, *self._chunks) if chunk.records)
        return min((chunk.records[0].timestamp or 0 for chunk in chunks), default=None)

    def has_room(self, chunk: Chunk) -> bool:
        return not self.held or self.held + len(chunk.records) <= self._capacity

    def put(self, chunk: Chunk, epoch: int) -> bool:
        """Add a chunk; False when its epoch is over."""
        if epoch != self.epoch:
            return False
        self.opened = self.opened or datetime.now(UTC)
        self._chunks.append(chunk)
        self.waiting += len(chunk.records)
        return True

    def take(self, most: int) -> tuple[datetime, list[Chunk]] | None:
        """Hand out chunks of about ``most`` events, at least one; None when empty."""
        if not self._chunks:
            return None
        opened = self.opened or datetime.now(UTC)
        chunks = [self._chunks.popleft()]
        size = len(chunks[0].records)
        while self._chunks and size + len(self._chunks[0].records) <= most:
            chunk = self._chunks.popleft()
            size += len(chunk.records)
            chunks.append(chunk)
        self.waiting -= size
        self._taken += size
        self._out += chunks
        self.opened = datetime.now(UTC) if self._chunks else None
        return opened, chunks

    def done(self, chunks: list[Chunk]) -> None:
        """What ``take`` gave is written, or given up."""
        self._taken -= sum(len(chunk.records) for chunk in chunks)
        self._out = [chunk for chunk in self._out if not any(chunk is one for one in chunks)]

    def discard(self) -> int:
        """Forget what is waiting and end the epoch; answer how many events were forgotten."""
        forgotten = self.waiting
        self._chunks.clear()
        self.waiting = 0
        self.opened = None
        self.epoch += 1
        return forgotten
