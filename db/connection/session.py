"""Fencing: all statements of a write run in one database session, with the variables we set.

A proxy may send single statements to other sessions, or reset a session's variables. Rows could
then be stored without their offsets, or offsets without their rows. So the statement that locks
the offsets also reads the session's id and variables, and every insert of the write, including the
one that moves the offsets, fails in any other session. This costs no round trip.
"""

from typing import Any

from sqlalchemy import ColumnElement, Row, func, literal_column

from db.connection.errors import ONE_SESSION
from pipeline.errors import FatalError

#: Fails when evaluated, with an error that our statements never cause otherwise (1242).
_FAILURE = "(SELECT 1 UNION SELECT 2)"
#: Fails even in INSERT IGNORE, where 1242 may be only a warning (1690).
LENIENT_FAILURE = "~0 + CONNECTION_ID()"

#: A session's id, the variables that were set when it was opened, and its packet limit.
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
        row: a result with the columns ``SESSION``.

    Returns:
        The session's id (``CONNECTION_ID()``).

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
    """The error for a statement that ran in another session; ``what`` says what failed."""
    return FatalError(f"{what}: the statement ran in another session. {ONE_SESSION}.")


def fenced_sql(session: int | str, expression: str, failure: str = _FAILURE) -> str:
    """The SQL expression, changed to fail (error 1242) in every other session."""
    return f"IF(CONNECTION_ID()={session},{expression},{failure})"


def fenced(session: int, value: Any) -> ColumnElement[Any]:
    """Like ``fenced_sql``, for a value that is sent as a parameter."""
    here = func.connection_id() == session
    return func.if_(here, value, literal_column(_FAILURE))
