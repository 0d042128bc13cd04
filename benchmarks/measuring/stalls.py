"""How long partitions stand still, seen from outside: by the offsets in the database."""

import threading
import time
from contextlib import closing
from types import TracebackType
from typing import Self

from benchmarks.measuring.table import connect

#: Seconds between looks.
TICK = 0.05


class Stalls:
    """Looks at the stored offsets within a ``with`` block, in which events come all the while.

    Args:
        url: of the database.
        topic: whose partitions it looks at.
    """

    def __init__(self, url: str, topic: str) -> None:
        self._url, self._topic = url, topic
        #: The longest time (s) without a move of each partition's offset.
        self.longest: dict[int, float] = {}
        self._offsets: dict[int, tuple[int, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        query = "SELECT kafka_partition, next_offset FROM stream_offsets WHERE kafka_topic = %s"
        with closing(connect(self._url)) as database, database.cursor() as table:
            while not self._ended.wait(TICK):
                table.execute(query, (self._topic,))
                self._note(table.fetchall(), time.monotonic())

    def _note(self, found: list[tuple[int, int]], now: float) -> None:
        for partition, offset in found:
            last, moved = self._offsets.get(partition, (offset, now))
            self.longest[partition] = max(self.longest.get(partition, 0.0), now - moved)
            self._offsets[partition] = offset, moved if offset == last else now
