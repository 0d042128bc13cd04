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

Blocking; any number of workers may run it at once. Behind a proxy that splits a session nothing is
added (`db.connection.session`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from db.connection.errors import classified
from db.connection.session_variables import LOCK_WAIT_TIMEOUT
from db.rollup import purge
from db.rollup.sums import add_sums
from db.rollup.watermark import (
    FIRST,
    LAST,
    REBUILD,
    ask,
    checksum,
    join,
    lock,
    look,
    move,
    settle,
    wait_for_writes,
)
from db.schema.sales_tables import rollup_minutes, rollup_products, rollup_state
from models.funnel import NO_TIME
from pipeline.errors import TransientError
from pipeline.rollup_service import Progress

#: Maximum seconds to wait for a lock; after that, the next round retries.
LOCK_WAIT = 2
#: Rows in one transaction: initial, minimum and maximum.
PORTION, SMALLEST, LARGEST = 50_000, 1_000, 500_000
#: The number of rows adapts so that a transaction takes about this many seconds, since others wait
#: for its locks.
SECONDS = 0.5


class Kept(NamedTuple):
    """The stored sums: how far they are, how many for minutes and products, the oldest minute."""

    progress: Progress
    minutes: int
    products: int
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

    def step(self) -> Progress:
        """Do a bounded part of the work; nothing while another worker does it."""
        with classified(), self._queries.connect() as connection:
            state = look(connection)
        found = self._progress(state)
        if found.error:
            return found
        if not (found.behind or state.shown != state.generation or state.outdated):
            return found._replace(wait=self._interval)
        with self._connection() as connection:
            # Read again: the following statements must run in the session that read the state.
            state = look(connection)
            found = self._progress(state)
            if found.error:
                return found
            waiting = 0.0
            if state.last_id < state.mark_id <= found.newest:
                # If the clock was set back, do not wait for hours.
                if not 0 <= state.mark_age < self._interval:
                    return self._sum(connection, state)
                waiting = self._interval - float(state.mark_age)
            elif state.last_id < found.newest:
                return self._mark(connection, state)
            elif state.shown != state.generation:
                return self._finish(connection, state)
            if state.outdated:
                purge.delete_outdated(connection, state.shown)
                return found
            return found._replace(wait=waiting or self._interval)

    def progress(self) -> Progress:
        """How far the sums are."""
        with self._connection() as connection:
            return self._progress(look(connection))

    def kept(self) -> Kept:
        """How far the sums are, and how many are stored."""
        minutes, products = rollup_minutes.c, rollup_products.c
        with self._connection() as connection:
            state = look(connection)
            of = minutes.generation == state.shown
            return Kept(
                self._progress(state),
                connection.scalar(select(func.count()).select_from(rollup_minutes).where(of)) or 0,
                connection.scalar(
                    select(func.count())
                    .select_from(rollup_products)
                    .where(products.generation == state.shown)
                )
                or 0,
                connection.scalar(
                    select(func.min(minutes.minute)).where(of, minutes.minute > NO_TIME)
                ),
            )

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

    def purge(self, before: datetime, *, dry_run: bool = False) -> tuple[int, int]:
        """Delete the sums of minutes and of products' hours that had ended by ``before``.

        Args:
            before: UTC, without a zone.
            dry_run: only count them.

        Returns:
            How many of minutes, and of products' hours.
        """
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
        return Progress(summed_to, newest, max(0.0, age))

    def _progress(self, state: Row[Any]) -> Progress:
        found = self._found(
            state.last_id, state.newest or 0, float(state.complete_age), monotonic()
        )
        error = None
        if None not in (state.checksum, state.last_checksum) and (
            state.checksum != state.last_checksum
        ):
            error = (
                f"row {state.last_id} of flash_sale_events is not the row that was summed: its ids "
                f"seem to have restarted. If so, {REBUILD}."
            )
        elif state.newest is not None and state.newest < state.last_id:
            error = (
                f"the newest row of flash_sale_events has the id {state.newest}, but rows up to "
                f"{state.last_id} are summed: rows were deleted, or ids restarted. Rows with "
                f"greater ids will be summed. If ids restarted, {REBUILD}."
            )
        return found._replace(wait=self._interval if error else 0.0, error=error)

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
        try:
            with connection.begin():
                if not lock(connection, seen):
                    return self._busy_elsewhere(seen)
                rows, upto = self._add_portion(connection, seen)
        except (SQLAlchemyError, TransientError):
            self._portion = max(SMALLEST, self._portion // 2)
            raise
        took = max(monotonic() - begun, 0.001)
        if rows >= self._portion // 2 or took > SECONDS:
            grown = int(self._portion * min(2.0, max(0.5, SECONDS / took)))
            self._portion = min(LARGEST, max(SMALLEST, grown))
        age = seen.mark_age if upto == seen.mark_id else seen.complete_age
        return self._found(upto, seen.newest, float(age) + took, begun)._replace(rows=rows)

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
        if rows:
            add_sums(connection, last, upto, seen.generation, seen.session)
        changed: dict[str, Any] = {"last_id": upto, "last_checksum": checksum(upto)}
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


def rehearse(connection: Connection) -> None:
    """Run the roll-up's statements on no rows; the caller rolls back.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused, perhaps because a right is missing.
    """
    join(connection)
    add_sums(connection, 0, 0, -1, connection.scalar(text("SELECT CONNECTION_ID()")) or 0)
    connection.execute(rollup_state.update().where(rollup_state.c.id < 0).values(id=-1))
    for table in (rollup_minutes, rollup_products):
        connection.execute(table.delete().where(table.c.generation < 0))
