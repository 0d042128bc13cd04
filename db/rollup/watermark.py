"""The roll-up's watermark: reads, locks and moves it, and waits for writes before that.

All statements must run in the session that first read the state: see `db.connection.session`.
"""

from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    ScalarSelect,
    TextClause,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from db.connection.session import SESSION, another_session, check_session
from db.rollup.sums import ROWS, add_sums
from db.schema.sales_tables import flash_sale_events, rollup_state
from db.schema.tables import stream_offsets
from pipeline.errors import FatalError, TransientError

REBUILD = "run `faust -A app rollup rebuild`, which sums all existing rows again"
NO_STATE = f"The table rollup_state is empty: {REBUILD}."

_STILL_LOCKED = 1205
_state = rollup_state.c
#: What another worker changes when it works.
_MOVED = "generation", "shown", "last_id", "mark_id", "category_generation", "category_last_id"

_LOOK = text(
    """
    SELECT s.*, CURRENT_TIMESTAMP(3) AS now, CONNECTION_ID() AS session,
        TIMESTAMPDIFF(MICROSECOND, s.marked_at, CURRENT_TIMESTAMP(3)) / 1e6 AS mark_age,
        TIMESTAMPDIFF(MICROSECOND, s.complete_at, CURRENT_TIMESTAMP(3)) / 1e6 AS complete_age,
        (SELECT MAX(id) FROM flash_sale_events) AS newest,
        (SELECT CRC32(COALESCE(event_id, '')) FROM flash_sale_events
            WHERE id = s.last_id) AS checksum,
        s.shown = s.generation AND (
            EXISTS (SELECT 1 FROM rollup_minutes WHERE generation < s.shown)
            OR EXISTS (SELECT 1 FROM rollup_products WHERE generation < s.shown)
            OR EXISTS (SELECT 1 FROM rollup_categories WHERE generation < s.shown)) AS outdated,
        IF(s.category_generation = s.generation, s.category_last_id, 0) AS category_done
    FROM rollup_state AS s WHERE s.id = 1
    """
)
FIRST = text(
    "SELECT (SELECT id FROM flash_sale_events WHERE id > :last ORDER BY id LIMIT 1),"
    " CONNECTION_ID()"
)
LAST = text(
    "SELECT (SELECT id FROM flash_sale_events WHERE id > :last AND id <= :bound"
    " ORDER BY id DESC LIMIT 1), CONNECTION_ID()"
)
_COUNT = text(
    f"SELECT COUNT(*), CONNECTION_ID() FROM {ROWS} LOCK IN SHARE MODE"  # noqa: S608
)

_KEY = stream_offsets.primary_key.columns
_here = func.connection_id()
_OFFSETS = select(_here, *_KEY)
#: The offsets that no transaction has locked; and one offset, waiting for its lock.
_UNLOCKED = _OFFSETS.with_for_update(read=True, skip_locked=True)
_ONE = (
    select(_here)
    .where(*(column == bindparam(name) for column, name in zip(_KEY, "gtp", strict=True)))
    .with_for_update(read=True)
)


def join(connection: Connection) -> None:
    """Announce to the roll-up that this transaction will insert events without locking an offset.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused; the transaction must be rolled back.
    """
    connection.execute(select(_state.id).with_for_update(read=True))


def look(connection: Connection) -> Row[Any]:
    """The state, the newest row and the current time, without locks."""
    state = connection.execute(_LOOK).first()
    connection.rollback()
    if state is None:
        raise FatalError(NO_STATE)
    return state


def contradiction(state: Row[Any]) -> str | None:
    """What in the events table contradicts the state, and what to do; None if nothing does."""
    if None not in (state.checksum, state.last_checksum) and state.checksum != state.last_checksum:
        return (
            f"row {state.last_id} of flash_sale_events is not the row that was summed: its ids "
            f"seem to have restarted. If so, {REBUILD}."
        )
    if state.newest is not None and state.newest < state.last_id:
        return (
            f"the newest row of flash_sale_events has the id {state.newest}, but rows up to "
            f"{state.last_id} are summed: rows were deleted, or ids restarted. Rows with "
            f"greater ids will be summed. If ids restarted, {REBUILD}."
        )
    return None


def lock(connection: Connection, seen: Row[Any]) -> bool:
    """Lock the state until the transaction ends; False if another worker locked or moved it."""
    known = [_state[name] for name in _MOVED]
    statement = select(*known, *SESSION).where(_state.id == 1).with_for_update()
    try:
        state = connection.execute(statement).first()
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[0] == _STILL_LOCKED:
            return False
        raise
    if state is None:
        raise FatalError(NO_STATE)
    _require_session(check_session(state), seen.session)
    return all(getattr(state, name) == getattr(seen, name) for name in _MOVED)


def move(connection: Connection, seen: Row[Any], changed: dict[str, Any]) -> None:
    """Change the locked state; if this raises, the caller's transaction is rolled back."""
    moved = connection.execute(
        rollup_state.update()
        .where(_state.id == 1, func.connection_id() == seen.session)
        .where(_state.generation == seen.generation)
        .where(_state.last_id == seen.last_id, _state.mark_id == seen.mark_id)
        .values(changed)
    )
    _require_session(seen.session if moved.rowcount == 1 else 0, seen.session)


def ask(connection: Connection, query: TextClause, session: int, **given: int) -> int | None:
    """Query a number in this session: another server might not have all rows."""
    number, there = connection.execute(query, given).one()
    _require_session(there, session)
    return None if number is None else int(number)


def _require_session(found: int, session: int) -> None:
    if found != session:
        raise another_session("The sales sums cannot be added to")


def wait_for_writes(connection: Connection, session: int) -> None:
    """Wait until each stored offset was seen unlocked: first all together, then one by one."""
    waiting = connection.execute(_OFFSETS).all()
    unlocked = connection.execute(_UNLOCKED).all()
    connection.rollback()
    for there, *_ in {*waiting, *unlocked}:
        _require_session(there, session)
    for _, group, topic, partition in sorted({*waiting} - {*unlocked}):
        try:
            there = connection.scalar(_ONE, {"g": group, "t": topic, "p": partition})
        except DBAPIError as error:
            raise _waits(error, f"a write of {topic}/{partition} is still running") from error
        connection.rollback()
        # A missing row was deleted in the meantime, so it was locked.
        _require_session(session if there is None else there, session)


def settle(connection: Connection, session: int, last: int, upto: int) -> int:
    """Wait until all rows in this range are committed, lock them, and return their number."""
    try:
        return ask(connection, _COUNT, session, last=last, upto=upto) or 0
    except DBAPIError as error:
        what = f"another program has not committed its rows of flash_sale_events above {last}"
        raise _waits(error, what) from error


def _waits(error: DBAPIError, what: str) -> Exception:
    if error.orig is None or error.orig.args[0] != _STILL_LOCKED:
        return error
    return TransientError(f"{what}; the sums wait for it", "lock_wait")


def checksum(row: int) -> ScalarSelect[Any]:
    """A subquery for the checksum by which a row is recognised."""
    name = func.coalesce(flash_sale_events.c.event_id, "")
    return select(func.crc32(name)).where(flash_sale_events.c.id == row).scalar_subquery()


def rehearse(connection: Connection) -> None:
    """Run the roll-up's statements on no rows; the caller rolls back.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused, perhaps because a right is missing.
    """
    join(connection)
    add_sums(connection, 0, 0, -1, connection.scalar(text("SELECT CONNECTION_ID()")) or 0)
