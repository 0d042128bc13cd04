"""Rows whose event is stored already are skipped.

The unique index of `db.schema.event_key` decides, also between two writers at once: the second one
waits for the first one's transaction. All else here saves statements that the index would reject.
While some writes have duplicates, stored ids are looked up before anything is inserted: all of
them, or only those that this worker may have stored lately, as long as all duplicates are of that
kind. Once no write has any, nothing is looked up: the first duplicate makes the index reject a
statement, the rows go back to a savepoint, and then all ids are looked up. What each way costs is
in docs/performance.md.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from db.connection.session import Transaction
from db.schema import event_key
from db.write.row_store import RowStore, Stored
from pipeline.chunk import Chunk
from pipeline.errors import FatalError
from pipeline.stream import Stream

#: Ids looked up in one statement: with many more, servers plan longer than they look.
_PORTION = 2_000
#: Writes without a duplicate after which none is expected.
_LASTING = 10
#: Look-ups of one write. Each finds what other writers have committed since the one before.
_LOOKUPS = 3

#: The server's code for an index that is not there.
_NO_INDEX = 1176

#: Bits of the filter, a power of two; and ids after which it is emptied: an eighth are then taken
#: for known that are not.
_BITS = 1 << 24
_MOST = 2_000_000
_MASK = _BITS // 8 - 1
_PLACES = [1 << place for place in range(8)]


class _DuplicateError(Exception):
    """A row's event is stored already: some rows of the write are stored, and others are not."""


class DeduplicatingRowStore:
    """Stores those rows of writes whose events are not stored, one write after the other."""

    def __init__(self) -> None:
        self._rows = RowStore()
        #: For how many writes duplicates are expected, at first those of what another worker wrote.
        self._expected = _LASTING
        #: Whether duplicates are expected that this worker did not store lately.
        self._of_others = True
        self._recent = RecentIds()

    def store(self, transaction: Transaction, chunks: Sequence[Chunk]) -> Stored:
        """Store the valid rows of the chunks, in order, but duplicates and rejected ones.

        Args:
            transaction: of the write, which reads what is committed.
            chunks: whose rows; all of one stream. Of several with the same id the first one counts.

        Returns:
            The chunks without the duplicates, which they count, and their rejected rows.

        Raises:
            pymysql.err.MySQLError, TransientError: see ``RowStore.store``.
        """
        hold_index(transaction.connection, transaction.stream)
        left = list(chunks)
        repeated: set[bytes] = set()
        again = False
        for _ in range(_LOOKUPS):
            if self._expected:
                left = self._new(transaction, left, repeated, again)
            transaction.savepoint("before_new_rows")
            try:
                stored = self._rows.store(transaction, left, _require_new)
            except _DuplicateError:
                self._expected = _LASTING
                again = self._of_others = True
                transaction.rollback_to("before_new_rows")
                continue
            if repeated.isdisjoint(_ids_of(left, stored.refused)):
                return stored
            transaction.rollback_to("before_new_rows")
            break
        # Other writers keep storing the same events, or the first of two rows with the same id was
        # rejected: let the index decide, row by row.
        return _sorted_out(self._rows.store(transaction, chunks))

    def _new(
        self, transaction: Transaction, chunks: Sequence[Chunk], repeated: set[bytes], again: bool
    ) -> list[Chunk]:
        """The chunks without the rows whose ids are stored, or that a row before has.

        ``again`` says that the write was looked up before, and the index has rejected it since.
        """
        ids = [_event_ids(chunk) for chunk in chunks]
        different = dict.fromkeys(chain.from_iterable(ids))
        # Should the write fail, they are only looked up more often.
        recent = self._recent.add(different)
        known: set[bytes] = set()
        wanted = list(different) if self._of_others else recent
        for start in range(0, len(wanted), _PORTION):
            portion = wanted[start : start + _PORTION]
            known |= stored_ids(transaction.connection, transaction.stream, portion)
        if not again:
            self._of_others = self._of_others and not known.issubset(recent)
        found = _known_rows(ids, known, repeated)
        self._expected = _LASTING if any(found) else self._expected - 1
        return _without(chunks, found)


def _require_new(message: str) -> None:
    if is_duplicate(message):
        raise _DuplicateError


