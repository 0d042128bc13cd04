"""Round trips that a connection of the pool is spared while it is in use.

The pool asks a connection whether it is alive each time it hands it out, and rolls back each time
it comes back. A write under load does both ten times a second, and behind a network each takes as
long as the way there and back. So a connection that answered just now is not asked, and after a
COMMIT nothing is rolled back.
"""

from time import monotonic
from typing import Any

from pymysql.constants import SERVER_STATUS
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import InvalidatePoolError

from db.connection.driver import MySQLError

#: Seconds for which a connection that was used is taken to be alive.
TRUSTED = 1.0

_USED, _IS_OPEN = "used", "is_open"


def spare_round_trips(engine: Engine) -> None:
    """Do these things only where they are needed; the engine's pool must do neither itself."""
    event.listen(engine, "begin", _note_begin)
    event.listen(engine, "commit", _note_end)
    event.listen(engine, "rollback", _note_end)
    event.listen(engine, "reset", _reset)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _see_alive)


def _note_begin(connection: Connection) -> None:
    connection.info[_IS_OPEN] = True


def _note_end(connection: Connection) -> None:
    if not connection.invalidated:
        connection.info[_IS_OPEN] = False


def _reset(connection: Any, record: Any, _state: Any) -> None:
    # The end is noted before the server has answered: so the server's word is asked for as well.
    in_transaction = connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
    if in_transaction or record.info.get(_IS_OPEN, True):
        connection.rollback()


def _note_use(_connection: Any, record: Any) -> None:
    record.info[_USED] = monotonic()


def _see_alive(connection: Any, record: Any, _proxy: Any) -> None:
    used = record.info.get(_USED)
    if used is None or monotonic() - used < TRUSTED:
        return
    try:
        connection.ping(reconnect=False)
    except MySQLError as error:
        # The pool connects again, and asks all other connections that are as old.
        raise InvalidatePoolError from error
