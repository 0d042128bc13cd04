"""Deletes rows that were stored before a time, in small transactions by id. Blocking.

No time has an index, but ids rise with time. For events the hourly notes say which id was the
newest at a time (`db.retention.sizes`). Rows from before the first note, dead letters and ledger
lines are read from the oldest on, and judged by their own time, up to where none is old enough.

Never deleted are the newest event and rows that are not in the sales sums yet; ledger lines by
which a worker may still find out whether its newest write was committed; and dead letters while a
replay runs. Stored offsets have no age.
"""

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, text

from db.connection.errors import classified
from db.connection.server_lock import PURGE, REPLAY, is_locked, server_lock
from db.schema.sales_tables import flash_sale_events
from db.schema.tables import batches, dead_letters
from pipeline.background.storage import Purged
from pipeline.errors import TransientError

#: What can be purged, and its table.
PURGED = {
    "events": flash_sale_events.name,
    "dead-letters": dead_letters.name,
    "batches": batches.name,
}
#: Rows read in one transaction: initial, minimum and maximum.
PORTION, SMALLEST, LARGEST = 1_000, 50, 20_000
#: Their number adapts so that a transaction takes about this many seconds.
SECONDS = 0.1
#: A worker's last ledger line is kept for so much longer than others.
LAST_LINE = timedelta(days=30)

#: Not a note from before ids began again.
_NOTED = text(
    "SELECT g.newest_id FROM growth AS g WHERE g.noted_at <= :before AND NOT EXISTS"
    " (SELECT 1 FROM growth AS l WHERE l.noted_at > g.noted_at AND l.newest_id < g.newest_id)"
    " ORDER BY g.noted_at DESC LIMIT 1"
)
_LAST_NOTE = text("SELECT newest_id FROM growth ORDER BY noted_at DESC LIMIT 1")
_REPLAYING = "Dead letters are being replayed: they are kept until that ends."
_FIRST_NOTE = text("SELECT newest_id FROM growth ORDER BY noted_at LIMIT 1")
_SUMMED = text(
    "SELECT LEAST(last_id, IF(category_generation = generation, category_last_id, 0)) - 1"
    " FROM rollup_state WHERE id = 1"
)


@dataclass(frozen=True)
class _Scope:
    """Which rows of a table are old, and which of these are deleted, as SQL over its row ``t``."""

    what: str
    old: str
    deleted: str
    pending: str = "0"
    join: str = ""
    #: The greatest id that may be deleted.
    last: int | None = None

    @property
    def table(self) -> str:
        return PURGED[self.what]

    @property
    def portion(self) -> str:
        """Where a portion ends, how many rows it has, and how many of them are old, and deleted."""
        return (
            f"SELECT MAX(id), COUNT(*), COALESCE(SUM(old), 0), COALESCE(SUM(deleted), 0),"  # noqa: S608
            f" COALESCE(SUM(deleted AND pending), 0) FROM (SELECT t.id, {self.old} AS old,"
            f" {self.deleted} AS deleted, {self.pending} AS pending FROM {self.table} AS t"
            f" {self.join} WHERE t.id > :after AND t.id <= :last ORDER BY t.id LIMIT :rows) AS p"
        )

    @property
    def delete(self) -> str:
        return (
            f"DELETE t FROM {self.table} AS t {self.join}"
            f" WHERE t.id > :after AND t.id <= :end AND {self.deleted}"
        )


#: The newest line of each worker; in a join, because no server deletes from what a subquery reads.
_NEWEST = (
    "STRAIGHT_JOIN (SELECT worker, MAX(number) AS newest FROM batches GROUP BY worker) AS w"
    " ON w.worker = t.worker"
)


