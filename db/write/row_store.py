"""Stores the rows of a write, except those that the database refuses, inside one transaction.

Each statement takes the cheapest way that is open to it:

1. ``LOAD DATA LOCAL``, where the server takes lines;
2. ``INSERT … VALUES``, where no row was refused lately;
3. ``INSERT IGNORE``, where some were;
4. ``INSERT … VALUES`` of fewer and fewer rows, until a row is refused alone.

The first and the third count only where `db.write.proof` proves what they stored; otherwise they
are undone, and these rows take the next way. How large a statement is follows how long the ones
before took, how many rows were refused, and whether one was ended from outside: so a write that
failed is smaller when it is repeated. All of that is remembered from write to write.

Rows are stored in order, so of two that exclude each other the first one stays.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from time import monotonic
from typing import NamedTuple, TypeAlias

from db.connection.driver import MySQLError
from db.connection.errors import classify
from db.write import insert_ignore, insert_values, load_data
from db.write.lines import Lines, count
from db.write.pace import SECONDS, Pace
from db.write.proof import Unproven, can_prove, refused_rows
from db.write.transaction import Transaction
from pipeline.chunk import Chunk
from pipeline.errors import TOO_LARGE, RowError, TransientError

#: Bytes of lines in one load, at first and at most.
LOAD_BYTES, MOST_LOAD_BYTES = 1_000_000, 4_000_000
#: Bytes of lines in one insert: some hundred rows, enough to make its fixed cost vanish. Larger
#: ones are parsed more slowly, and copies of more than ``pipeline.memory.LARGE`` cost page faults.
INSERT_BYTES = 60_000
#: Rows of an insert while hardly any are refused: more than any statement has.
_MANY = 1 << 20
#: Refused rows that a lenient statement should have at most: half of what can be proven.
_FEW = 500

#: What the database says of refused rows, by the row's index.
Refused: TypeAlias = dict[int, str]


class Stored(NamedTuple):
    """What became of a write's chunks: their rows are stored, but those refused, chunk by chunk."""

    chunks: Sequence[Chunk]
    refused: Sequence[Mapping[int, str]]


