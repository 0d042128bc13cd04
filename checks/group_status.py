"""The group's status, from Kafka and the database. Changes nothing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple

from sqlalchemy import Engine, Row

from checks.quality import recent_shares
from checks.worker_status import WorkerStatus, read_workers
from config.settings import Settings
from db.breakers import BreakerStore, OpenBreaker
from db.dead_letters.query import Filter
from db.dead_letters.summary import Total, totals
from db.retention.sizes import Sizes
from db.rollup.rounds import Rollup
from db.schema import version
from db.schema.problem import TableProblem
from db.write.ledger import newest_batches
from db.write.offsets import OffsetStore
from pipeline.background.rollup_service import Progress
from pipeline.background.storage import Storage
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.partition import Partition, total_lag
from pipeline.quality import Quality, Share
from source.cluster.auth import Cluster
from source.cluster.group import GroupState, describe_group
from source.cluster.topics import offsets_at, topic_bounds
from source.log_reader import Bounds

#: How far back the ledger is read, and the maximum number of lines.
WINDOW = timedelta(minutes=10)
_LINES = 5_000
#: Seconds over which incoming events are counted.
RATE_SECONDS = 60
#: What is unknown if the database does not answer.
_OF_THE_DATABASE = frozenset(
    ("stored", "workers", "batches", "dead_letters", "breakers", "rollup", "storage")
)
#: Batches listed one by one.
BATCHES = 5


class PartitionStatus(NamedTuple):
    """A partition's progress; None is unknown.

    ``stored`` is the next offset to store. ``incoming`` and ``storing`` are events per second; the
    latter needs an earlier status. ``behind`` is the age in seconds of the last stored event, if
    others are waiting.
    """

    partition: Partition
    stored: int | None
    beginning: int
    end: int
    lag: int | None
    incoming: float | None
    storing: float | None
    behind: float | None


@dataclass
class GroupStatus:
    """The status; what could not be read is None or empty, and ``errors`` says why."""

    group: str
    topic: str
    at: datetime
    kafka: GroupState | None = None
    bounds: dict[Partition, Bounds] = field(default_factory=dict)
    stored: dict[Partition, int] = field(default_factory=dict)
    partitions: list[PartitionStatus] = field(default_factory=list)
    workers: list[WorkerStatus] = field(default_factory=list)
    batches: Sequence[Row[Any]] = ()
    quality: Sequence[Share] = ()
    dead_letters: Sequence[Total] = ()
    breakers: Sequence[OpenBreaker] = ()
    rollup: Progress | None = None
    storage: Storage | None = None
    schema_version: str | None = None
    problems: Sequence[TableProblem] = ()
    errors: list[str] = field(default_factory=list)
    #: Why heartbeats cannot be read, if that is all that fails.
    unseen: str | None = None
    #: Names of the fields above that could not be read.
    unknown: set[str] = field(default_factory=set)
    #: Whether a partition that is not begun is read from its beginning.
    from_beginning: bool = False

    def read(self, name: str, question: Callable[[], Any]) -> None:
        """Store the answer under ``name``, or its error."""
        try:
            setattr(self, name, question())
        except (TransientError, RowError, FatalError) as error:
            self.errors.append(str(error))
            self.unknown.add(name)

    @property
    def waiting(self) -> int | None:
        """Events that are not stored yet; None if that is unknown for a partition."""
        return total_lag(one.lag for one in self.partitions)


async def read_status(
    settings: Settings,
    cluster: Cluster,
    topic: str,
    engine: Engine,
    queries: Engine,
    before: GroupStatus | None = None,
    *,
    quality: Quality,
) -> GroupStatus:
    """Read the status; an earlier one (``before``) is needed for rates of storing."""
    status = GroupStatus(settings.consumer_group, topic, datetime.now(UTC))
    if before is not None:
        # One that is watched is shown as it is.
        cluster = replace(cluster, patience=0.0)
    since: dict[Partition, int | None] | None = None
    try:
        status.bounds = await topic_bounds(cluster, topic)
        moment = int((status.at.timestamp() - RATE_SECONDS) * 1000)
        since = await offsets_at(cluster, topic, moment)
        status.kafka = await describe_group(cluster, topic, status.group)
    except FatalError as error:
        status.errors.append(str(error))
    written = await asyncio.to_thread(_read_database, status, settings, engine, queries, quality)
    status.from_beginning = bool(status.stored) or settings.starting_offsets == "earliest"
    status.partitions = [
        _partition(status, one, since, written.get(one), before) for one in sorted(status.bounds)
    ]
    if status.bounds:
        # Fresher than what heartbeats said.
        lags = {one.partition.number: one.lag for one in status.partitions}
        status.workers = [one.with_lag(lags) for one in status.workers]
    return status


def _read_database(
    status: GroupStatus, settings: Settings, engine: Engine, queries: Engine, quality: Quality
) -> dict[Partition, int]:
    """Read from the database; return the time (ms) of each partition's last stored event."""
    try:
        found = version.check(engine)
    except (TransientError, RowError, FatalError) as error:
        status.errors.append(str(error))
        status.unknown |= _OF_THE_DATABASE
        return {}
    status.schema_version, status.problems = found
    offsets = OffsetStore(engine, status.group)
    status.read("stored", lambda: offsets.read(status.topic))
    status.read("batches", lambda: _recent(engine, status))
    status.read("workers", lambda: _workers(status, queries))
    status.quality = recent_shares(
        quality, status.batches, (status.at - WINDOW).replace(tzinfo=None)
    )
    status.batches = status.batches[:BATCHES]
    status.read("dead_letters", lambda: totals(engine, status.group, Filter()))
    status.read("breakers", lambda: _open_breakers(engine, status))
    if settings.rollup_interval:
        status.read("rollup", Rollup(engine, settings.rollup_interval).progress)
    status.read("storage", Sizes(engine, settings.database_max_bytes).read)
    try:
        last = offsets.last_records(status.topic)
    except (TransientError, FatalError):
        return {}
    return {one: record.timestamp for one, record in last.items() if record.timestamp > 0}


