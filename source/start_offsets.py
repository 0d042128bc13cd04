"""Where reading starts: offsets stored in the database, checked against the log.

Rules:
- MySQL is the source of truth; Kafka's committed offsets are never read;
- a group new to a topic begins all partitions at once, at the log's end or beginning as
  ``STARTING_OFFSETS`` says. These offsets are stored before the first event is read: a worker that
  dies before its first write will not begin later in the log the next time;
- a partition that is added to a known topic begins at its beginning;
- events that retention removed before they were read are lost: this is logged as an error and
  counted, and reading continues at the first available offset;
- a stored offset beyond the log's end, or another record in place of the last one read, means
  another log: the worker ends, and nothing is skipped.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from mode.utils.logging import get_logger

from pipeline import metrics
from pipeline.errors import FatalError
from pipeline.log_events import named
from pipeline.partition import Partition, by_topic
from pipeline.record import LastRecord
from pipeline.threads import in_thread
from source.log_reader import Bounds

log = get_logger(__name__)
_T = TypeVar("_T")

#: What to do when a log is not the one that was read.
RESET_HINT = (
    "`faust -A app offsets reset --to beginning` loses nothing: it reads all that the topic holds "
    "now. `faust -A app offsets show` shows how much that is."
)


class LogEndError(FatalError):
    """A stored offset is beyond the log's end."""

    @classmethod
    def of(cls, partition: Partition, stored: int, bounds: Bounds) -> "LogEndError":
        """The error of a partition."""
        return cls(
            f"The stored offset of {partition} is {stored}, but the log ends at "
            f"{bounds.end}: the topic was recreated or truncated. {RESET_HINT}"
        )


class OtherLogError(FatalError):
    """The log is not the one that was read."""

    @classmethod
    def of(cls, partition: Partition, offset: int) -> "OtherLogError":
        """The error of a partition that has another record at this offset."""
        return cls(
            f"{partition} has another record at offset {offset} than the one that was read there: "
            f"the topic was recreated, or truncated and written again. {RESET_HINT}"
        )


class Position(NamedTuple):
    """``start``: everything below is done. ``seek``: where to read; higher if events are gone.

    ``last``: the last record read before it, where it is known.
    """

    start: int
    seek: int
    last: LastRecord | None = None


class Logs(Protocol):
    """The logs, as far as needed."""

    async def identify(
        self, records: Mapping[Partition, LastRecord]
    ) -> dict[Partition, LastRecord | None]:
        """The log's records at the offsets of these."""


class Store(Protocol):
    """A group's stored offsets, see ``db.write.offsets``. Blocking."""

    def read(self, topic: str) -> dict[Partition, int]:
        """Next offset of each partition of the topic that the group has begun."""

    def begin(self, offsets: Mapping[Partition, int]) -> None:
        """Store where partitions begin, except those stored already."""

    def last_records(self, topic: str) -> dict[Partition, LastRecord]:
        """What identifies the last record read of each partition, if known."""


class StartOffsets:
    """Finds the start offsets of partitions.

    Args:
        store: the group's stored offsets.
        from_beginning: whether a group new to the topic begins at the log's beginning, else at its
            end.
        read_committed: whether open transactions are waited for.
    """

    def __init__(self, store: Store, *, from_beginning: bool, read_committed: bool = True) -> None:
        self._store = store
        self._from_beginning = from_beginning
        self._read_committed = read_committed

    async def begin(self, log_bounds: Mapping[Partition, Bounds]) -> None:
        """Store where the group begins, for all partitions of topics new to it.

        Raises:
            TransientError, FatalError: see ``pipeline.errors``.
        """
        known = {one.topic for one in await _of_topics(self._store.read, log_bounds)}
        starts = {
            partition: self._first(bounds)
            for partition, bounds in log_bounds.items()
            if partition.topic not in known
        }
        if starts:
            await in_thread(self._store.begin, starts)

    async def resolve(
        self, log_bounds: Mapping[Partition, Bounds], logs: Logs
    ) -> dict[Partition, Position]:
        """Positions of the assigned partitions.

        Raises:
            TransientError: the database is away; retry.
            LogEndError, OtherLogError: the log is not that of the stored offsets.
            aiokafka.errors.KafkaError: the log could not be read; retry.
        """
        stored = await _of_topics(self._store.read, log_bounds)
        added = {
            partition: bounds.beginning
            for partition, bounds in log_bounds.items()
            if partition not in stored
        }
        if added:
            await in_thread(self._store.begin, added)
            stored = await _of_topics(self._store.read, log_bounds)
        positions = {
            partition: _position(partition, stored[partition], bounds)
            for partition, bounds in log_bounds.items()
        }
        known = await self.check(log_bounds, logs)
        return {
            partition: position._replace(last=known.get(partition))
            for partition, position in positions.items()
        }

    async def check(
        self, log_bounds: Mapping[Partition, Bounds], logs: Logs
    ) -> Mapping[Partition, LastRecord]:
        """Compare the last record read of each partition with the log; return those that are known.

        A record that retention or compaction removed, or that was not stored, is not compared.

        Raises:
            OtherLogError: another record is in its place.
            TransientError, FatalError, aiokafka.errors.KafkaError: they could not be compared.
        """
        known = await _of_topics(self._store.last_records, log_bounds)
        for partition in sorted(await others(known, log_bounds, logs)):
            raise OtherLogError.of(partition, known[partition].offset)
        return known

    def _first(self, bounds: Bounds) -> int:
        if self._from_beginning:
            return bounds.beginning
        # The events of an open transaction are yet to come.
        return bounds.readable if self._read_committed else bounds.end


async def _of_topics(
    question: Callable[[str], Mapping[Partition, _T]], partitions: Iterable[Partition]
) -> dict[Partition, _T]:
    """The combined answers about each of the partitions' topics."""
    found: dict[Partition, _T] = {}
    for topic in by_topic(partitions):
        found |= await in_thread(question, topic)
    return found


def _position(partition: Partition, start: int, bounds: Bounds) -> Position:
    if start > bounds.end:
        raise LogEndError.of(partition, start, bounds)
    return first_available(partition, start, bounds)


async def others(
    known: Mapping[Partition, LastRecord], log_bounds: Mapping[Partition, Bounds], logs: Logs
) -> set[Partition]:
    """Partitions whose log has another record where the last one was read.

    Raises:
        aiokafka.errors.KafkaError: the log could not be looked at.
    """
    kept = {
        partition: last
        for partition, last in known.items()
        if partition in log_bounds and last.offset >= log_bounds[partition].beginning
    }
    answers = await logs.identify(kept)
    return {
        partition
        for partition, found in answers.items()
        if found is not None and not is_same(found, kept[partition])
    }


def is_same(found: LastRecord, known: LastRecord) -> bool:
    """Whether a log's record is the one that was read; an epoch that one lacks is ignored."""
    if -1 in (found.epoch, known.epoch):
        found = found._replace(epoch=known.epoch)
    return found == known


def first_available(partition: Partition, start: int, bounds: Bounds) -> Position:
    """The position at or after ``start`` at which the log still has events."""
    seek = max(start, bounds.beginning)
    if seek > start:
        metrics.LOST_TO_RETENTION.inc(seek - start)
        log.error(
            "%d events of %s, from offset %d on, were removed by Kafka's retention before "
            "they were read: they are lost, reading continues at %d.",
            seek - start,
            partition,
            start,
            seek,
            extra=named("events_lost", partition=str(partition), events=seek - start),
        )
    return Position(start, seek)
