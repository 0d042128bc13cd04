"""Inserting rows of which the database may refuse some, inside one transaction.

A statement that fails because of a row is undone by itself, and the transaction stays open: that
holds for all codes of `RowError`, and a savepoint verifies it afterwards. So a refused group
of rows is split, around the row the server names or else in two, until a single row is refused by
itself. Only such a row is left out: the row a server names is no more than a hint, because within a
trigger it counts the rows of the trigger's own statements.

If the server can prove which rows it leaves out, one statement is enough for most kinds of refusals
(`db.left_out`).

Rows are inserted in order, so of two that exclude each other the first one stays. How many go into
one statement follows the share that is refused, and is remembered from write to write.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from db.driver import MySQLError
from db.errors import classify
from db.event_index import is_duplicate
from db.left_out import can_name_rows, insert_but_refused, undo
from db.load import LOAD_BYTES, can_load, load
from db.rows import insert_statement, statements
from pipeline.chunk import Chunk
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

#: MySQL's code for a savepoint that is gone, which it is with its transaction.
_NO_SAVEPOINT = 1305

#: Rows of a statement at most while hardly any are refused: more than any statement has.
_MANY = 1 << 20

#: Factor by which a statement that leaves rows out may be larger: naming rows gets ever slower.
_NAMED = 64

#: Statements to skip after the server proved nothing: at first, and at most.
_SHORT_PAUSE, _LONG_PAUSE = 4, 1024


class DuplicateError(Exception):
    """A row's event is stored already: some rows of the write are inserted, and others are not."""


class RowInserter:
    """Inserts the rows of writes, one write after the other."""

    def __init__(self) -> None:
        self._size = _MANY
        self._loads = _Chances()
        self._proofs = _Chances()

    def insert(
        self,
        connection: Connection,
        chunks: Sequence[Chunk],
        limit: int,
        session: int,
        alive: Callable[[], None] = lambda: None,
        *,
        stop_at_duplicate: bool = False,
    ) -> list[dict[int, str]]:
        """Insert the valid rows of the chunks, in order, but those the database refuses.

        Args:
            connection: in the transaction of the write.
            chunks: whose rows; at least one, and all of one stream.
            limit: bytes of JSON in one statement.
            session: of that transaction; in any other one nothing is inserted.
            alive: called after each statement, as a sign of life.
            stop_at_duplicate: whether a row that the index over event ids refuses is an error.

        Returns:
            For each chunk, what the database says of its refused rows, by the row's index.

        Raises:
            pymysql.err.MySQLError: the server refused more than a row; the transaction must be
                rolled back.
            TransientError: the server has ended the transaction; nothing of it is stored.
            DuplicateError: there is such a row.
        """
        connection.exec_driver_sql("SAVEPOINT before_rows")
        found = _Insertion(connection, chunks[0].stream, session, alive, stop_at_duplicate)
        if not self._load(found, chunks):
            for rows in statements(chunks, limit):
                self._insert(found, rows)
        if found.refused:
            _see_same_transaction(connection)
        return _by_chunk(found.refused, chunks)

    def _load(self, found: "_Insertion", chunks: Sequence[Chunk]) -> bool:
        """Load all rows, where the server takes that and refuses none."""
        if self._loads.is_paused or not can_load(found.connection):
            return False
        loaded = found.load(statements(chunks, LOAD_BYTES))
        self._loads.note(loaded)
        return loaded

    def _insert(self, found: "_Insertion", rows: bytes) -> None:
        error = None
        count = rows.count(b"\n") + 1
        if count <= self._size:
            error = found.attempt(rows)
            if error is None:
                self._adapt(count, 0)
                return
        lines = rows.split(b"\n")
        done = 0
        while done < len(lines):
            group = lines[done : done + _NAMED * self._size]
            if self._leave_out(found, group):
                done += len(group)
                error = None
                continue
            group = lines[done : done + self._size]
            error = error or found.attempt(b"\n".join(group))
            if error is None:
                done += len(group)
                self._adapt(len(group), 0)
            else:
                before = len(found.refused)
                done += found.isolate(group, error)
                # None where the server named a row that is not at fault.
                self._adapt(len(group), max(1, len(found.refused) - before))
                error = None

    def _adapt(self, rows: int, refused: int) -> None:
        """Let the size of statements follow how many of so many rows were refused."""
        self._size = max(1, rows // 3 // refused) if refused else min(_MANY, 2 * self._size)

    def _leave_out(self, found: "_Insertion", lines: Sequence[bytes]) -> bool:
        """Insert lines but the refused ones, where the server can prove which ones those are."""
        if self._proofs.is_paused:
            return False
        before = len(found.refused)
        proven = found.leave_out(b"\n".join(lines))
        self._proofs.note(proven)
        if proven:
            self._adapt(len(lines), len(found.refused) - before)
        return proven


class _Chances:
    """When to try again what may have failed, more and more seldom."""

    def __init__(self) -> None:
        self._pause = _SHORT_PAUSE
        self._left = 0

    @property
    def is_paused(self) -> bool:
        """Whether to leave it now; each asking counts."""
        self._left -= 1
        return self._left >= 0

    def note(self, worked: bool) -> None:
        """Note how it went."""
        if worked:
            self._pause, self._left = _SHORT_PAUSE, 0
        else:
            self._left, self._pause = self._pause, min(_LONG_PAUSE, 2 * self._pause)


class _Insertion:
    """The rows of one write: how many were dealt with, and which of them were refused.

    It speaks to the driver itself: what SQLAlchemy does around a statement takes as long as one of
    few rows takes the server.
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
        """Load all lines of the write; False if none is stored."""
        try:
            loaded = load(
                self.connection, self._cursor, self._stream, pieces, self._session, self._alive
            )
        except MySQLError as error:
            self._refusal(error)
            loaded = False
        if not loaded:
            self._cursor.execute("ROLLBACK TO SAVEPOINT before_rows")
        return loaded

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


def _see_same_transaction(connection: Connection) -> None:
    """Verify that no refused statement has ended the transaction, which would undo earlier rows."""
    try:
        connection.exec_driver_sql("RELEASE SAVEPOINT before_rows")
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[:1] == (_NO_SAVEPOINT,):
            raise TransientError(
                "The server ended a transaction in which it had refused a row: nothing of it is "
                "stored."
            ) from error
        raise


def _by_chunk(refused: Mapping[int, str], chunks: Sequence[Chunk]) -> list[dict[int, str]]:
    found: list[dict[int, str]] = [{} for _ in chunks]
    ends = list(accumulate(chunk.valid for chunk in chunks))
    for number, detail in refused.items():
        place = bisect_right(ends, number)
        found[place][number - (ends[place] - chunks[place].valid)] = detail
    return found
