"""The roll-up: adds each stored row to the sales sums once, in the background.

A watermark is the id up to which rows are in the sums; it moves in the transaction that adds them.
So the sums are exact as long as no row can still appear with an id below the watermark. Ids are
assigned in rising order. The mark is the newest id at some moment; smaller ids can only come from
transactions that were inserting at that moment:

- A worker's write locks its stored offsets before it inserts. Once each offset's row has been seen
  unlocked, not necessarily all at the same time, those writes have ended. The roll-up never holds
  one offset's lock while it waits for another, so there is no deadlock.
- A replay of dead letters locks the state's row in shared mode (`watermark.join`), and moving the
  mark locks it exclusively.
- Rows of other programs are summed one round after the mark, with a locking read that waits for
  uncommitted rows. Only a single statement that runs longer than a round could be missed.
- Writes on other nodes of a Galera cluster are waited for by time (`db/rollup/cluster.py`).

Blocking; any number of workers may run it at once. Behind a proxy that splits a session nothing is
added (`db.connection.session`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Table, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from db.connection.errors import classified
from db.connection.session_variables import LOCK_WAIT_TIMEOUT
from db.rollup import cluster, purge
from db.rollup.sums import TABLES, add_sums
from db.rollup.watermark import (
    FIRST,
    LAST,
    ask,
    checksum,
    contradiction,
    lock,
    look,
    move,
    settle,
    wait_for_writes,
)
from db.schema.sales_tables import rollup_categories, rollup_minutes
from models.funnel import NO_TIME
from pipeline.background.rollup_service import Progress
from pipeline.errors import TransientError

#: Maximum seconds to wait for a lock; after that, the next round retries.
LOCK_WAIT = 2
#: Rows in one transaction: initial, minimum and maximum.
PORTION, SMALLEST, LARGEST = 50_000, 1_000, 500_000
#: The number of rows adapts so that a transaction takes about this many seconds, since others wait
#: for its locks.
SECONDS = 0.5


class Kept(NamedTuple):
    """The stored sums: how far they are, how many by key, the oldest minute."""

    progress: Progress
    minutes: int
    products: int
    categories: int
    oldest: datetime | None


class Rollup:
    """The sales sums of a database.

    Args:
        engine: from ``db.connection.engine.connect``.
        interval: seconds between setting a mark and summing up to it.
        queries: from ``connect_for_queries``, to check for work; None to use ``engine``.

    Raises (every method):
        TransientError, RowError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, interval: float, queries: Engine | None = None) -> None:
        self._engine = engine
        self._queries = queries or engine
        self._interval = interval
        self._portion = PORTION
        self._whole: float | None = None
        self._warning: str | None = None

    def step(self) -> Progress:
        """Do a bounded part of the work; nothing while another worker does it."""
        with classified(), self._queries.connect() as connection:
            state = look(connection)
        found = self._progress(state)
        if found.error:
            return found
        unfinished = state.shown != state.generation or found.categories_behind or state.outdated
        if not (found.behind or unfinished):
            return found._replace(wait=self._interval)
        with self._connection() as connection:
            self._warning = cluster.warning(connection)
            # Read again: the following statements must run in the session that read the state.
            state = look(connection)
            found = self._progress(state)
            if found.error:
                return found
            waiting = 0.0
            if state.last_id < state.mark_id <= found.newest:
                # If the clock was set back, do not wait for hours.
                rest = max(self._interval, cluster.WAIT) if self._warning else self._interval
                if not 0 <= state.mark_age < rest:
                    return self._sum(connection, state)
                waiting = rest - float(state.mark_age)
            elif state.last_id < found.newest:
                return self._mark(connection, state)
            elif state.shown != state.generation:
                return self._finish(connection, state)
            if found.categories_behind:
                return self._add_categories(connection, state)
            if state.outdated:
                purge.delete_outdated(connection, state.shown)
                return found
            return found._replace(wait=waiting or self._interval)

    def progress(self) -> Progress:
        """How far the sums are."""
        with self._connection() as connection:
            self._warning = cluster.warning(connection)
            return self._progress(look(connection))

    def kept(self) -> Kept:
        """How far the sums are, and how many are stored."""
        with self._connection() as connection:
            state = look(connection)
            minutes, products, categories = (
                connection.scalar(
                    select(func.count()).select_from(one).where(one.c.generation == state.shown)
                )
                or 0
                for one in TABLES
            )
            oldest = connection.scalar(
                select(func.min(rollup_minutes.c.minute)).where(
                    rollup_minutes.c.generation == state.shown, rollup_minutes.c.minute > NO_TIME
                )
            )
            return Kept(self._progress(state), minutes, products, categories, oldest)

    def rebuild(self) -> None:
        """Sum all rows again; the old sums stay visible until that is done."""
        with self._connection() as connection:
            connection.execute(
                text(
                    "INSERT INTO rollup_state (id, generation, shown, last_id, mark_id, marked_at,"
                    " complete_at) VALUES (1, 1, 1, 0, 0, CURRENT_TIMESTAMP(3),"
                    " CURRENT_TIMESTAMP(3)) ON DUPLICATE KEY UPDATE generation = generation + 1,"
                    " last_id = 0, last_checksum = NULL, mark_id = 0,"
                    " complete_at = CURRENT_TIMESTAMP(3)"
                )
            )
            connection.commit()

    def purge(self, before: datetime, *, dry_run: bool = False) -> tuple[int, int, int]:
        """See ``db.rollup.purge``; a dry run only counts."""
        with self._connection() as connection:
            connection.commit()
            return (purge.count_before if dry_run else purge.delete_before)(connection, before)

    def _found(self, summed_to: int, newest: int, age: float, at: float) -> Progress:
        """The progress.

        Args:
            summed_to: the id up to which rows are in the sums.
            newest: the newest id, read at ``at``.
            age: seconds before ``at`` when the sums were last complete.
            at: ``time.monotonic()``.
        """
        if newest <= summed_to:
            self._whole = at
            age = 0.0
        elif self._whole is not None:
            age = min(age, monotonic() - self._whole)
        return Progress(summed_to, newest, max(0.0, age), warning=self._warning)

    def _progress(self, state: Row[Any]) -> Progress:
        found = self._found(
            state.last_id, state.newest or 0, float(state.complete_age), monotonic()
        )
        error = contradiction(state)
        return found._replace(
            wait=self._interval if error else 0.0,
            error=error,
            categories_behind=max(0, state.last_id - state.category_done),
        )

    def _mark(self, connection: Connection, seen: Row[Any]) -> Progress:
        """Make the newest id the mark, once no write in progress can add smaller ids."""
        wait_for_writes(connection, seen.session)
        with connection.begin():
            if lock(connection, seen):
                move(connection, seen, {"mark_id": seen.newest, "marked_at": seen.now})
                return self._progress(seen)._replace(wait=self._interval)
        return self._busy_elsewhere(seen)

    def _sum(self, connection: Connection, seen: Row[Any]) -> Progress:
        """Add the next portion up to the mark."""
        begun = monotonic()
        with self._smaller_after_an_error(), connection.begin():
            if not lock(connection, seen):
                return self._busy_elsewhere(seen)
            rows, upto = self._add_portion(connection, seen)
        took = self._adapt(begun, rows)
        age = seen.mark_age if upto == seen.mark_id else seen.complete_age
        return self._found(upto, seen.newest, float(age) + took, begun)._replace(
            rows=rows,
            categories_behind=0 if _has_categories(seen) else upto - seen.category_done,
        )

    def _add_categories(self, connection: Connection, seen: Row[Any]) -> Progress:
        """Add the next portion below the watermark to the sums by category, which lag behind."""
        begun = monotonic()
        with self._smaller_after_an_error(), connection.begin():
            if not lock(connection, seen):
                return self._busy_elsewhere(seen)
            last = seen.category_done
            first = ask(connection, FIRST, seen.session, last=last) or last
            upto = min(seen.last_id, first + self._portion - 1)
            add_sums(connection, last, upto, seen.generation, seen.session, [rollup_categories])
            move(connection, seen, _categories_to(seen, upto))
        self._adapt(begun, upto - first)
        return self._progress(seen)._replace(categories_behind=seen.last_id - upto)

    def _adapt(self, begun: float, rows: int) -> float:
        """Adapt the portion to the seconds that one of so many rows took; return these."""
        took = max(monotonic() - begun, 0.001)
        if rows >= self._portion // 2 or took > SECONDS:
            grown = int(self._portion * min(2.0, max(0.5, SECONDS / took)))
            self._portion = min(LARGEST, max(SMALLEST, grown))
        return took

    @contextmanager
    def _smaller_after_an_error(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, TransientError):
            self._portion = max(SMALLEST, self._portion // 2)
            raise

    def _finish(self, connection: Connection, seen: Row[Any]) -> Progress:
        """Show the rebuilt sums: every row is in them."""
        with connection.begin():
            if lock(connection, seen):
                move(connection, seen, {"shown": seen.generation})
                return self._progress(seen)
        return self._busy_elsewhere(seen)

    def _busy_elsewhere(self, seen: Row[Any]) -> Progress:
        return self._progress(seen)._replace(wait=self._interval)

    def _add_portion(self, connection: Connection, seen: Row[Any]) -> tuple[int, int]:
        """Add rows; return how many, and the id up to which rows are now summed."""
        last, bound = seen.last_id, seen.mark_id
        if bound - last > self._portion:
            # Ids may have wide gaps.
            first = ask(connection, FIRST, seen.session, last=last)
            if first is not None:
                bound = min(bound, first + self._portion - 1)
        upto = bound
        committed = ask(connection, LAST, seen.session, last=last, bound=bound)
        if committed is None:
            rows = settle(connection, seen.session, last, upto)
        else:
            # A locking read also locks the row after its range, where a write may be in progress.
            # Ending at the last committed row avoids waiting for that write.
            upto = committed
            rows = 1 + settle(connection, seen.session, last, upto - 1)
        changed: dict[str, Any] = {"last_id": upto, "last_checksum": checksum(upto)}
        if _has_categories(seen):
            changed |= _categories_to(seen, upto)
        if rows:
            add_sums(connection, last, upto, seen.generation, seen.session, _tables(seen))
        if upto == seen.mark_id:
            changed |= {"complete_at": seen.marked_at, "shown": seen.generation}
        move(connection, seen, changed)
        return rows, upto

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection with a short lock timeout, in a transaction that has read nothing."""
        with classified(), self._engine.connect() as connection:
            connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}")
            try:
                yield connection
            finally:
                if not connection.invalidated:
                    # Before the rollback, in the same transaction, which saves a round trip.
                    connection.exec_driver_sql(
                        f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_TIMEOUT}"
                    )
                    connection.rollback()


def _has_categories(seen: Row[Any]) -> bool:
    """Whether the sums by category have the same rows as the others."""
    return bool(seen.category_done == seen.last_id)


def _tables(seen: Row[Any]) -> list[Table]:
    return [one for one in TABLES if one is not rollup_categories or _has_categories(seen)]


def _categories_to(seen: Row[Any], upto: int) -> dict[str, int]:
    return {"category_generation": seen.generation, "category_last_id": upto}
