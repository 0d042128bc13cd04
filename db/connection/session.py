"""Fencing: all statements of a write run in one session of the server, and as it was set up.

A proxy between worker and database may send single statements to other sessions, or reset a
session's variables. Then rows could be stored without their offsets, or offsets without their rows.
So the statement that locks the offsets also reads the session, and every insert of a write, the one
that moves the offsets included, fails in any other one. None of this costs a round trip.
"""

from typing import Any

from sqlalchemy import ColumnElement, Row, func, literal_column

from db.connection.errors import ONE_SESSION
from pipeline.errors import FatalError

#: Fails when evaluated, with an error that none of our statements has otherwise (1242).
_FAILURE = "(SELECT 1 UNION SELECT 2)"
#: Fails in a lenient statement, too, where the other one's error may be only a warning (1690).
LENIENT_FAILURE = "~0 + CONNECTION_ID()"

#: A session's id, the variables set when it was opened, and its limit for a statement.
SESSION: tuple[ColumnElement[Any], ...] = tuple(
    literal_column(expression).label(name)
    for name, expression in (
        ("session", "CONNECTION_ID()"),
        ("sql_mode", "@@SESSION.sql_mode"),
        ("time_zone", "@@SESSION.time_zone"),
        ("autocommit", "@@SESSION.autocommit"),
        ("packet", "@@SESSION.max_allowed_packet"),
    )
)


def check_session(row: Row[Any]) -> int:
    """Verify that a session is strict, in UTC and in a transaction.

    Args:
        row: one that has the columns ``SESSION``.

    Returns:
        The session's number (``CONNECTION_ID()``).

    Raises:
        FatalError: it is not.
    """
    if "STRICT_ALL_TABLES" in row.sql_mode and row.time_zone == "+00:00" and not row.autocommit:
        return int(row.session)
    raise FatalError(
        f"The database session is not what the worker asked for: sql_mode is {row.sql_mode!r}, "
        f"time_zone {row.time_zone!r}, autocommit {row.autocommit}. {ONE_SESSION}."
    )


def another_session(what: str) -> FatalError:
    """The error of a statement that did not reach its session; ``what`` could not be done."""
    return FatalError(f"{what}: the statement ran in another session. {ONE_SESSION}.")


def fenced_sql(session: int | str, expression: str, failure: str = _FAILURE) -> str:
    """The SQL expression, which fails (error 1242) in any session but this one."""
    return f"IF(CONNECTION_ID()={session},{expression},{failure})"


def fenced(session: int, value: Any) -> ColumnElement[Any]:
    """The value as ``fenced_sql`` has it, to be sent as a parameter."""
    here = func.connection_id() == session
    return func.if_(here, value, literal_column(_FAILURE))