def _known_rows(
    ids: Sequence[Sequence[bytes]], known: set[bytes], repeated: set[bytes]
) -> list[set[int]]:
    """For each chunk the indexes of rows with a known id, or one that a row before has.

    Ids that a row before has are added to ``repeated``.
    """
    seen = set(known)
    found = []
    for of_chunk in ids:
        rows = set()
        for row, one in enumerate(of_chunk):
            if one in seen:
                rows.add(row)
            seen.add(one)
        repeated.update({of_chunk[row] for row in rows} - known)
        found.append(rows)
    return found


def _ids_of(chunks: Sequence[Chunk], rows: Sequence[Mapping[int, str]]) -> Iterator[bytes]:
    for chunk, of_chunk in zip(chunks, rows, strict=True):
        if of_chunk:
            ids = _event_ids(chunk)
            yield from (ids[row] for row in of_chunk)


def _event_ids(chunk: Chunk) -> list[bytes]:
    return [one.encode() for one in chunk.stream.column(chunk.stream.key or "", chunk.rows)]


def _without(chunks: Sequence[Chunk], found: Sequence[set[int]]) -> list[Chunk]:
    return [
        replace(chunk.without(rows), duplicate=chunk.duplicate + len(rows)) if rows else chunk
        for chunk, rows in zip(chunks, found, strict=True)
    ]


def _sorted_out(stored: Stored) -> Stored:
    """Take those rows out of the chunks that were rejected as duplicates."""
    found = [
        {row for row, detail in of_chunk.items() if is_duplicate(detail)}
        for of_chunk in stored.refused
    ]
    others = [
        {
            row - sum(duplicate < row for duplicate in rows): detail
            for row, detail in of_chunk.items()
            if row not in rows
        }
        for of_chunk, rows in zip(stored.refused, found, strict=True)
    ]
    return Stored(_without(stored.chunks, found), others)


class RecentIds:
    """A Bloom filter with one hash: an id that was added is always found, others rarely."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)
        self._count = 0

    def add(self, ids: Collection[bytes]) -> list[bytes]:
        """Add different ids; those before are forgotten where these are too many.

        Returns:
            Those of them that may have been added before.
        """
        self._count += len(ids)
        if self._count > _MOST:
            self._bits = bytearray(_BITS // 8)
            self._count = len(ids)
        bits = self._bits
        found = []
        for one in ids:
            place = hash(one)
            at = place >> 3 & _MASK
            before = bits[at]
            after = before | _PLACES[place & 7]
            if after == before:
                found.append(one)
            else:
                bits[at] = after
        return found


def hold_index(connection: Connection, stream: Stream) -> None:
    """Verify that the index is there, and keep it from being dropped until the transaction ends.

    To be called before the first savepoint: going back to one releases what was locked since.

    Raises:
        FatalError: it is not there.
        sqlalchemy.exc.DBAPIError: another error.
    """
    try:
        # Finds nothing, and looks nowhere: naming the index is enough.
        connection.exec_driver_sql(
            f"SELECT 1 FROM {stream.table} USE INDEX ({event_key.NAME}) WHERE 1 = 0"  # noqa: S608
        )
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[0] == _NO_INDEX:
            raise FatalError(event_key.MISSING.format(table=stream.table)) from error
        raise


def stored_ids(connection: Connection, stream: Stream, ids: Collection[bytes]) -> set[bytes]:
    """Those of the ids that rows have, also rows of this transaction.

    Args:
        connection: in a transaction that reads what is committed.
        stream: whose table has the index, over the stream's key.
        ids: in UTF-8; some thousand at most.
    """
    if not ids:
        return set()
    key = event_key.key(connection, stream.key or "")
    literals = ",".join([f"X'{one.hex()}'" for one in ids])
    found = connection.exec_driver_sql(
        # Of hexadecimal digits and names of our own.
        f"SELECT {key} FROM {stream.table} FORCE INDEX ({event_key.NAME})"  # noqa: S608
        f" WHERE {key} IN ({literals})"
    )
    return set(found.scalars())


def is_duplicate(message: str) -> bool:
    """Whether a server's message on a duplicate entry (error 1062) is about this index."""
    # Newer versions of MySQL name the table as well. The entry itself comes before.
    return message.endswith((f"'{event_key.NAME}'", f".{event_key.NAME}'"))