class Purge:
    """Purges a database's tables, one process at a time.

    Args:
        engine: from ``db.connection.engine.connect``.
        group: the consumer group, whose dead letters and batches are purged; events have none.
        sums: whether the sales sums are kept up: then only summed rows are deleted.
    """

    def __init__(self, engine: Engine, group: str, *, sums: bool) -> None:
        self._engine = engine
        self._group = group
        self._sums = sums
        self._portion = PORTION

    def run(
        self, ages: Mapping[str, datetime], *, dry_run: bool = False, most: int = LARGEST
    ) -> Generator[Purged]:
        """Delete what was stored before these times, a portion at each step.

        The caller rests between the steps, for less than 30 s.

        Args:
            ages: by what is purged, of ``PURGED``; UTC, with a zone.
            dry_run: only count.
            most: maximum rows of a portion.

        Raises:
            TransientError, RowError, FatalError: see ``pipeline.errors``; what was deleted before
                stays deleted. Another purge or a replay is running: TransientError.
        """
        with (
            classified(),
            self._engine.connect() as connection,
            server_lock(connection, PURGE) as had,
        ):
            if not had and not dry_run:
                raise TransientError("Another purge is running: wait until it ends.", "busy")
            for what, before in ages.items():
                scope = self._scope(connection, what, before)
                yield from self._of(connection, scope, before, dry_run, most)

    def _of(
        self, connection: Connection, scope: _Scope, before: datetime, dry_run: bool, most: int
    ) -> Generator[Purged]:
        utc = before.astimezone(UTC).replace(tzinfo=None)
        given: dict[str, Any] = {"before": utc, "long_ago": utc - LAST_LINE, "group": self._group}
        given |= {"after": 0, "last": self._last(connection, scope)}
        is_last = False
        while not is_last:
            begun, rows = monotonic(), most if dry_run else min(self._portion, most)
            with connection.begin():
                given["rows"] = rows
                end, seen, old, deleted, pending = connection.execute(
                    text(scope.portion), given
                ).one()
                is_last = seen < rows or not old
                if deleted and not dry_run:
                    if scope.what == "dead-letters" and is_locked(connection, REPLAY):
                        raise TransientError(_REPLAYING, "busy")
                    given["end"] = end
                    deleted = connection.execute(text(scope.delete), given).rowcount
            given["after"] = end
            took = max(monotonic() - begun, 0.001)
            self._portion = int(
                min(LARGEST, max(SMALLEST, self._portion * min(2.0, max(0.5, SECONDS / took))))
            )
            yield Purged(scope.what, int(deleted), int(pending), took, is_last)

    def _scope(self, connection: Connection, what: str, before: datetime) -> _Scope:
        if what == "dead-letters":
            old = "t.created_at < :before"
            mine = f"{old} AND t.consumer_group = :group"
            return _Scope(what, old, mine, "t.replayed_at IS NULL")
        if what == "batches":
            old = "t.written < :before"
            superseded = "(t.number < w.newest OR t.written < :long_ago)"
            mine = f"{old} AND t.consumer_group = :group AND {superseded}"
            return _Scope(what, old, mine, join=_NEWEST)
        utc = before.astimezone(UTC).replace(tzinfo=None)
        newest = connection.scalar(text("SELECT MAX(id) FROM flash_sale_events")) or 0
        noted = connection.scalar(_NOTED, {"before": utc})
        if noted is not None and (connection.scalar(_LAST_NOTE) or 0) <= newest:
            return _Scope(what, "1", "1", last=noted)
        first = connection.scalar(_FIRST_NOTE)
        old = "COALESCE(t.ts < :before, 0)"
        return _Scope(what, old, old, last=first)

    def _last(self, connection: Connection, scope: _Scope) -> int:
        newest = connection.scalar(text(f"SELECT MAX(id) FROM {scope.table}")) or 0  # noqa: S608
        ends = [int(newest)]
        if scope.last is not None:
            ends.append(scope.last)
        if scope.what == "events":
            # The newest row stays: by it ids that begin again are noticed.
            ends.append(int(newest) - 1)
            if self._sums:
                ends.append(int(connection.scalar(_SUMMED) or 0))
        connection.rollback()
        return min(ends)


def rehearse(connection: Connection, purged: Collection[str]) -> None:
    """Delete no rows of what is purged, of ``PURGED``; the caller rolls back.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused, perhaps because a right is missing.
    """
    for what in purged:
        connection.execute(text(f"DELETE FROM {PURGED[what]} WHERE 1 = 0"))  # noqa: S608
