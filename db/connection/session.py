"""One session of the server for all statements of a write, with the variables we set.

A proxy may send single statements to other sessions, or reset a session's variables. Rows could
then be stored without their offsets, or offsets without their rows. So the statement that locks
the offsets also reads the session's id and variables, and every insert of the write, including the
one that moves the offsets, is fenced: it fails in any other session. This costs no round trip.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, literal_column

from db.connection.driver import MySQLError
from db.connection.errors import ONE_SESSION, classify
from pipeline.errors import FatalError, TransientError
from pipeline.stream import Stream

#: Fails when evaluated, with an error that our statements never cause otherwise (1242).
_FAILURE = "(SELECT 1 UNION SELECT 2)"
#: Fails even where 1242 may be only a warning: in INSERT IGNORE and LOAD DATA LOCAL (1690).
_LENIENT_FAILURE = "~0 + CONNECTION_ID()"

#: The server's code for a savepoint that is gone, which it is with its transaction.
_NO_SAVEPOINT = 1305

_T = TypeVar("_T")

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


def fenced_sql(session: int | str, expression: str, *, lenient: bool = False) -> str:
    """The SQL expression, changed to fail in every other session.

    Args:
        session: the session's id, or an SQL expression for it.
        expression: of a row's first column.
        lenient: whether the statement stores what it can; it then fails with error 1690, else 1242.
    """
    failure = _LENIENT_FAILURE if lenient else _FAILURE
    return f"IF(CONNECTION_ID()={session},{expression},{failure})"


@dataclass
class Transaction:
    """An open transaction on one connection.

    This speaks to the driver itself: what SQLAlchemy does around a statement takes as long as one
    of few rows takes the server.

    Args:
        connection: in the transaction.
        stream: whose rows are stored.
        session: what the server's ``CONNECTION_ID()`` said when it began; in any other session
            nothing is stored.
        packet: bytes that the server takes in one statement.
        alive: called after each statement, as a sign of life.

    ``worked``: seconds that its statements took beyond a round trip each, which is as long as the
    quickest of them took: a far server is no busy one.
    """

    connection: Connection
    stream: Stream
    session: int
    packet: int
    alive: Callable[[], None] = lambda: None
    cursor: Any = field(init=False)
    worked: float = field(init=False, default=0.0)
    _round_trip: float = field(init=False, default=math.inf)

    def __post_init__(self) -> None:
        self.cursor = self.connection.connection.cursor()

    def execute(self, statement: str | bytes, trips: int = 1) -> Any:
        """Run a statement, bytes being UTF-8; return all rows of its answer.

        Args:
            statement: SQL.
            trips: how often the server is answered until it is done.

        Raises:
            pymysql.err.MySQLError: the server refused it, or is gone.
        """
        begun = monotonic()
        try:
            self.cursor.execute(statement)
        except MySQLError as error:
            found = classify(error)
            if isinstance(found, TransientError) and found.kind == "connection":
                self.connection.invalidate(error)
            raise
        finally:
            took = monotonic() - begun
            self._round_trip = min(self._round_trip, took / trips)
            self.worked += took - trips * self._round_trip
            self.alive()
        return self.cursor.fetchall()

    def once(self, ask: "Callable[[Transaction], _T]") -> _T:
        """What a function answers of this session, asked once."""
        known: dict[Any, Any] = self.connection.info
        if ask not in known:
            known[ask] = ask(self)
        answer: _T = known[ask]
        return answer

    def savepoint(self, name: str) -> None:
        """Make a savepoint, in place of an earlier one of that name."""
        self.execute(f"SAVEPOINT {name}")

    def rollback_to(self, name: str) -> None:
        """Undo what was done since a savepoint.

        Raises:
            TransientError: the server has ended the transaction; nothing of it is stored.
        """
        self._use(name, "ROLLBACK TO")

    def require_open(self, name: str) -> None:
        """Verify by a savepoint that a rejected statement has not ended the transaction.

        Raises:
            TransientError: it has; nothing is stored.
        """
        self._use(name, "RELEASE")

    def _use(self, name: str, verb: str) -> None:
        try:
            self.execute(f"{verb} SAVEPOINT {name}")
        except MySQLError as error:
            if error.args[:1] == (_NO_SAVEPOINT,):
                raise TransientError(
                    "The server ended a transaction in which it had rejected a row: nothing of it "
                    "is stored."
                ) from error
            raise
