"""The roll-up: adds stored rows to the sales sums, each row once, in the background.

A watermark says up to which id rows are in the sums; it moves in the transaction that adds them.
So the sums are exact as long as no row with an id below the watermark can still appear. Ids are
handed out in rising order, so with the newest id at a moment known (the mark), only transactions
that had begun to insert by then can bring smaller ones:

- a worker's write locks its stored offsets before it inserts. Once each offset's row was seen
  unlocked, not all at the same time, all of those writes have ended. No offset stays locked while
  another one is waited for, so there is no deadlock;
- a replay of dead letters holds the state's row shared (`watermark.join`), and moving the mark
  locks it;
- of other programs, rows are summed a round after the mark, and with a locking read, which waits
  for every row that is there and not committed. So only a single statement of theirs that is
  longer than a round could be missed.

Blocking; any number of workers may do it at once. Behind a proxy that splits a session nothing
is added (`db.connection.session`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from db.connection.errors import classified
from db.connection.session_variables import LOCK_WAIT_TIMEOUT
from db.rollup.sums import add_sums
from db.rollup.watermark import (
    FIRST,
    LAST,
    NO_STATE,
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
from pipeline.errors import FatalError, TransientError
from pipeline.rollup_service import Progress

#: Seconds that anything here waits for a lock; then it is tried again in the next round.
LOCK_WAIT = 2
#: Rows in one transaction: at first, at least and at most. They become more or fewer, until a
#: transaction takes about so many seconds: others wait no longer for its locks.
PORTION, SMALLEST, LARGEST = 50_000, 1_000, 500_000
SECONDS = 0.5
#: Old sums deleted in one transaction.
DELETED = 20_000


class Kept(NamedTuple):
    """What is kept, for those who ask: sums of minutes and of products, and the oldest minute."""

    progress: Progress
    minutes: int
    products: int
    oldest: datetime | None


class Rollup:
    """The sales sums of a database.

    Args:
        engine: from ``db.connection.engine.connect``.
        interval: seconds between a mark and summing up to it.
        queries: from ``connect_for_queries``, to look whether there is work; None for the other
            one.

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
        """Do a bounded part of the work; none of it while another worker does."""
        with classified(), self._queries.connect() as connection:
            state = look(connection)
        found = self._progress(state)
        if found.error:
            return found
        if not (found.behind or state.shown != state.generation or state.outdated):
            return found._replace(wait=self._interval)
        with self._connection() as connection:
            # Again: what follows must run in the session that has looked.
            state = look(connection)
            found = self._progress(state)
            if found.error:
                return found
            waiting = 0.0
            if state.last_id < state.mark_id <= found.newest:
                # A clock that was set back must not make it wait for hours.
                if not 0 <= state.mark_age < self._interval:
                    return self._sum(connection, state)
                waiting = self._interval - float(state.mark_age)
            elif state.last_id < found.newest:
                return self._mark(connection, state)
            elif state.shown != state.generation:
                return self._finish(connection, state)
            if state.outdated:
                _delete_outdated(connection, state.shown)
                return found
            return found._replace(wait=waiting or self._interval)

    def progress(self) -> Progress:
        """How far the sums are."""
        with self._connection() as connection:
            return self._progress(look(connection))

    def kept(self) -> Kept:
        """How far the sums are, and how many are kept."""
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
        """Sum all rows again; the old sums are shown until that is done."""
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

    def purge(self, before: datetime) -> tuple[int, int]:
        """Delete the sums of minutes and of products' hours that had ended by then.

        Args:
            before: UTC, without a zone.

        Returns:
            How many of minutes, and of products' hours.
        """
        gone = [0, 0]
        with self._connection() as connection:
            connection.commit()
            for place, (table, key, length) in enumerate(
                (
                    ("rollup_minutes", "minute", timedelta(minutes=1)),
                    ("rollup_products", "hour", timedelta(hours=1)),
                )
            ):
                # Events without a time have no age.
                statement = text(
                    f"DELETE FROM {table} WHERE generation IN (:shown, :built) "  # noqa: S608
                    f"AND {key} > '{NO_TIME}' AND {key} <= :last LIMIT {DELETED}"
                )
                while True:
                    with connection.begin():
                        state = connection.execute(select(rollup_state).with_for_update()).first()
                        if state is None:
                            raise FatalError(NO_STATE)
                        given = {"shown": state.shown, "built": state.generation}
                        done = connection.execute(statement, given | {"last": before - length})
                    gone[place] += done.rowcount
                    if done.rowcount < DELETED:
                        break
        return gone[0], gone[1]

    def _found(self, summed_to: int, newest: int, age: float, at: float) -> Progress:
        """The progress; rows were last all in the sums so many seconds before the moment ``at``, at
        which ``newest`` was read."""
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
                f"row {state.last_id} of flash_sale_events is not the row that was summed: ids "
                f"seem to have started again. If so, {REBUILD}."
            )
        elif state.newest is not None and state.newest < state.last_id:
            error = (
                f"the newest row of flash_sale_events has the id {state.newest}, but rows up to "
                f"{state.last_id} are summed: rows were deleted, or ids started again. Rows with "
                f"greater ids will be summed. If ids started again, {REBUILD}."
            )
        return found._replace(wait=self._interval if error else 0.0, error=error)

    def _mark(self, connection: Connection, seen: Row[Any]) -> Progress:
        """Make the newest row the mark, once no write can bring smaller ids any more."""
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
        """Show what was built: there is no row, or none that is not summed."""
        with connection.begin():
            if lock(connection, seen):
                move(connection, seen, {"shown": seen.generation})
                return self._progress(seen)
        return self._busy_elsewhere(seen)

    def _busy_elsewhere(self, seen: Row[Any]) -> Progress:
        return self._progress(seen)._replace(wait=self._interval)

    def _add_portion(self, connection: Connection, seen: Row[Any]) -> tuple[int, int]:
        """Add rows; returns how many, and up to which id they are added now."""
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
            # After the last row there may be a write in progress, which need not be waited for: a
            # locking read locks the row after its end, too.
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
        """A connection, in a transaction that has read nothing, which waits for locks briefly."""
        with classified(), self._engine.connect() as connection:
            connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}")
            try:
                yield connection
            finally:
                if not connection.invalidated:
                    # In one transaction with what went before, which costs a round trip less.
                    connection.exec_driver_sql(
                        f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_TIMEOUT}"
                    )
                    connection.rollback()


def rehearse(connection: Connection) -> None:
    """Do what the roll-up does, with no row, in a transaction that is rolled back.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused, perhaps for a right that is missing.
    """
    join(connection)
    add_sums(connection, 0, 0, -1, connection.scalar(text("SELECT CONNECTION_ID()")) or 0)
    connection.execute(rollup_state.update().where(rollup_state.c.id < 0).values(id=-1))
    for table in (rollup_minutes, rollup_products):
        connection.execute(table.delete().where(table.c.generation < 0))


def _delete_outdated(connection: Connection, shown: int) -> None:
    """Delete some of the sums that are no longer shown."""
    for table in (rollup_minutes, rollup_products):
        statement = f"DELETE FROM {table.name} WHERE generation < :shown LIMIT {DELETED}"  # noqa: S608
        with connection.begin():
            connection.execute(text(statement), {"shown": shown})