def _workers(status: GroupStatus, queries: Engine) -> list[WorkerStatus]:
    try:
        return read_workers(queries, status.group, status.topic)
    except FatalError as error:
        # A right may be missing that no event needs.
        status.unseen = str(error)
        status.unknown.add("workers")
        return []


def _open_breakers(engine: Engine, status: GroupStatus) -> list[OpenBreaker]:
    found = BreakerStore(engine, status.group).find()
    return [one for one in found if one.partition.topic == status.topic]


def _recent(engine: Engine, status: GroupStatus) -> list[Row[Any]]:
    """The batches of the window, or the last few if there are fewer."""
    since = (status.at - WINDOW).replace(tzinfo=None)
    last = list(newest_batches(engine, status.group, BATCHES))
    if len(last) < BATCHES or last[-1].written < since:
        return last
    found = newest_batches(engine, status.group, _LINES)
    return list(takewhile(lambda batch: batch.written >= since, found))


def _partition(
    status: GroupStatus,
    partition: Partition,
    since: Mapping[Partition, int | None] | None,
    written: int | None,
    before: GroupStatus | None,
) -> PartitionStatus:
    bounds, stored = status.bounds[partition], status.stored.get(partition)
    # A group that has begun reads a new partition from its beginning.
    first = bounds.beginning if status.from_beginning else bounds.end
    following = first if stored is None else max(stored, bounds.beginning)
    lag = None if "stored" in status.unknown else max(0, bounds.end - following)
    recent = since.get(partition) if since is not None else None
    storing = None
    if before is not None and stored is not None and partition in before.stored:
        seconds = max(0.001, (status.at - before.at).total_seconds())
        storing = max(0, stored - before.stored[partition]) / seconds
    behind = None
    if lag and written is not None:
        behind = max(0.0, status.at.timestamp() - written / 1000)
        # After a quiet time the last stored event is old, but what waits is not.
        if recent is not None and following >= recent:
            behind = min(behind, RATE_SECONDS)
    incoming = None
    if since is not None:
        incoming = 0.0 if recent is None else (bounds.end - recent) / RATE_SECONDS
    return PartitionStatus(
        partition, stored, bounds.beginning, bounds.end, lag, incoming, storing, behind
    )
