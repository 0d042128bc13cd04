"""The table of open circuit breakers, shared by all workers and commands. Blocking."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    func,
    literal_column,
    null,
    select,
    text,
)
from sqlalchemy.dialects.mysql import insert

from db.connection.errors import classified
from db.schema.tables import circuit_breakers, stream_offsets
from pipeline.partition import Partition, by_topic

_T = TypeVar("_T")
_columns = circuit_breakers.c
#: Characters that the column holds.
_REASON_LENGTH = 1000
#: Always the server's clock: those of workers and commands may differ, or be set.
_NOW = text("CURRENT_TIMESTAMP(3)")
_NOW_COLUMN: ColumnElement[Any] = literal_column("CURRENT_TIMESTAMP(3)")
_MICROSECOND = text("MICROSECOND")
#: The reason of a breaker that a person opened; the reason before, if any, follows it.
BY_A_PERSON = "opened by `breaker open`"


class OpenBreaker(NamedTuple):
    """A paused partition: since when, why, when closing was requested; times are UTC.

    ``next_attempt`` is when it lets a window through; None where it waits for a person. ``age`` and
    ``due_in`` are the seconds since the one and until the other, by the server's clock.
    """

    partition: Partition
    opened: datetime
    reason: str
    close_requested: datetime | None
    next_attempt: datetime | None = None
    age: float = 0.0
    due_in: float | None = None

    @property
    def is_by_a_person(self) -> bool:
        """Whether only a person may close it."""
        return self.next_attempt is None and self.reason.startswith(BY_A_PERSON)


_FOUND = (
    _columns.kafka_topic,
    _columns.kafka_partition,
    _columns.opened_at,
    _columns.reason,
    _columns.close_requested_at,
    _columns.next_attempt_at,
    func.timestampdiff(_MICROSECOND, _columns.opened_at, _NOW_COLUMN).label("age"),
    func.timestampdiff(_MICROSECOND, _NOW_COLUMN, _columns.next_attempt_at).label("due_in"),
)


class BreakerStore:
    """The open breakers of one consumer group.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, group: str) -> None:
        self._engine = engine
        self._group = group

    def open(
        self, partition: Partition, reason: str, age: float = 0.0, due_in: float | None = None
    ) -> None:
        """Record that a partition is paused; clear any earlier close request.

        Args:
            partition: which.
            reason: why.
            age: seconds for which it has been paused.
            due_in: seconds until the next attempt; None where it waits for a person.
        """
        statement = insert(circuit_breakers).values(
            consumer_group=self._group,
            kafka_topic=partition.topic,
            kafka_partition=partition.number,
            opened_at=_from_now(-age),
            reason=reason[:_REASON_LENGTH],
            close_requested_at=null(),
            next_attempt_at=null() if due_in is None else _from_now(due_in),
        )
        replaced = {
            name: statement.inserted[name]
            for name in ("opened_at", "reason", "close_requested_at", "next_attempt_at")
        }
        self._run(
            lambda connection: connection.execute(statement.on_duplicate_key_update(replaced))
        )

    def clear(self, partitions: Collection[Partition]) -> None:
        """Record that these partitions are not paused. Rows stay: a worker may not delete them."""
        self._update(
            partitions,
            opened_at=null(),
            reason=null(),
            close_requested_at=null(),
            next_attempt_at=null(),
        )

    def find(self) -> list[OpenBreaker]:
        """The open breakers, of any topic, by partition."""
        statement = (
            select(*_FOUND)
            .where(self._is_open)
            .order_by(_columns.kafka_topic, _columns.kafka_partition)
        )
        return [_breaker(row) for row in self._run(lambda one: one.execute(statement).all())]

    def find_with_offsets(self, topic: str) -> tuple[dict[Partition, int], list[OpenBreaker]]:
        """A topic's stored offsets and its open breakers, by one statement."""
        offsets = stream_offsets.c
        is_same = and_(
            _columns.consumer_group == offsets.consumer_group,
            _columns.kafka_topic == offsets.kafka_topic,
            _columns.kafka_partition == offsets.kafka_partition,
            _columns.opened_at.is_not(None),
        )
        of_topic = and_(offsets.consumer_group == self._group, offsets.kafka_topic == topic)
        statement = (
            select(offsets.kafka_partition.label("stored"), offsets.next_offset, *_FOUND)
            .select_from(stream_offsets.outerjoin(circuit_breakers, is_same))
            .where(of_topic)
            .order_by(offsets.kafka_partition)
        )
        with classified(), self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return (
            {Partition(topic, row.stored): row.next_offset for row in rows},
            [_breaker(row) for row in rows if row.opened_at is not None],
        )

    def request_close(self, partitions: Collection[Partition]) -> None:
        """Ask the workers that paused these partitions to close their breakers."""
        self._update(partitions, close_requested_at=_NOW)

    def _update(self, partitions: Collection[Partition], **values: object) -> None:
        statement = circuit_breakers.update().values(values)

        def work(connection: Connection) -> None:
            for topic, numbers in by_topic(partitions).items():
                are_these = and_(
                    _columns.kafka_topic == topic, _columns.kafka_partition.in_(numbers)
                )
                connection.execute(statement.where(self._is_open, are_these))

        self._run(work)

    @property
    def _is_open(self) -> ColumnElement[bool]:
        return and_(
            _columns.consumer_group == self._group,
            _columns.opened_at.is_not(None),
        )

    def _run(self, work: Callable[[Connection], _T]) -> _T:
        with classified(), self._engine.begin() as connection:
            return work(connection)


def _from_now(seconds: float) -> ColumnElement[Any]:
    return literal_column(f"CURRENT_TIMESTAMP(3) + INTERVAL {round(seconds * 1e6)} MICROSECOND")


def _breaker(row: "Row[*tuple[Any, ...]]") -> OpenBreaker:
    return OpenBreaker(
        Partition(row.kafka_topic, row.kafka_partition),
        row.opened_at.replace(tzinfo=UTC),
        row.reason or "",
        row.close_requested_at and row.close_requested_at.replace(tzinfo=UTC),
        row.next_attempt_at and row.next_attempt_at.replace(tzinfo=UTC),
        row.age / 1e6,
        None if row.due_in is None else row.due_in / 1e6,
    )
