"""Rows whose event is stored already are left out of a write.

The unique index of `db.event_index` decides, also between two writers at once: the second one waits
for the first one's transaction. All else here saves statements that the index would refuse. While
writes have duplicates, stored ids are looked up before anything is inserted: all of them, or only
those that this worker may have stored lately, as long as all duplicates are of that kind. While
writes have none, nothing is looked up: the first duplicate makes the index refuse a statement, the
rows go back to a savepoint, and then all ids are looked up. What each way costs is in
docs/performance.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, islice
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import event_index
from db.insertion import DuplicateError
from db.recent_ids import RecentIds
from db.refused_rows import RowInserter
from pipeline.chunk import Chunk
from pipeline.stream import Stream

#: Ids looked up in one statement: with many more, servers plan longer than they look.
_PORTION = 2_000
#: Look-ups of one write. Each finds what other writers have committed since the one before.
_LOOKUPS = 3


class NewRowInserter:
    """Inserts those rows of writes whose events are not stored, one write after the other."""

    def __init__(self) -> None:
        self._rows = RowInserter()
        # A worker may begin with what one before it has stored.
        self._expected = True
        #: Whether duplicates are expected that this worker did not store lately.
        self._of_others = True
        self._recent = RecentIds()

    def insert(
        self,
        connection: Connection,
        chunks: Sequence[Chunk],
        limit: int,
        session: int,
        alive: Callable[[], None] = lambda: None,
    ) -> tuple[list[Chunk], list[dict[int, str]]]:
        """Insert the valid rows of the chunks, in order, but duplicates and refused ones.

        Args:
            connection: in the transaction of the write, which reads what is committed.
            chunks: whose rows. Of several with the same id the first one counts.
            limit: bytes of JSON in one statement.
            session: of that transaction; in any other one nothing is inserted.
            alive: called after each statement, as a sign of life.

        Returns:
            The chunks without the duplicates, which they count; and for each of them what the
            database says of its refused rows, by the row's index there.

        Raises:
            pymysql.err.MySQLError, TransientError: see ``RowInserter.insert``.
        """
        left = list(chunks)
        repeated: set[bytes] = set()
        for _ in range(_LOOKUPS):
            if self._expected:
                left = self._new(connection, left, repeated)
            connection.exec_driver_sql("SAVEPOINT before_new_rows")
            try:
                refused = self._rows.insert(
                    connection, left, limit, session, alive, stop_at_duplicate=True
                )
            except DuplicateError:
                self._expected = self._of_others = True
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT before_new_rows")
                continue
            if repeated.isdisjoint(_ids_of(left, refused)):
                return left, refused
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT before_new_rows")
            break
        # Other writers keep storing the same events, or the first of two rows with the same id was
        # refused: let the index decide, row by row.
        return _sorted_out(chunks, self._rows.insert(connection, chunks, limit, session, alive))

    def _new(
        self, connection: Connection, chunks: Sequence[Chunk], repeated: set[bytes]
    ) -> list[Chunk]:
        """The chunks without the rows whose ids are stored, or that a row before has."""
        ids = [_event_ids(chunk) for chunk in chunks]
        looked_up: Iterable[bytes] = dict.fromkeys(chain.from_iterable(ids))
        if not self._of_others:
            looked_up = self._recent.among(looked_up)
        known: set[bytes] = set()
        for portion in _portions(looked_up):
            known |= event_index.known(connection, chunks[0].stream, portion)
        self._of_others = self._of_others and len(self._recent.among(known)) < len(known)
        found, others = _known_rows(ids, known, repeated)
        self._expected = any(found)
        # Should the write fail, they are only looked up more often.
        self._recent.add(others)
        return _without(chunks, found)


def _known_rows(
    ids: Sequence[Sequence[bytes]], known: set[bytes], repeated: set[bytes]
) -> tuple[list[set[int]], set[bytes]]:
    """For each chunk the indexes of rows with a known id, or one that a row before has; and the ids
    of the others.

    Ids that a row before has are added to ``repeated``.
    """
    before: set[bytes] = set()
    found = []
    for of_chunk in ids:
        rows = set()
        for row, one in enumerate(of_chunk):
            if one in known:
                rows.add(row)
            elif one in before:
                rows.add(row)
                repeated.add(one)
            else:
                before.add(one)
        found.append(rows)
    return found, before


def _ids_of(chunks: Sequence[Chunk], rows: Sequence[Mapping[int, str]]) -> Iterator[bytes]:
    for chunk, of_chunk in zip(chunks, rows, strict=True):
        if of_chunk:
            ids = _event_ids(chunk)
            yield from (ids[row] for row in of_chunk)


def _event_ids(chunk: Chunk) -> list[bytes]:
    decode_lines, key = _decoder(chunk.stream), chunk.stream.key or ""
    return [getattr(row, key).encode() for row in decode_lines(chunk.rows)]


@cache
def _decoder(stream: Stream) -> Callable[[bytes], list[Any]]:
    """Decodes the columns of a row up to the id."""
    *before, key = stream.columns[: stream.columns.index(stream.key or "") + 1]
    fields = [*((name, Any) for name in before), (key, str)]
    row = msgspec.defstruct("_Row", fields, array_like=True)
    return msgspec.json.Decoder(row).decode_lines


def _portions(ids: Iterable[bytes]) -> Iterator[list[bytes]]:
    waiting = iter(ids)
    while portion := list(islice(waiting, _PORTION)):
        yield portion


def _without(chunks: Sequence[Chunk], found: Sequence[set[int]]) -> list[Chunk]:
    return [
        replace(chunk.without(rows), duplicate=chunk.duplicate + len(rows)) if rows else chunk
        for chunk, rows in zip(chunks, found, strict=True)
    ]


def _sorted_out(
    chunks: Sequence[Chunk], refused: Sequence[Mapping[int, str]]
) -> tuple[list[Chunk], list[dict[int, str]]]:
    """Take those rows out of the chunks that were refused as duplicates."""
    found = [
        {row for row, detail in of_chunk.items() if event_index.is_duplicate(detail)}
        for of_chunk in refused
    ]
    others = [
        {
            row - sum(duplicate < row for duplicate in rows): detail
            for row, detail in of_chunk.items()
            if row not in rows
        }
        for of_chunk, rows in zip(refused, found, strict=True)
    ]
    return _without(chunks, found), others
