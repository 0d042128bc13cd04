"""Where reading goes on: offsets stored in the database, held against the log as it is.

Rules:
- MySQL is the source of truth; Kafka's committed offsets are never read;
- a group new to a topic begins every partition of it at once, at the log's end or beginning as
  ``STARTING_OFFSETS`` says; that is stored before the first event is read, so that a worker that
  dies before its first write does not begin again further on;
- a partition added to a topic the group reads begins at its beginning;
- events that retention removed before they were read are gone: said aloud, counted, passed over;
- a stored offset beyond the log's end means another log: never skipped, the worker stops.
"""

from collections.abc import Mapping
from typing import NamedTuple

from mode.utils.logging import get_logger

import metrics
from db.offsets import OffsetStore
from pipeline.errors import FatalError
from pipeline.threads import in_thread

log = get_logger(__name__)


class LogEndError(FatalError):
    """A stored offset is beyond the log's end."""


class Bounds(NamedTuple):
    """Offsets of a partition's first event and of the one to come after its last."""

    beginning: int
    end: int


class Position(NamedTuple):
    """``start``: everything below is done. ``seek``: where to read, later where events are gone."""

    start: int
    seek: int


class Positions:
    """Answers where each partition of a topic goes on.

    Args:
        store: the group's stored offsets.
        topic: the topic read.
        from_beginning: where a group new to the topic begins, else at the end.
    """

    def __init__(self, store: OffsetStore, topic: str, *, from_beginning: bool) -> None:
        self._store = store
        self._topic = topic
        self._from_beginning = from_beginning

    async def begin(self, log_bounds: Mapping[int, Bounds]) -> None:
        """Store where the group begins, for all partitions of a topic new to it.

        Raises:
            TransientError, FatalError: see ``pipeline.errors``.
        """
        if await in_thread(self._store.read, self._topic):
            return
        starts = {
            partition: bounds.beginning if self._from_beginning else bounds.end
            for partition, bounds in log_bounds.items()
        }
        await in_thread(self._store.begin, self._topic, starts)

    async def resolve(self, log_bounds: Mapping[int, Bounds]) -> dict[int, Position]:
        """Positions of the assigned partitions, whose bounds are given.

        Raises:
            TransientError: the database is away; ask again.
            LogEndError: the log is not the one the stored offsets are of.
        """
        stored = await in_thread(self._store.read, self._topic)
        added = {
            partition: bounds.beginning
            for partition, bounds in log_bounds.items()
            if partition not in stored
        }
        if added:
            stored = await in_thread(self._store.begin, self._topic, added)
        return {
            partition: self._position(partition, stored[partition], bounds)
            for partition, bounds in log_bounds.items()
        }

    def _position(self, partition: int, start: int, bounds: Bounds) -> Position:
        if start > bounds.end:
            raise LogEndError(
                f"The stored offset of {self._topic}/{partition} is {start}, but the log ends at "
                f"{bounds.end}: the topic was recreated or truncated. Look with `faust -A app "
                f"offsets show`; `faust -A app offsets reset` begins it anew."
            )
        return passing_over(self._topic, partition, start, bounds)


def passing_over(topic: str, partition: int, start: int, bounds: Bounds) -> Position:
    """The position at or after ``start`` at which the log still has events."""
    seek = max(start, bounds.beginning)
    if seek > start:
        metrics.LOST_TO_RETENTION.inc(seek - start)
        log.error(
            "%d events of %s/%d, from offset %d on, were removed by Kafka's retention before "
            "they were read: they are lost, reading goes on at %d.",
            seek - start,
            topic,
            partition,
            start,
            seek,
        )
    return Position(start, seek)
