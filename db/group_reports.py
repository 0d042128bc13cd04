"""What the page shows of all workers: from heartbeats, the ledger and the stored offsets.

Blocking: call it off the event loop.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, text

from db.connection.errors import classified
from db.schema.tables import batches, stream_offsets, worker_heartbeats
from db.workers import ago
from pipeline.partition import total_lag
from pipeline.stream import REASONS

#: Seconds over which a rate is averaged, and in which a worker that wrote is listed.
RATE_SECONDS = 60
RECENT_SECONDS = 600
#: Seconds that a worker which ended is listed, and workers listed at most.
LISTED_SECONDS = 3_600
_MOST = 100
#: A worker is silent when its heartbeat is late by more than this many times its interval.
_PATIENCE = 2.5
#: Minutes of history.
MINUTES = 720
#: The last minutes are read again: a transaction may commit late.
_AGAIN = 3

_written = batches.c.written


class GroupReports:
    """Numbers of one consumer group's workers.

    Args:
        engine: from ``db.connection.engine.connect_for_queries``.
        group: the consumer group.
        topic: whose offsets.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, group: str, topic: str) -> None:
        self._engine = engine
        self._group = group
        self._topic = topic
        #: By minute, what the ledger had: minutes that are over do not change.
        self._minutes: dict[datetime, Sequence[float]] = {}

    def overview(self) -> dict[str, Any]:
        """Workers, partitions and totals: three queries."""
        with self._begin() as connection:
            beats = connection.execute(self._heartbeats()).all()
            wrote = connection.execute(self._writers()).all()
            offsets = connection.execute(
                select(stream_offsets.c.kafka_partition, stream_offsets.c.next_offset)
                .where(stream_offsets.c.consumer_group == self._group)
                .where(stream_offsets.c.kafka_topic == self._topic)
            ).all()
        return overview(self._topic, beats, wrote, dict(map(tuple, offsets)))

    def history(self) -> dict[str, Any]:
        """The ledger by minute: ``start``, the first minute, and a list of each number."""
        with self._begin() as connection:
            now = connection.scalar(select(func.utc_timestamp())) or datetime.min
            last = now.replace(second=0)
            first = last - timedelta(minutes=MINUTES - 1)
            known = max(self._minutes, default=first) - timedelta(minutes=_AGAIN)
            found = connection.execute(self._ledger_minutes(max(first, known))).all()
        kept = {minute: row for minute, row in self._minutes.items() if minute >= first}
        self._minutes = kept | {
            minute: (*map(int, counts), round(slowest, 2)) for minute, slowest, *counts in found
        }
        names = ("batches", "rows", *REASONS, "seconds")
        empty = (0,) * len(names)
        all_of = [self._minutes.get(first + timedelta(minutes=n), empty) for n in range(MINUTES)]
        return {
            "start": f"{first.isoformat()}Z",
            **{name: [one[place] for one in all_of] for place, name in enumerate(names)},
        }

    def _heartbeats(self) -> Any:
        columns = worker_heartbeats.c
        age = func.timestampdiff(text("MICROSECOND"), columns.seen_at, ago(0)) / 1e6
        return (
            select(
                columns.worker,
                columns.version,
                columns.started_at,
                columns.stopped_at,
                columns.next_seconds,
                columns.unready,
                columns.partitions,
                age.label("age"),
            )
            .where(columns.consumer_group == self._group)
            .where(columns.seen_at > ago(LISTED_SECONDS))
            .order_by(columns.seen_at.desc())
            .limit(_MOST)
        )

    def _writers(self) -> Any:
        columns = batches.c
        recent = func.sum(func.if_(_written > ago(RATE_SECONDS), columns.events, 0))
        return (
            select(
                columns.worker,
                (recent / RATE_SECONDS).label("rate"),
                func.max(_written).label("last"),
                func.max(columns.id).label("newest"),
            )
            .where(columns.consumer_group == self._group)
            .where(_written > ago(RECENT_SECONDS))
            # A replay's line has no events.
            .where(columns.events > 0)
            .group_by(columns.worker)
        )

    def _ledger_minutes(self, since: datetime) -> Any:
        minute = func.timestamp(func.date_format(_written, "%Y-%m-%d %H:%i:00"))
        names = ("valid", *REASONS)
        return (
            select(
                minute,
                func.max(batches.c.seconds),
                func.count(),
                *(func.sum(batches.c[name]) for name in names),
            )
            .where(batches.c.consumer_group == self._group)
            .where(_written >= since)
            .where(batches.c.events > 0)
            .group_by(minute)
        )

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with classified(), self._engine.connect() as connection:
            yield connection


