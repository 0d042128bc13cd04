"""Finds the event that makes a write fail again and again, by bisection.

Pure state. A part that fails is split in two, and the first half is tried first, until the part is
a single event. Its partition is then stuck: nothing after that event is tried, and other partitions
continue.
"""

from collections import deque
from collections.abc import Sequence

from pipeline.chunk import Chunk

Partition = tuple[str, int]


class Search:
    """Hands out parts until each is written or stuck.

    Args:
        chunks: what to write; each partition's in the order of offsets.
        suspects: chunks that come before those and were stuck: each is tried alone.
    """

    def __init__(self, chunks: Sequence[Chunk], suspects: Sequence[Chunk] = ()) -> None:
        self._parts = deque([*([chunk] for chunk in suspects), list(chunks)])
        #: By partition, the chunk of one event at which it is stuck.
        self.stuck: dict[Partition, Chunk] = {}
        #: What could not be tried because of that, and those chunks; in order.
        self.left: list[Chunk] = []

    def next(self) -> list[Chunk] | None:
        """The next part to write, not empty; None where there is none."""
        while self._parts:
            part = self._parts.popleft()
            self.left += [chunk for chunk in part if _partition(chunk) in self.stuck]
            if free := [chunk for chunk in part if _partition(chunk) not in self.stuck]:
                return free
        return None

    def failed(self, part: Sequence[Chunk]) -> Chunk | None:
        """The part could not be written.

        Returns:
            Its one chunk, where that is a single event and its partition is stuck now; else None:
            it was split, and its two parts come next.
        """
        if len(part) > 1:
            middle = len(part) // 2
            self._parts.extendleft([list(part[middle:]), list(part[:middle])])
            return None
        [chunk] = part
        if chunk.events > 1:
            left, right = chunk.split()
            self._parts.extendleft([[right], [left]])
            return None
        self.stuck[_partition(chunk)] = chunk
        self.left.append(chunk)
        return chunk


def _partition(chunk: Chunk) -> Partition:
    return chunk.topic, chunk.partition
