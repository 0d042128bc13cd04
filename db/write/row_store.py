"""Stores the rows of a write, except those that the database rejects, inside one transaction.

Each statement takes the cheapest way that is open to it:

1. ``LOAD DATA LOCAL``, where the server takes lines;
2. ``INSERT … VALUES``, where no row was rejected lately;
3. ``INSERT IGNORE``, where some were;
4. ``INSERT … VALUES`` of fewer and fewer rows, until a row is rejected alone.

The first and the third count only where `db.write.lenient` proves what they stored; otherwise they
are undone, and these rows take the next way. How large a statement is follows how long the ones
before took, how many rows were rejected, and whether one was ended from outside: so a write that
failed is smaller when it is repeated. All of that is remembered from write to write.

Rows are stored in order, so of two that exclude each other the first one stays.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import NamedTuple, TypeAlias

from db.connection.driver import MySQLError
from db.connection.errors import classify
from db.connection.session import Transaction
from db.write import insert_values, lenient
from pipeline.chunk import Chunk
from pipeline.errors import TOO_LARGE, RowError

#: Bytes of lines in one load, at first and at most.
LOAD_BYTES, MOST_LOAD_BYTES = 1_000_000, 4_000_000
#: Bytes of lines in one insert: a thousand rows, enough to make its fixed cost vanish. Larger
#: ones are parsed more slowly, and copies of more than ``pipeline.memory.LARGE`` cost page faults.
INSERT_BYTES = 100_000
#: Rows of an insert while hardly any are rejected: more than any statement has.
_MANY = 1 << 20
#: Rejected rows that a lenient statement should have at most: half of what can be proven.
_FEW = 500
#: Seconds that a statement should take at most: each is a sign of life to those who watch the
#: worker, and others wait for its locks. The way to the server and back is not counted: it takes as
#: long for one row.
_SECONDS = 0.5
#: Turns that a way skips after nothing was proven: at first, and at most.
_SHORT_PAUSE, _LONG_PAUSE = 4, 1024

#: What the database says of rejected rows, by the row's index.
Refused: TypeAlias = dict[int, str]


class Stored(NamedTuple):
    """What became of a write's chunks: their rows are stored, but those rejected, by chunk."""

    chunks: Sequence[Chunk]
    refused: Sequence[Mapping[int, str]]


