"""Dead letters after the fact: found, shown, replayed through today's rules, purged.

A replay stores rows and marks their dead letters in one transaction, with the dead letters locked.
So it may be repeated, interrupted, or run twice at once: each event is stored once. Blocking.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, count
from secrets import token_hex
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.dialects.mysql import LONGBLOB

from db import watermark
from db.duplicates import NewRowInserter
from db.errors import classified
from db.fence import SESSION, another_session, check_session
from db.rows import STATEMENT_BYTES, insert_rows
from db.tables import batches, dead_letters
from db.writer import ledger_line, summary
from pipeline.batch import empty_drops
from pipeline.chunk import Chunk
from pipeline.errors import RowError
from pipeline.record import PlainRecord
from pipeline.stream import Stream

#: Dead letters in one transaction of a replay or a purge.
PORTION = 500

#: Bytes of values in one transaction of a replay, about: they are in memory at once.
PORTION_BYTES = 16_000_000

_id = dead_letters.c.id


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters; None does not narrow. ``since`` and ``until`` compare, in UTC, with the
    time at which the dead letter was written."""

    ids: tuple[int, ...] = ()
    reason: str | None = None
    topic: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        columns = dead_letters.c
        if self.ids:
            yield columns.id.in_(self.ids)
        if self.reason:
            yield columns.reason == self.reason
        if self.topic:
            yield columns.kafka_topic == self.topic
        if self.since:
            yield columns.created_at >= self.since
        if self.until:
            yield columns.created_at < self.until


class Replay(NamedTuple):
    """The outcome: how many rows were stored, the ids of dead letters whose events were stored
    already, and by id why each other one was refused."""

    stored: int
    known: list[int]
    refused: dict[int, str]


def is_cut(letter: Row[Any]) -> bool:
    """Whether the row of ``dead_letters`` holds only the beginning of its value."""
    return len(letter.value or b"") < (letter.value_bytes or 0)


