"""Searches a log backwards from its end for the last event that is stored."""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Protocol

from pipeline.partition import Partition
from pipeline.record import Record
from source.log_reader import Bounds

#: Offsets read at a time, and in all.
_PIECE = 5_000
_DEEPEST = 1_000_000
#: Events before the last stored one that are inspected as well, to see whether they are stored.
_WINDOW = 200

#: Whether a record's event is stored; None if it does not become a row.
Verdict = Callable[[Record], bool | None]


class Tail(NamedTuple):
    """What was found at the end of a partition's log.

    Args:
        offset: of the last event that is stored; None if there is none.
        looked_at: offsets inspected.
        is_whole: whether that is the whole log.
        before: events inspected right before the last stored one, if they become rows.
        missing: how many of these are not stored.
    """

    offset: int | None
    looked_at: int
    is_whole: bool
    before: int = 0
    missing: int = 0


class Logs(Protocol):
    """What is needed of the logs."""

    def scan(self, partition: Partition, start: int, end: int) -> AsyncIterator[Record]:
        """The records of a range of offsets."""


async def last_stored(logs: Logs, partition: Partition, bounds: Bounds, verdict: Verdict) -> Tail:
    """Find the last event of a partition that is stored, among its last million.

    Raises:
        aiokafka.errors.KafkaError: the log could not be read.
    """
    lowest = max(bounds.beginning, bounds.end - _DEEPEST)
    found: list[bool] = []
    last: int | None = None
    start = bounds.end
    while start > lowest and (last is None or len(found) < _WINDOW):
        start, end = max(lowest, start - _PIECE), start
        judged = [
            (record.offset, stored)
            async for record in logs.scan(partition, start, end)
            if (stored := verdict(record)) is not None
        ]
        if last is None:
            last = max((offset for offset, stored in judged if stored), default=None)
        found = [stored for offset, stored in judged if last is not None and offset < last] + found
    window = found[-_WINDOW:]
    return Tail(
        last, bounds.end - start, start == bounds.beginning, len(window), window.count(False)
    )
