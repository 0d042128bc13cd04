"""What happened in a span of time: from the ledger, workers' events and dead letters. Blocking."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine, Row, func, or_, select

from db.connection.errors import classified
from db.dead_letters.query import Filter
from db.dead_letters.summary import Group, summarize
from db.schema.tables import worker_events, worker_heartbeats
from db.write.ledger import newest_batches
from pipeline.batch import empty_drops
from pipeline.stream import Stream

#: Seconds without a batch that are listed as a pause.
PAUSE = 60.0
#: Lines of each listing at most.
SLOWEST, PAUSES, DROPS, EVENTS = 5, 10, 20, 500


class Repair(NamedTuple):
    """Values that were filled in or repaired, by column and kind.

    ``most`` of them are in one batch, the example: ``batch`` of ``worker``, ``written`` then.
    """

    column: str
    kind: str
    values: int
    share: float
    most: int
    batch: int
    worker: str
    written: datetime


class Pause(NamedTuple):
    """Time in which nothing was stored."""

    since: datetime
    until: datetime
    seconds: float


class WorkerSpan(NamedTuple):
    """A worker in the span: what it stored, and when it came and went, if in the span.

    ``went`` is how it did: ``stopped``, ``silent`` (last seen then), or None.
    """

    worker: str
    version: str | None
    started: datetime | None
    ended: datetime | None
    went: str | None
    batches: int
    events: int


@dataclass
class Report:
    """Everything that happened; times are UTC, on the database's clock."""

    group: str
    since: datetime
    until: datetime
    batches: int = 0
    events: int = 0
    rows: int = 0
    dropped: Counter[str] = field(default_factory=empty_drops)
    duplicate: int = 0
    rate: float = 0.0
    busiest: tuple[datetime, float] | None = None
    drops: Sequence[Group] = ()
    repairs: Sequence[Repair] = ()
    workers: Sequence[WorkerSpan] = ()
    pauses: Sequence[Pause] = ()
    slowest: Sequence[Row[Any]] = ()
    happened: Sequence[Row[Any]] = ()


def read_report(
    engine: Engine, group: str, stream: Stream, since: datetime, until: datetime
) -> Report:
    """Read what happened to a stream at or after ``since`` and before ``until``.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    report = Report(group, since.astimezone(UTC), until.astimezone(UTC))
    ledger = _Ledger(report)
    for batch in newest_batches(engine, group, None, since, until):
        # A replay's line has no events.
        if batch.events:
            ledger.add(batch)
    ledger.fill()
    report.drops = summarize(
        engine, group, Filter(since=since, until=until), stream.fields, limit=DROPS
    )
    with classified(), engine.connect() as connection:
        report.happened = connection.execute(_events(report)).all()
        beats = connection.execute(_heartbeats(report)).all()
        now = connection.scalar(select(func.utc_timestamp()))
    report.workers = _workers(report, ledger, beats, now or report.until.replace(tzinfo=None))
    return report


class _Ledger:
    """Adds up batches, the newest first."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.of: dict[str, list[int]] = {}
        self._sums: Counter[str] = Counter()
        self._minutes: Counter[datetime] = Counter()
        self._pauses: list[Pause] = []
        #: When the batch after the next one was written, or the end of the span.
        self._later = report.until
        self._slowest: list[Row[Any]] = []
        self._repairs: dict[tuple[str, str], Repair] = {}

    def add(self, batch: Row[Any]) -> None:
        names = ("events", "valid", *empty_drops(), "duplicate")
        self._sums.update({name: getattr(batch, name) for name in names}, batches=1)
        self._minutes[batch.written.replace(second=0, microsecond=0)] += batch.events
        self._pause_before(_utc(batch.written))
        slowest = sorted([*self._slowest, batch], key=lambda one: -one.seconds)
        self._slowest = slowest[:SLOWEST]
        mine = self.of.setdefault(batch.worker, [0, 0])
        mine[0] += 1
        mine[1] += batch.events
        for column, number in batch.filled.items():
            self._add_repair(column, "filled", number, batch)
        for name, number in batch.repaired.items():
            column, _, kind = name.partition(".")
            self._add_repair(column, kind, number, batch)

    def _add_repair(self, column: str, kind: str, number: int, batch: Row[Any]) -> None:
        here = Repair(column, kind, 0, 0.0, number, batch.number, batch.worker, _utc(batch.written))
        before = self._repairs.get((column, kind), here)
        best = here if number > before.most else before
        self._repairs[column, kind] = best._replace(values=before.values + number)

    def fill(self) -> None:
        """Put what was added up into the report."""
        report, sums, rows = self._report, self._sums, self._sums["valid"]
        report.batches, report.events, report.rows = sums["batches"], sums["events"], rows
        report.dropped = Counter({reason: sums[reason] for reason in empty_drops()})
        report.duplicate = sums["duplicate"]
        report.rate = report.events / max(1.0, (report.until - report.since).total_seconds())
        if self._minutes:
            minute, events = max(self._minutes.items(), key=lambda item: item[1])
            report.busiest = _utc(minute), events / 60
        report.slowest = self._slowest
        report.repairs = sorted(
            (one._replace(share=one.values / max(1, rows)) for one in self._repairs.values()),
            key=lambda one: -one.values,
        )
        if report.batches:
            self._pause_before(report.since)
        report.pauses = sorted(self._pauses)

    def _pause_before(self, written: datetime) -> None:
        seconds = (self._later - written).total_seconds()
        if seconds > PAUSE:
            pauses = [*self._pauses, Pause(written, self._later, seconds)]
            self._pauses = sorted(pauses, key=lambda one: -one.seconds)[:PAUSES]
        self._later = written


def _events(report: Report) -> Any:
    columns = worker_events.c
    return (
        select(columns.since, columns.at, columns.worker, columns.kind, columns.number,
               columns.detail)
        .where(columns.consumer_group == report.group)
        .where(columns.at >= report.since)
        .where(func.coalesce(columns.since, columns.at) < report.until)
        .order_by(func.coalesce(columns.since, columns.at), columns.id)
        .limit(EVENTS)
    )  # fmt: skip


def _heartbeats(report: Report) -> Any:
    columns = worker_heartbeats.c
    return (
        select(columns.worker, columns.version, columns.started_at, columns.stopped_at,
               columns.seen_at, columns.next_seconds)
        .where(columns.consumer_group == report.group)
        .where(columns.started_at < report.until)
        .where(or_(columns.seen_at >= report.since, columns.stopped_at >= report.since))
        .order_by(columns.started_at)
    )  # fmt: skip


def _workers(
    report: Report, ledger: _Ledger, beats: Iterable[Row[Any]], now: datetime
) -> list[WorkerSpan]:
    found = []
    wrote: Mapping[str, list[int]] = ledger.of
    for row in beats:
        ended, went = None, None
        if row.stopped_at:
            ended, went = _utc(row.stopped_at), "stopped"
        elif now - row.seen_at > timedelta(seconds=2.5 * row.next_seconds):
            ended, went = _utc(row.seen_at), "silent"
        if ended is None or ended >= report.until:
            ended, went = None, None
        started = _utc(row.started_at)
        numbers = wrote.get(row.worker, [0, 0])
        found.append(
            WorkerSpan(
                row.worker, row.version, started if started >= report.since else None,
                ended, went, *numbers,
            )
        )  # fmt: skip
    known = {one.worker for one in found}
    found += [
        WorkerSpan(worker, None, None, None, None, *numbers)
        for worker, numbers in sorted(wrote.items())
        if worker not in known
    ]
    return found


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