class RowStore:
    """Stores the rows of writes, one write after the other."""

    def __init__(self) -> None:
        self._loads = _Pace(LOAD_BYTES, MOST_LOAD_BYTES)
        self._ignores = _Pace(INSERT_BYTES, INSERT_BYTES)
        self._inserts = _Pace(INSERT_BYTES, INSERT_BYTES)
        self._paces = self._loads, self._ignores, self._inserts
        #: Rows of an insert while some are rejected.
        self._group = _MANY
        #: Whether rows of the last statement were rejected.
        self._refusing = False
        #: Whether the next statement of a write is a load; after a write, whether its last one was.
        self.is_loading = False

    def store(
        self,
        transaction: Transaction,
        chunks: Sequence[Chunk],
        check: Callable[[str], None] = lambda message: None,
    ) -> Stored:
        """Store the valid rows of the chunks, in order, but those the database rejects.

        Args:
            transaction: of the write.
            chunks: whose rows; all of one stream.
            check: called with what the database says of each rejected row; may raise.

        Raises:
            pymysql.err.MySQLError: the server rejected more than a row, or is gone; the transaction
                must be rolled back.
            TransientError: the server has ended the transaction; nothing of it is stored.
        """
        self.is_loading = self._loads.take_turn() and transaction.once(lenient.can_load)
        transaction.savepoint("before_rows")
        refused = self._store(transaction, (chunk.rows for chunk in chunks), check)
        if refused:
            transaction.require_open("before_rows")
        for pace in self._paces:
            pace.end_write()
        return Stored(chunks, _by_chunk(refused, chunks))

    def _store(
        self, transaction: Transaction, texts: Iterable[bytes], check: Callable[[str], None]
    ) -> Refused:
        def store(piece: bytes) -> Refused:
            found = self._store_piece(transaction, piece)
            if found is None:
                # Not proven: smaller ones may be, and these are too many lines for another way.
                self.is_loading = self.is_loading and not self._loads.is_paused
                return self._store(transaction, [piece], check)
            for message in found.values():
                check(message)
            return found

        return _piecewise(pieces(texts, lambda: self._limit(transaction)), store)

    def _limit(self, transaction: Transaction) -> int:
        if self.is_loading:
            return self._loads.size
        size = self._inserts.size
        if self._refusing:
            size = min(size, self._ignores.size)
        # A quotation mark is doubled, and hexadecimal digits are two for each byte.
        return min(size, transaction.packet // 3)

    def _store_piece(self, transaction: Transaction, piece: bytes) -> Refused | None:
        begun = transaction.worked
        try:
            if self.is_loading:
                return self._prove(transaction, piece, lenient.load, self._loads)
            return self._insert(transaction, piece)
        except MySQLError as error:
            self._broken(error, len(piece), transaction.worked - begun)
            raise

    def _insert(self, transaction: Transaction, lines: bytes) -> Refused | None:
        begun = transaction.worked
        error: RowError | None = None
        if not self._refusing:
            error = insert_values.attempt(transaction, lines)
            self._refusing = error is not None
        found: Refused | None = None if self._refusing else {}
        if found is None and self._ignores.take_turn():
            found = self._prove(transaction, lines, lenient.ignore, self._ignores)
            if found is None and not self._ignores.is_paused:
                return None
        if found is None:
            found = self._split(transaction, lines, error)
        self._inserts.proven(len(lines), transaction.worked - begun)
        self._refusing = bool(found)
        return found

    def _prove(
        self,
        transaction: Transaction,
        lines: bytes,
        send: Callable[[Transaction, bytes], None],
        pace: "_Pace",
    ) -> Refused | None:
        """Store lines by a lenient statement; None where that is not proven, and undone."""
        begun = transaction.worked
        try:
            found = lenient.store(transaction, lines, send)
        except lenient.Unproven as error:
            pace.unproven(len(lines) * error.share)
            return None
        pace.proven(len(lines), transaction.worked - begun, len(lines) * _FEW / max(1, len(found)))
        return found

    def _split(self, transaction: Transaction, lines: bytes, error: RowError | None) -> Refused:
        """Insert groups of rows that become smaller the more are rejected."""

        def groups() -> Iterator[bytes]:
            rows = iter(lines.split(b"\n"))
            while group := b"\n".join(islice(rows, self._group)):
                yield group

        def insert(group: bytes) -> Refused:
            found = insert_values.split(transaction, group, error if group == lines else None)
            fewer = _count(group) // 3 // len(found) if found else 2 * self._group
            self._group = max(1, min(_MANY, fewer))
            return found

        return _piecewise(groups(), insert)

    def _broken(self, error: MySQLError, size: int, seconds: float) -> None:
        """A statement was ended from outside: where it took long or was killed, each way's next one
        is smaller. A connection that is merely lost says nothing about the size."""
        if seconds > _SECONDS or getattr(classify(error), "kind", "") in ("interrupted", TOO_LARGE):
            for pace in self._paces:
                pace.broken(size, seconds)


class _Pace:
    """How large the next statement of one way is, and when that way is taken again after a failure.

    Args:
        first, most: bytes of a statement, at first and at most.
    """

    def __init__(self, first: int, most: int) -> None:
        self.size = first
        self._most = most
        self._pause = _SHORT_PAUSE
        self._skipped = 0
        self._grows = True

    def take_turn(self) -> bool:
        """Whether it is this way's turn; a turn that is skipped counts."""
        self._skipped -= 1
        return self._skipped < 0

    @property
    def is_paused(self) -> bool:
        """Whether the next turn is to be skipped."""
        return self._skipped > 0

    def proven(self, size: int, seconds: float, most: float = float("inf")) -> None:
        """A statement of this size stored what it should; ``most`` is what else limits the next."""
        self._pause, self._skipped = _SHORT_PAUSE, 0
        if seconds > _SECONDS:
            self._shrink(size * _SECONDS / seconds)
        elif self._grows and seconds < _SECONDS / 2 and 2 * size > self.size:
            self.size = min(self._most, 2 * self.size)
        self._shrink(min(self.size, most))

    def unproven(self, size: float) -> None:
        """Nobody knows what a statement would have stored: one of this size is tried next, or if
        that is 0, this way pauses, each time for longer."""
        if size:
            self._shrink(min(size, self.size))
        else:
            self._skipped, self._pause = self._pause, min(_LONG_PAUSE, 2 * self._pause)

    def broken(self, size: int, seconds: float) -> None:
        """A statement of this size was ended, by a time-out or a kill: none is larger until a whole
        write succeeds."""
        self._grows = False
        self._shrink(min(size, self.size) * min(0.5, _SECONDS / max(seconds, _SECONDS)))

    def end_write(self) -> None:
        """A write succeeded: statements may grow again."""
        self._grows = True

    def _shrink(self, size: float) -> None:
        self.size = max(1, int(size))


def pieces(texts: Iterable[bytes], limit: Callable[[], int]) -> Iterator[bytes]:
    """The lines of texts, in order, several at a time.

    Args:
        texts: of lines, joined by line feeds; empty ones have none.
        limit: asked before each piece for the most bytes of it; a longer line is one by itself.
    """
    taken: list[bytes] = []
    room = limit()
    for text in filter(None, texts):
        start = 0
        while start < len(text):
            end = len(text)
            if end - start > room:
                end = text.rfind(b"\n", start, start + max(0, room) + 1)
                if end < 0 and not taken:
                    end = text.find(b"\n", start)
                    end = len(text) if end < 0 else end
            if end >= 0:
                taken.append(text[start:end])
                room -= end - start + 1
                start = end + 1
            if end < 0 or room <= 0:
                yield b"\n".join(taken)
                taken, room = [], limit()
    if taken:
        yield b"\n".join(taken)


def _piecewise(parts: Iterable[bytes], store: Callable[[bytes], Refused]) -> Refused:
    """Store lines part by part."""
    refused: Refused = {}
    done = 0
    for part in parts:
        refused |= {done + row: message for row, message in store(part).items()}
        done += _count(part)
    return refused


def _count(lines: bytes) -> int:
    return lines.count(b"\n") + 1


def _by_chunk(refused: Mapping[int, str], chunks: Sequence[Chunk]) -> list[Refused]:
    found: list[Refused] = [{} for _ in chunks]
    ends = list(accumulate(chunk.valid for chunk in chunks))
    for number, detail in refused.items():
        place = bisect_right(ends, number)
        found[place][number - (ends[place] - chunks[place].valid)] = detail
    return found
