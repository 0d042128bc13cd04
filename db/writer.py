"""The sink: one write, one transaction of rows, dead letters, ledger and offsets.

Delivery guarantee: exactly once. A write locks the stored offsets of its partitions, leaves out
what is below them (another worker, or this one before it lost the answer to COMMIT, has stored
it), and moves them in the same transaction. So a write may be repeated any number of times, by
any number of workers, and in any order of arrival; whoever comes second adds only what is new.
A write that would leave a hole behind the stored offset is refused, and so is one that does not
run in one session of the server from lock to offsets (`db.fence`).

Blocking: call it off the event loop.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import TypeVar

from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from db.dead_letter_rows import insert_dead_letters
from db.fence import fenced
from db.offsets import OffsetStore
from db.rows import STATEMENT_BYTES, insert_rows
from db.sales import add_sales
from db.tables import batches
from models.quality import tally
from pipeline.batch import Batch, empty_drops
from pipeline.chunk import Chunk, LastRecord
from pipeline.errors import OffsetGapError, classify

_T = TypeVar("_T")


class Writer:
    """Writes chunks of one consumer group.

    Args:
        engine: from ``db.engine.connect``.
        group: the consumer group.
        worker: a name no other worker has or had.
    """

    def __init__(self, engine: Engine, group: str, worker: str) -> None:
        self._engine = engine
        self._group = group
        self._worker = worker
        self._offsets = OffsetStore(engine, group)
        self._statement_bytes = 0

    def write(self, number: int, opened: datetime, chunks: Sequence[Chunk]) -> Batch | None:
        """Store what is new of the chunks; each partition's chunks in the order of offsets.

        Args:
            number: of the batch; the same again when the same write is repeated.
            opened: when the batch's first event came in.

        Returns:
            The batch as it stands in the ledger, or None where nothing of it was new.

        Raises:
            TransientError: nothing is known to be stored; repeat the write.
            RowError: nothing is stored; the database refuses one of the rows.
            FatalError: nothing is stored; a person must change something.
        """
        started = perf_counter()
        try:
            with self._engine.begin() as connection:
                locked, session = self._lock(connection, chunks)
                fresh = _skip_stored(chunks, locked)
                if not fresh:
                    return self._from_ledger(connection, number, chunks)
                insert_rows(connection, fresh, self._limit(connection), session)
                insert_dead_letters(connection, self._group, fresh, session)
                ends = _ends(fresh)
                shard = min(partition for _, partition in ends)
                add_sales(connection, fresh, shard, session)
                batch = summary(number, opened, fresh, perf_counter() - started)
                if batch.events:
                    # Offsets without events (transaction markers) are no batch, as with the job
                    # replaced.
                    line = ledger_line(batch, self._group, self._worker)
                    line["worker"] = fenced(session, self._worker)
                    connection.execute(insert(batches).values(line))
                # Last: whatever went before is kept only if this finds the session of the lock.
                last = _last(fresh)
                for topic in {topic for topic, _ in ends}:
                    moves = {
                        partition: (locked[topic, partition], end)
                        for partition, end in _of_topic(ends, topic).items()
                    }
                    self._offsets.advance(connection, topic, moves, _of_topic(last, topic), session)
                return batch
        except (SQLAlchemyError, OSError) as error:
            raise classify(error) from error

    def _lock(
        self, connection: Connection, chunks: Sequence[Chunk]
    ) -> tuple[dict[tuple[str, int], int], int]:
        """Stored offsets of the chunks' partitions, locked, and the session that did it."""
        wanted = _ends(chunks)
        stored: dict[tuple[str, int], int] = {}
        session = 0
        for topic in sorted({topic for topic, _ in wanted}):
            locked = self._offsets.lock(connection, topic, _of_topic(wanted, topic))
            stored |= {(topic, partition): at for partition, at in locked.offsets.items()}
            session = locked.session
        return stored, session

    def _limit(self, connection: Connection) -> int:
        if not self._statement_bytes:
            packet = connection.scalar(text("SELECT @@max_allowed_packet"))
            self._statement_bytes = min(STATEMENT_BYTES, int(packet or 0) // 3)
        return self._statement_bytes

    def _from_ledger(
        self, connection: Connection, number: int, chunks: Sequence[Chunk]
    ) -> Batch | None:
        """The batch, if an earlier try of this write was committed and only its answer lost."""
        row = connection.execute(
            select(batches)
            .where(batches.c.worker == self._worker)
            .where(batches.c.number == number)
        ).one_or_none()
        if row is None:
            return None
        return Batch(
            number=number,
            opened=row.opened.replace(tzinfo=UTC),
            written=row.written.replace(tzinfo=UTC),
            seconds=row.seconds,
            events=row.events,
            valid=row.valid,
            dropped={reason: getattr(row, reason) for reason in empty_drops()},
            filled=row.filled,
            repaired=row.repaired,
            revenue=row.revenue,
            offsets=_ends(chunks),
            rows=_rows(chunks),
        )


def _skip_stored(chunks: Sequence[Chunk], locked: Mapping[tuple[str, int], int]) -> list[Chunk]:
    stored = dict(locked)
    fresh = []
    for chunk in chunks:
        key = chunk.topic, chunk.partition
        done = stored.get(key)
        if done is None or chunk.start > done:
            raise OffsetGapError(
                f"The stored offset of {chunk.topic}/{chunk.partition} is "
                f"{'gone' if done is None else done}, but the worker's events begin at "
                f"{chunk.start}: it was changed behind the worker, which must start again "
                f"from what is stored."
            )
        if chunk.end > done:
            fresh.append(chunk.since(done))
            stored[key] = chunk.end
    return fresh


def ledger_line(batch: Batch, group: str, worker: str) -> dict[str, object]:
    """The batch as a row of the table ``batches``."""
    return {
        "consumer_group": group,
        "worker": worker,
        "number": batch.number,
        "opened": batch.opened,
        "written": batch.written,
        "events": batch.events,
        "valid": batch.valid,
        **batch.dropped,
        "filled": dict(batch.filled),
        "repaired": dict(batch.repaired),
        "revenue": batch.revenue,
        "seconds": batch.seconds,
    }


def summary(number: int, opened: datetime, chunks: Sequence[Chunk], seconds: float) -> Batch:
    """What storing these chunks amounts to."""
    flags: Counter[int] = Counter()
    dropped = empty_drops()
    for chunk in chunks:
        flags += chunk.quality()
        dropped.update(letter.reason.value for letter in chunk.dead)
    filled, repaired = tally(flags)
    return Batch(
        number=number,
        opened=opened,
        written=datetime.now(UTC),
        seconds=seconds,
        events=sum(chunk.events for chunk in chunks),
        valid=sum(chunk.valid for chunk in chunks),
        dropped=dropped,
        filled=filled,
        repaired=repaired,
        revenue=math.fsum(chunk.revenue for chunk in chunks),
        offsets=_ends(chunks),
        rows=_rows(chunks),
        oldest_timestamp=min(
            (chunk.oldest for chunk in chunks if chunk.oldest is not None), default=None
        ),
    )


def _rows(chunks: Sequence[Chunk]) -> Counter[tuple[str, int]]:
    rows: Counter[tuple[str, int]] = Counter()
    for chunk in chunks:
        rows[chunk.topic, chunk.partition] += chunk.valid
    return rows


def _ends(chunks: Sequence[Chunk]) -> dict[tuple[str, int], int]:
    return {(chunk.topic, chunk.partition): chunk.end for chunk in chunks}


def _last(chunks: Sequence[Chunk]) -> dict[tuple[str, int], LastRecord]:
    return {(chunk.topic, chunk.partition): chunk.last for chunk in chunks if chunk.last}


def _of_topic(found: Mapping[tuple[str, int], _T], topic: str) -> dict[int, _T]:
    return {partition: value for (name, partition), value in found.items() if name == topic}