class RowStore:
    """Stores the rows of writes, one write after the other."""

    def __init__(self) -> None:
        self._loads = Pace(LOAD_BYTES, MOST_LOAD_BYTES)
        self._ignores = Pace(INSERT_BYTES, INSERT_BYTES)
        self._inserts = Pace(INSERT_BYTES, INSERT_BYTES)
        self._paces = self._loads, self._ignores, self._inserts
        #: Rows of an insert while some are refused.
        self._group = _MANY
        #: Whether rows of the last statement were refused.
        self._refusing = False
        #: Whether the next statement of a write is a load; after a write, whether its last one was.
        self.is_loading = False

    def store(
        self,
        transaction: Transaction,
        chunks: Sequence[Chunk],
        check: Callable[[str], None] = lambda message: None,
    ) -> Stored:
        """Store the valid rows of the chunks, in order, but those the database refuses.

        Args:
            transaction: of the write.
            chunks: whose rows; all of one stream.
            check: called with what the database says of each refused row; may raise.

        Raises:
            pymysql.err.MySQLError: the server refused more than a row, or is gone; the transaction
                must be rolled back.
            TransientError: the server has ended the transaction; nothing of it is stored.
        """
        transaction.savepoint("before_rows")
        self.is_loading = self._loads.take_turn() and load_data.is_taken(transaction)

        def store_piece(piece: bytes) -> Refused:
            found = self._store(transaction, piece)
            for message in found.values():
                check(message)
            return found

        lines = Lines(chunk.rows for chunk in chunks)
        refused = _piecewise(lines, lambda: self._limit(transaction), store_piece)
        if refused:
            transaction.require_open("before_rows")
        for pace in self._paces:
            pace.end_write()
        return Stored(chunks, _by_chunk(refused, chunks))

    def _limit(self, transaction: Transaction) -> int:
        if self.is_loading:
            return self._loads.size
        size = min(self._inserts.size, self._ignores.size) if self._refusing else self._inserts.size
        # A quotation mark is doubled, and hexadecimal digits are two for each byte.
        return min(size, transaction.packet // 3)

    def _store(self, transaction: Transaction, piece: bytes) -> Refused:
        way = self._load if self.is_loading else self._insert
        begun = monotonic()
        try:
            found = way(transaction, piece)
        except MySQLError as error:
            self._broken(error, len(piece), monotonic() - begun)
            raise
        if found is not None:
            return found
        # Not proven: in smaller pieces it may be, and these are too many lines for another way.
        self.is_loading = self.is_loading and not self._loads.is_paused
        return _piecewise(
            Lines([piece]), lambda: self._limit(transaction), partial(self._store, transaction)
        )

    def _load(self, transaction: Transaction, lines: bytes) -> Refused | None:
        return self._prove(transaction, lines, load_data.send, self._loads)

    def _insert(self, transaction: Transaction, lines: bytes) -> Refused | None:
        begun = monotonic()
        error: RowError | None = None
        found: Refused | None = None
        if not self._refusing:
            error = insert_values.attempt(transaction, lines)
            found = None if error else {}
            self._refusing = found is None
        if found is None and self._ignores.take_turn():
            found = self._prove(transaction, lines, insert_ignore.send, self._ignores)
            if found is None and not self._ignores.is_paused:
                return None
        if found is None:
            found = self._split(transaction, lines, error)
        self._inserts.proven(len(lines), monotonic() - begun)
        self._refusing = bool(found)
        return found

    def _prove(
        self,
        transaction: Transaction,
        lines: bytes,
        send: Callable[[Transaction, bytes], None],
        pace: Pace,
    ) -> Refused | None:
        """Store lines by a lenient statement; None where that is not proven, and undone."""
        if not can_prove(transaction):
            pace.unproven()
            return None
        transaction.savepoint("before_statement")
        begun = monotonic()
        try:
            send(transaction, lines)
            refused = refused_rows(transaction, lines)
        except (MySQLError, Unproven) as error:
            if isinstance(error, MySQLError) and not _is_about_statement(error):
                raise
            transaction.rollback_to("before_statement")
            pace.unproven(len(lines) * getattr(error, "share", 0.0))
            return None
        most = len(lines) * _FEW / max(1, len(refused))
        pace.proven(len(lines), monotonic() - begun, most)
        return refused

    def _broken(self, error: MySQLError, size: int, seconds: float) -> None:
        """A statement was ended from outside: where it took long or was killed, each way's next one
        is smaller. A connection that is merely lost says nothing about the size."""
        if seconds > SECONDS or getattr(classify(error), "kind", "") in ("interrupted", TOO_LARGE):
            for pace in self._paces:
                pace.broken(size, seconds)

    def _split(self, transaction: Transaction, lines: bytes, error: RowError | None) -> Refused:
        """Insert groups of rows that become smaller the more are refused."""
        rows = lines.split(b"\n")
        refused: Refused = {}
        done = 0
        while done < len(rows):
            group = rows[done : done + self._group]
            whole = error if len(group) == len(rows) else None
            found = insert_values.split(transaction, group, whole)
            refused |= {done + row: message for row, message in found.items()}
            done += len(group)
            fewer = len(group) // 3 // len(found) if found else 2 * self._group
            self._group = max(1, min(_MANY, fewer))
        return refused


def _piecewise(
    lines: Lines, limit: Callable[[], int], store: Callable[[bytes], Refused]
) -> Refused:
    """Store lines piece by piece, each within the limit of its time."""
    refused: Refused = {}
    done = 0
    while lines:
        piece = lines.take(limit())
        refused |= {done + row: message for row, message in store(piece).items()}
        done += count(piece)
    return refused


def _is_about_statement(error: MySQLError) -> bool:
    """Whether another way may store what this statement could not: a row's fault, or a server or
    proxy that does not take such statements, in whatever words."""
    found = classify(error)
    return isinstance(found, RowError) or (
        isinstance(found, TransientError) and found.kind in ("other", "cluster")
    )


def _by_chunk(refused: Mapping[int, str], chunks: Sequence[Chunk]) -> list[Refused]:
    found: list[Refused] = [{} for _ in chunks]
    ends = list(accumulate(chunk.valid for chunk in chunks))
    for number, detail in refused.items():
        place = bisect_right(ends, number)
        found[place][number - (ends[place] - chunks[place].valid)] = detail
    return found
