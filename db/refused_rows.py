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

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from time import monotonic

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from db.insertion import Insertion
from db.load import (
    FEW_NAMED,
    LEAST_BYTES,
    LOAD_BYTES,
    LOAD_SECONDS,
    MOST_BYTES,
    can_load,
)
from db.rows import statements
from pipeline.chunk import Chunk
from pipeline.errors import TransientError

#: MySQL's code for a savepoint that is gone, which it is with its transaction.
_NO_SAVEPOINT = 1305

#: Rows of a statement at most while hardly any are refused: more than any statement has.
_MANY = 1 << 20

#: Factor by which a statement that leaves rows out may be larger: naming rows gets ever slower.
_NAMED = 64

#: Statements to skip after the server proved nothing: at first, and at most.
_SHORT_PAUSE, _LONG_PAUSE = 4, 1024


class RowInserter:
    """Inserts the rows of writes, one write after the other."""

    def __init__(self) -> None:
        self._size = _MANY
        self._load_bytes = LOAD_BYTES
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
        found = Insertion(connection, chunks[0].stream, session, alive, stop_at_duplicate)
        if not self._load(found, chunks):
            for rows in statements(chunks, limit):
                self._insert(found, rows)
        if found.refused:
            _see_same_transaction(connection)
        return _by_chunk(found.refused, chunks)

    def _load(self, found: Insertion, chunks: Sequence[Chunk]) -> bool:
        """Load all rows but the refused ones, where the server proves which ones those are."""
        if self._loads.is_paused or not can_load(found.connection):
            return False
        begun = monotonic()
        loaded = found.load(statements(chunks, self._load_bytes))
        size = sum(len(chunk.rows) for chunk in chunks)
        in_time = LOAD_SECONDS * size / max(monotonic() - begun, 0.001)
        to_name = size * FEW_NAMED / max(1, len(found.refused))
        wanted = min(MOST_BYTES, in_time, to_name) if loaded else 0
        self._load_bytes = max(LEAST_BYTES, int(wanted))
        self._loads.note(loaded)
        return loaded

    def _insert(self, found: Insertion, rows: bytes) -> None:
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

    def _leave_out(self, found: Insertion, lines: Sequence[bytes]) -> bool:
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
