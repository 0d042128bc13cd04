"""Saves the connection pool's round trips.

By default the pool pings a connection at each checkout and rolls back at each return. Under load
both happen ten times a second, and each is a round trip. Here a connection that was used a moment
ago is not pinged, and nothing is rolled back after a COMMIT.
"""

from time import monotonic
from typing import Any

from pymysql.constants import SERVER_STATUS
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import InvalidatePoolError

from db.connection.driver import MySQLError

#: Seconds after its last use during which a connection counts as alive.
TRUSTED = 1.0

#: Seconds that a ping may take. Its server may be gone without a trace, as when a name has moved to
#: another one, and a statement may take several times as long.
PING_TIMEOUT = 5

_USED, _IS_OPEN = "used", "is_open"


def spare_round_trips(engine: Engine) -> None:
    """Ping and roll back only when needed; the engine's pool must do neither itself."""
    event.listen(engine, "begin", _note_begin)
    event.listen(engine, "commit", _note_end)
    event.listen(engine, "rollback", _note_end)
    event.listen(engine, "reset", _reset)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _require_alive)


def _note_begin(connection: Connection) -> None:
    connection.info[_IS_OPEN] = True


def _note_end(connection: Connection) -> None:
    if not connection.invalidated:
        connection.info[_IS_OPEN] = False


def _reset(connection: Any, record: Any, _state: Any) -> None:
    # SQLAlchemy reports the end before the server has answered, so check the server's status too.
    in_transaction = connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
    if in_transaction or record.info.get(_IS_OPEN, True):
        try:
            connection.rollback()
        except MySQLError as error:
            # A Galera node that has lost its quorum refuses even this, on a connection that lives.
            # Raised, it would be a traceback in the log.
            record.invalidate(error)


def _note_use(_connection: Any, record: Any) -> None:
    record.info[_USED] = monotonic()


def _require_alive(connection: Any, record: Any, _proxy: Any) -> None:
    used = record.info.get(_USED)
    if used is None or monotonic() - used < TRUSTED:
        return
    try:
        _ping(connection)
    except MySQLError as error:
        # The pool reconnects, and replaces all other connections that are as old.
        raise InvalidatePoolError from error


def _ping(connection: Any) -> None:
    usual = connection._read_timeout
    connection._read_timeout = PING_TIMEOUT
    try:
        connection.ping(reconnect=False)
    finally:
        connection._read_timeout = usual