def overview(
    topic: str,
    beats: Sequence[Row[Any]],
    wrote: Sequence[Row[Any]],
    offsets: Mapping[int, int],
) -> dict[str, Any]:
    """Put together what the tables say.

    Args:
        topic: whose partitions.
        beats: heartbeats, the newest first.
        wrote: of each worker that wrote lately, its rate, its last write and that batch's id.
        offsets: the next offset stored of each partition.
    """
    writers = {row.worker: row for row in wrote}
    workers = [_worker(row, writers.pop(row.worker, None)) for row in beats]
    # Of a version without heartbeats.
    workers += [_unknown(row) for row in writers.values()]
    ends: dict[int, int] = {}
    owners: dict[int, str] = {}
    for row, worker in zip(beats, workers, strict=False):
        worker["partitions"] = []
        for one in _partitions(row, topic):
            number, end = one["partition"], one["end"]
            ends.setdefault(number, end)
            # Two may name it after a rebalance: the newer heartbeat is right.
            if worker["state"] == "running" and number not in owners:
                owners[number] = row.worker
                worker["partitions"].append(number)
    partitions: list[dict[str, Any]] = [
        {
            "partition": number,
            "stored": offsets.get(number),
            "lag": _lag(offsets.get(number), ends.get(number)),
            "worker": owners.get(number),
        }
        for number in sorted(offsets.keys() | ends.keys())
    ]
    lags = {one["partition"]: one["lag"] for one in partitions}
    for worker in workers:
        worker["lag"] = total_lag(lags[number] for number in worker["partitions"])
    return {
        "topic": topic,
        "workers": sorted(workers, key=lambda one: (one["state"] != "running", one["worker"])),
        "running": sum(one["state"] in ("running", "unknown") for one in workers),
        "rate": sum(float(row.rate) for row in wrote),
        "lag": total_lag(one["lag"] for one in partitions),
        "partitions": partitions,
        "newest": max((row.newest for row in wrote), default=0),
    }


def _worker(row: Row[Any], wrote: Row[Any] | None) -> dict[str, Any]:
    state = "running"
    if row.stopped_at:
        state = "stopped"
    elif row.age > _PATIENCE * row.next_seconds:
        state = "silent"
    return {
        "worker": row.worker,
        "version": row.version,
        "state": state,
        "started": _iso(row.started_at),
        "age": round(float(row.age), 1),
        "unready": row.unready,
        "rate": round(float(wrote.rate), 2) if wrote else 0.0,
        "last": _iso(wrote.last) if wrote else None,
    }


def _unknown(wrote: Row[Any]) -> dict[str, Any]:
    return {
        "worker": wrote.worker,
        "version": None,
        "state": "unknown",
        "started": None,
        "age": None,
        "unready": None,
        "rate": round(float(wrote.rate), 2),
        "last": _iso(wrote.last),
        "partitions": [],
    }


def _partitions(row: Row[Any], topic: str) -> list[dict[str, Any]]:
    found = row.partitions
    listed = json.loads(found) if isinstance(found, str) else found
    return [one for one in listed if one["topic"] == topic]


def _lag(stored: int | None, end: int | None) -> int | None:
    return None if stored is None or end is None else max(0, end - stored)


def _iso(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='seconds')}Z"
