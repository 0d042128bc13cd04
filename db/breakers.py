"""The table of open circuit breakers, shared by all workers and commands. Blocking."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, and_, null, select, text
from sqlalchemy.dialects.mysql import insert

from db.connection.errors import classified
from db.schema.tables import circuit_breakers
from pipeline.partition import Partition, by_topic

_T = TypeVar("_T")
_columns = circuit_breakers.c
#: Characters that the column holds.
_REASON_LENGTH = 1000
#: Always the server's clock: those of workers and commands may differ.
_NOW = text("CURRENT_TIMESTAMP(3)")


class OpenBreaker(NamedTuple):
    """A paused partition: since when, why, and when closing was requested; times are UTC."""

    partition: Partition
    opened: datetime
    reason: str
    close_requested: datetime | None


class BreakerStore:
    """The open breakers of one consumer group.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, group: str) -> None:
        self._engine = engine
        self._group = group

    def open(self, partition: Partition, reason: str) -> None:
        """Record that a partition is paused from now on; clear any earlier close request."""
        statement = insert(circuit_breakers).values(
            consumer_group=self._group,
            kafka_topic=partition.topic,
            kafka_partition=partition.number,
            opened_at=_NOW,
            reason=reason[:_REASON_LENGTH],
            close_requested_at=null(),
        )
        replaced = {
            name: statement.inserted[name] for name in ("opened_at", "reason", "close_requested_at")
        }
        self._run(
            lambda connection: connection.execute(statement.on_duplicate_key_update(replaced))
        )

    def clear(self, partitions: Collection[Partition]) -> None:
        """Record that these partitions are not paused. Rows stay: a worker may not delete them."""
        self._update(partitions, opened_at=null(), reason=null(), close_requested_at=null())

    def find(self) -> list[OpenBreaker]:
        """The open breakers, of any topic, by partition."""
        found = select(circuit_breakers).where(self._is_open)
        statement = found.order_by(_columns.kafka_topic, _columns.kafka_partition)
        rows = self._run(lambda connection: connection.execute(statement).all())
        return [
            OpenBreaker(
                Partition(row.kafka_topic, row.kafka_partition),
                row.opened_at.replace(tzinfo=UTC),
                row.reason or "",
                row.close_requested_at and row.close_requested_at.replace(tzinfo=UTC),
            )
            for row in rows
        ]

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
