"""The transaction of a write, as the ways of storing rows see it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from db.connection.driver import MySQLError
from db.connection.errors import classify
from pipeline.errors import RowError, TransientError
from pipeline.stream import Stream

#: The server's code for a savepoint that is gone, which it is with its transaction.
_NO_SAVEPOINT = 1305


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
    """

    connection: Connection
    stream: Stream
    session: int
    packet: int
    alive: Callable[[], None] = lambda: None
    cursor: Any = field(init=False)

    def __post_init__(self) -> None:
        self.cursor = self.connection.connection.cursor()

    def execute(self, statement: str) -> None:
        """Run a statement.

        Raises:
            pymysql.err.MySQLError: the server refused it, or is gone.
        """
        try:
            self.cursor.execute(statement)
        except MySQLError as error:
            found = classify(error)
            if isinstance(found, TransientError) and found.kind == "connection":
                self.connection.invalidate(error)
            raise
        finally:
            self.alive()

    def attempt(self, statement: str) -> RowError | None:
        """Run a statement that stores all of its rows or none.

        Returns:
            The error where it blames a row: then nothing is stored.

        Raises:
            pymysql.err.MySQLError: another error.
        """
        try:
            self.execute(statement)
        except MySQLError as error:
            found = classify(error)
            if isinstance(found, RowError):
                return found
            raise
        return None

    def query(self, statement: str) -> Any:
        """All rows of a query's answer.

        Raises:
            pymysql.err.MySQLError: the server refused it, or is gone.
        """
        self.execute(statement)
        return self.cursor.fetchall()

    def savepoint(self, name: str) -> None:
        """Make a savepoint, in place of an earlier one of that name."""
        self.execute(f"SAVEPOINT {name}")

    def rollback_to(self, name: str) -> None:
        """Undo what was done since a savepoint.

        Raises:
            TransientError: the server has ended the transaction; nothing of it is stored.
        """
        self._of_savepoint(f"ROLLBACK TO SAVEPOINT {name}")

    def require_open(self, name: str) -> None:
        """Verify by a savepoint that a refused statement has not ended the transaction.

        Raises:
            TransientError: it has; nothing is stored.
        """
        self._of_savepoint(f"RELEASE SAVEPOINT {name}")

    def _of_savepoint(self, statement: str) -> None:
        try:
            self.execute(statement)
        except MySQLError as error:
            if error.args[:1] == (_NO_SAVEPOINT,):
                raise TransientError(
                    "The server ended a transaction in which it had refused a row: nothing of it "
                    "is stored."
                ) from error
            raise
