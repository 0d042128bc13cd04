"""The rows of one write, statement by statement: loaded or inserted, and which were refused."""

import re
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection

from db.driver import MySQLError
from db.errors import classify
from db.event_index import is_duplicate
from db.left_out import can_name_rows, insert_but_refused, undo
from db.load import load
from db.rows import insert_statement
from pipeline.errors import RowError, TransientError
from pipeline.stream import Stream

#: Queries which row was refused, in one statement: sent to another session by a proxy, it cannot
#: return an old answer.
_ROW_NUMBER = (
    "BEGIN NOT ATOMIC DECLARE refused INT; "
    "GET DIAGNOSTICS CONDITION 1 refused = ROW_NUMBER; SELECT refused; END"
)
#: What both servers say of a value that does not fit.
_AT_ROW = re.compile(r" at row (\d+)$")


class DuplicateError(Exception):
    """A row's event is stored already: some rows of the write are inserted, and others are not."""


class Insertion:
    """The rows of one write: how many were dealt with, and which of them were refused.

    What is tried, and when, is up to `db.refused_rows`. This speaks to the driver itself: what
    SQLAlchemy does around a statement takes as long as one of few rows takes the server.
    """

    def __init__(
        self,
        connection: Connection,
        stream: Stream,
        session: int,
        alive: Callable[[], None],
        stop_at_duplicate: bool,
    ) -> None:
        self.connection = connection
        self._stream = stream
        self._session = session
        self._alive = alive
        self._stop_at_duplicate = stop_at_duplicate
        self._cursor = connection.connection.cursor()
        self._row = 0
        #: What the database says, by the row's number in the write.
        self.refused: dict[int, str] = {}

    def attempt(self, rows: bytes) -> RowError | None:
        """Insert lines in one statement; if a row is refused, return its error and insert none."""
        try:
            self._cursor.execute(insert_statement(self._stream, rows, self._session))
        except MySQLError as error:
            refusal = self._refusal(error)
            self._look_for_duplicate(str(refusal))
            return refusal
        finally:
            self._alive()
        self._row += rows.count(b"\n") + 1
        return None

    def load(self, pieces: Iterator[bytes]) -> bool:
        """Load all lines of the write except the refused ones; False if none is stored."""
        try:
            refused = load(
                self.connection, self._cursor, self._stream, pieces, self._session, self._alive
            )
        except MySQLError as error:
            self._refusal(error)
            refused = None
        if refused is None:
            self._cursor.execute("ROLLBACK TO SAVEPOINT before_rows")
            return False
        for message in refused.values():
            self._look_for_duplicate(message)
        self.refused = refused
        return True

    def leave_out(self, rows: bytes) -> bool:
        """Insert lines except the refused ones in one statement; False if none was inserted."""
        if not can_name_rows(self.connection):
            return False
        try:
            refused = insert_but_refused(self._cursor, self._stream, rows, self._session)
        except MySQLError as error:
            self._refusal(error)
            undo(self._cursor)
            return False
        finally:
            self._alive()
        if refused is None:
            return False
        for row, message in refused.items():
            self._look_for_duplicate(message)
            self.refused[self._row + row] = message
        self._row += rows.count(b"\n") + 1
        return True

    def _refusal(self, error: MySQLError) -> RowError:
        """The error as one of a row; raised where it is more than that."""
        classified = classify(error)
        if isinstance(classified, RowError):
            return classified
        if isinstance(classified, TransientError) and classified.kind == "connection":
            self.connection.invalidate(error)
        raise error

    def _look_for_duplicate(self, message: str) -> None:
        if self._stop_at_duplicate and is_duplicate(message):
            raise DuplicateError

    def isolate(self, lines: Sequence[bytes], error: RowError) -> int:
        """Insert lines that were refused together, at least up to the first refused one.

        Returns:
            How many were dealt with.
        """
        named = self._named_row(error) if len(lines) > 1 else 0
        if 0 < named <= len(lines):
            self._bisect(lines[: named - 1])
            self._bisect(lines[named - 1 : named])
            return named
        self._bisect(lines, error)
        return len(lines)

    def _bisect(self, lines: Sequence[bytes], error: RowError | None = None) -> None:
        if not lines:
            return
        error = error or self.attempt(b"\n".join(lines))
        if error is None:
            return
        if len(lines) == 1:
            self.refused[self._row] = str(error)
            self._row += 1
            return
        middle = len(lines) // 2
        self._bisect(lines[:middle])
        self._bisect(lines[middle:])

    def _named_row(self, error: RowError) -> int:
        """The number, from 1, of the row that the last statement failed at; 0 if unknown."""
        if found := _AT_ROW.search(str(error)):
            return int(found[1])
        if not can_name_rows(self.connection):
            return 0
        try:
            self._cursor.execute(_ROW_NUMBER)
            [found] = self._cursor.fetchone() or [None]
            return int(found or 0)
        except MySQLError:
            # A proxy that does not pass it on.
            return 0
