"""A group's workers, by their heartbeats and the ledger. Changes nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine

from db.group_reports import GroupReports
from pipeline.partition import total_lag


class WorkerStatus(NamedTuple):
    """What is known of a worker that was there in the last hour; None is unknown.

    Args:
        worker: its name in the ledger.
        version: of the app.
        state: ``running``, ``stopped``, ``silent`` (its heartbeat is overdue), or ``unknown`` for
            a version without heartbeats.
        partitions: which it reads.
        lag: their events that are not stored.
        rate: events per second that it stored in the last minute.
        last_batch: when it last stored some, within ten minutes.
        age: of its last heartbeat, in seconds.
        unready: why it stores nothing.
    """

    worker: str
    version: str | None
    state: str
    partitions: list[int]
    lag: int | None
    rate: float
    last_batch: datetime | None
    age: float | None
    unready: str | None

    def with_lag(self, lags: Mapping[int, int | None]) -> "WorkerStatus":
        """The same, with the lag of its partitions by these."""
        lag = total_lag(map(lags.get, self.partitions)) if self.partitions else 0
        return self._replace(lag=lag)


def read_workers(engine: Engine, group: str, topic: str) -> list[WorkerStatus]:
    """All of them, those that run first. Blocking.

    Args:
        engine: from ``db.connection.engine.connect_for_queries``.
        group: the consumer group.
        topic: whose partitions.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    return [_status(one) for one in GroupReports(engine, group, topic).overview()["workers"]]


def _status(one: dict[str, Any]) -> WorkerStatus:
    return WorkerStatus(
        one["worker"],
        one["version"],
        one["state"],
        one["partitions"],
        one["lag"],
        one["rate"],
        one["last"] and datetime.fromisoformat(one["last"]),
        one["age"],
        one["unready"],
    )