class DeadLetters:
    """The dead letters of one consumer group.

    Args:
        engine: from ``db.engine.connect``.
        group: the consumer group.
        stream: what they are events of.
        deduplicate: whether a replay leaves events out whose ids are stored already.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(
        self, engine: Engine, group: str, stream: Stream, *, deduplicate: bool = False
    ) -> None:
        self._engine = engine
        self._group = group
        self._stream = stream
        self._new_rows = NewRowInserter() if deduplicate else None

    def find(self, wanted: Filter, limit: int, max_bytes: int | None = None) -> Sequence[Row[Any]]:
        """The newest dead letters, up to ``limit``, values and keys cut to ``max_bytes``."""
        columns = [
            column
            if max_bytes is None or not isinstance(column.type, LONGBLOB)
            else func.substring(column, 1, max_bytes).label(column.name)
            for column in dead_letters.c
        ]
        statement = select(*columns).where(*self._of(wanted)).order_by(_id.desc()).limit(limit)
        with self._begin() as connection:
            return connection.execute(statement).all()

    def count(self, wanted: Filter, *, replayed: bool | None = None) -> int:
        """How many dead letters there are; ``replayed`` counts only those that are, or are not."""
        statement = select(func.count()).select_from(dead_letters).where(*self._of(wanted))
        if replayed is not None:
            done = dead_letters.c.replayed_at.is_not(None)
            statement = statement.where(done if replayed else ~done)
        with self._begin() as connection:
            return connection.scalar(statement) or 0

    def replay(self, wanted: Filter, *, dry_run: bool = False) -> Replay:
        """Store the dead letters not replayed yet that today's rules accept.

        One whose event is stored already counts as replayed, without a second row.
        """
        run = f"replay-{token_hex(4)}"
        done, after, number = Replay(0, [], {}), 0, count(1)
        while ids := self._waiting(wanted, after):
            after = ids[-1]
            try:
                done = self._store(ids, run, next(number), done, dry_run=dry_run)
            except RowError:
                # The database refuses a row of the portion: one by one, each for itself.
                for one in ids:
                    done = self._store_alone(one, run, next(number), done, dry_run=dry_run)
        return done

    def purge(self, wanted: Filter, *, dry_run: bool = False) -> int:
        """Delete dead letters for good; return how many."""
        gone = 0
        if dry_run:
            return self.count(wanted)
        while ids := self._ids(wanted, limit=PORTION):
            with self._begin() as connection:
                gone += connection.execute(delete(dead_letters).where(_id.in_(ids))).rowcount
        return gone

    def _waiting(self, wanted: Filter, after: int) -> list[int]:
        """Ids of the next dead letters to replay, as many as fit a transaction, at least one."""
        size = func.coalesce(func.length(dead_letters.c.value), 0)
        statement = (
            select(_id, size)
            .where(*self._of(wanted), dead_letters.c.replayed_at.is_(None), _id > after)
            .order_by(_id)
            .limit(PORTION)
        )
        with self._begin() as connection:
            found = connection.execute(statement).all()
        sizes = accumulate(size for _, size in found)
        return [
            number
            for place, ((number, _), total) in enumerate(zip(found, sizes, strict=True))
            if place == 0 or total <= PORTION_BYTES
        ]

    def _ids(self, wanted: Filter, *conditions: ColumnElement[bool], limit: int) -> list[int]:
        statement = select(_id).where(*self._of(wanted), *conditions).order_by(_id).limit(limit)
        with self._begin() as connection:
            return list(connection.scalars(statement))

    def _store_alone(
        self, one: int, run: str, number: int, done: Replay, *, dry_run: bool
    ) -> Replay:
        try:
            return self._store([one], run, number, done, dry_run=dry_run)
        except RowError as error:
            done.refused[one] = f"the database says: {error}"
            return done

    def _store(
        self, ids: list[int], run: str, number: int, done: Replay, *, dry_run: bool
    ) -> Replay:
        started = perf_counter()
        with self._begin() as connection:
            found = connection.execute(
                select(dead_letters, *SESSION)
                .where(_id.in_(ids), dead_letters.c.replayed_at.is_(None))
                .order_by(_id)
                .with_for_update()
            ).all()
            # The id stands in for the offset, and tells the dead letters apart afterwards.
            records = [
                PlainRecord(row.id, row.value, row.kafka_key) for row in found if not is_cut(row)
            ]
            chunk = Chunk.transform(self._stream, "", 0, 0, 0, records)
            again = {letter.offset: letter.detail for letter in chunk.dead}
            again |= {row.id: "was stored cut" for row in found if is_cut(row)}
            accepted = [row.id for row in found if row.id not in again]
            if accepted:
                session = check_session(found[0])
                watermark.join(connection)
                chunk = self._insert(connection, chunk, session)
                self._mark(connection, accepted, session)
                # The ledger counts these events already; only their rows are new.
                batch = summary(number, datetime.now(UTC), [chunk], perf_counter() - started)
                line = ledger_line(batch, self._group, run)
                nothing = dict.fromkeys(("events", *empty_drops()), 0)
                connection.execute(insert(batches), line | nothing)
            if dry_run:
                connection.rollback()
            stored = set(chunk.offsets)
        done.known.extend(one for one in accepted if one not in stored)
        done.refused.update(again)
        return done._replace(stored=done.stored + len(stored))

    def _insert(self, connection: Connection, chunk: Chunk, session: int) -> Chunk:
        """Insert the chunk's rows; return it without those whose events are stored already."""
        if self._new_rows is None:
            insert_rows(connection, [chunk], STATEMENT_BYTES, session)
            return chunk
        [new], [refused] = self._new_rows.insert(connection, [chunk], STATEMENT_BYTES, session)
        for detail in refused.values():
            raise RowError(detail)
        return new

    def _mark(self, connection: Connection, ids: list[int], session: int) -> None:
        marked = connection.execute(
            update(dead_letters)
            .where(_id.in_(ids), func.connection_id() == session)
            .values(replayed_at=datetime.now(UTC))
        )
        if marked.rowcount != len(ids):
            raise another_session(
                f"{len(ids)} dead letters were replayed, but {marked.rowcount} could be marked as "
                f"replayed"
            )

    def _of(self, wanted: Filter) -> list[ColumnElement[bool]]:
        return [dead_letters.c.consumer_group == self._group, *wanted.conditions()]

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with classified(), self._engine.begin() as connection:
            yield connection
