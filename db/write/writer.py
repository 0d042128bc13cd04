"""The sink: one write, one transaction of rows, dead letters, ledger and offsets.

Delivery guarantee: exactly once. A write locks the stored offsets of its partitions, leaves out
what is below them (another worker, or this one before it lost the answer to COMMIT, has stored
it), and moves them in the same transaction. So a write may be repeated any number of times, by
any number of workers, and in any order of arrival: a later one adds only what is new.
A write that would leave a gap behind the stored offset is refused, and so is one that does not
run in one session of the server from lock to offsets (`db.connection.session`).

Blocking: call it off the event loop.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from time import perf_counter
from typing import TypeVar

from sqlalchemy import Connection, Engine, exists, insert, select

from db.connection.errors import classified
from db.connection.session import fenced
from db.schema.tables import batches
from db.write.dead_letters import PlacedDeadLetter, insert_dead_letters
from db.write.deduplicate import DeduplicatingRowStore
from db.write.ledger import ledger_line
from db.write.offsets import OffsetStore
from db.write.rehearsal import rehearse
from db.write.row_store import RowStore
from db.write.transaction import Transaction
from pipeline.batch import Batch, Refused, ends
from pipeline.chunk import Chunk, DeadLetter
from pipeline.errors import FatalError, OffsetGapError, RowError
from pipeline.originals import ReadAgain
from pipeline.record import LastRecord
from pipeline.stream import UNSTORABLE

_T = TypeVar("_T")


def _nothing(_topic: str, _partition: int, offsets: Sequence[int]) -> Iterator[tuple[int, None]]:
    return ((offset, None) for offset in offsets)


class Writer:
    """Writes chunks of one consumer group.

    Args:
        engine: from ``db.connection.engine.connect``.
        group: the consumer group.
        worker: a name no other worker has or had.
        deduplicate: whether events whose ids are stored already are left out.
        verify: called before each write: whether the tables are still as they must be.
    """

    def __init__(
        self,
        engine: Engine,
        group: str,
        worker: str,
        *,
        deduplicate: bool = False,
        verify: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._verify = verify
        self._group = group
        self._worker = worker
        self._offsets = OffsetStore(engine, group)
        self._rows = DeduplicatingRowStore() if deduplicate else RowStore()
        #: What the newest try was about to commit.
        self._tried: Batch | None = None

    def write(
        self,
        number: int,
        opened: datetime,
        chunks: Sequence[Chunk],
        read_again: ReadAgain = _nothing,
        alive: Callable[[], None] = lambda: None,
    ) -> Batch:
        """Store what is new of the chunks; each partition's chunks in the order of offsets.

        Args:
            number: of the batch; the same again when the same write is repeated.
            opened: when the batch's first event came in.
            read_again: reads the events again whose rows the database refuses: they become dead
                letters.
            alive: called now and then, as a sign of life.

        Returns:
            The batch as it stands in the ledger; one without events where nothing was new. Its
            offsets are those stored now, of all the chunks' partitions.

        Raises:
            TransientError: nothing is known to be stored; repeat the write.
            FatalError: nothing is stored; a person must change something.
        """
        self._verify()
        started = perf_counter()
        try:
            with classified(), self._engine.begin() as connection:
                locked, session, packet = self._lock(connection, chunks)
                new = _skip_stored(chunks, locked)
                if not new:
                    nothing = [chunk.since(chunk.end) for chunk in chunks]
                    before = self._stored_before(connection, number)
                    return replace(before or Batch.of(number, opened, nothing, 0.0), offsets=locked)
                transaction = Transaction(connection, new[0].stream, session, packet, alive)
                kept, refused = self._rows.store(transaction, new)
                dead = _dead_letters(kept, refused, read_again)
                insert_dead_letters(connection, self._group, dead, session, packet)
                stored = [chunk.without(rows) for chunk, rows in zip(kept, refused, strict=True)]
                moved = ends(kept)
                seconds = perf_counter() - started
                batch = replace(
                    Batch.of(number, opened, stored, seconds, _named(kept, refused)),
                    offsets=locked | moved,
                )
                if batch.events:
                    # Offsets without events (transaction markers) are no batch, as with the job
                    # replaced.
                    line = ledger_line(batch, self._group, self._worker)
                    line["worker"] = fenced(session, self._worker)
                    connection.execute(insert(batches).values(line))
                # Last: whatever went before is kept only if this finds the session of the lock.
                last = _last(kept)
                for topic in {topic for topic, _ in moved}:
                    moves = {
                        partition: (locked[topic, partition], end)
                        for partition, end in _of_topic(moved, topic).items()
                    }
                    self._offsets.advance(connection, topic, moves, _of_topic(last, topic), session)
                self._tried = batch
                return batch
        except RowError as error:
            raise FatalError(
                f"The database refuses a dead letter or a ledger line: {error}."
            ) from error

    def rehearse(self, chunk: Chunk) -> None:
        """See ``db.write.rehearsal``."""
        rehearse(self._engine, self._group, chunk)

    def _lock(
        self, connection: Connection, chunks: Sequence[Chunk]
    ) -> tuple[dict[tuple[str, int], int], int, int]:
        """Stored offsets of the chunks' partitions, locked; the session that did it, and how many
        bytes it takes in a statement."""
        wanted = ends(chunks)
        stored: dict[tuple[str, int], int] = {}
        session = packet = 0
        for topic in sorted({topic for topic, _ in wanted}):
            locked = self._offsets.lock(connection, topic, _of_topic(wanted, topic))
            stored |= {(topic, partition): at for partition, at in locked.offsets.items()}
            session, packet = locked.session, locked.packet
        return stored, session, packet

    def _stored_before(self, connection: Connection, number: int) -> Batch | None:
        """The batch, if an earlier try of this write was committed and only its answer lost.

        The ledger says whether it was. Only the newest try can be it: each begins with what is not
        stored by then.
        """
        tried = self._tried
        if tried is None or tried.number != number:
            return None
        if tried.events and not connection.scalar(
            select(
                exists().where(batches.c.worker == self._worker).where(batches.c.number == number)
            )
        ):
            return None
        return tried


def _skip_stored(chunks: Sequence[Chunk], locked: Mapping[tuple[str, int], int]) -> list[Chunk]:
    stored = dict(locked)
    new = []
    for chunk in chunks:
        key = chunk.topic, chunk.partition
        done = stored.get(key)
        if done is None or chunk.start > done:
            raise OffsetGapError(
                f"The stored offset of {chunk.topic}/{chunk.partition} is "
                f"{'gone' if done is None else done}, but the worker's events begin at "
                f"{chunk.start}: it was changed while the worker was running. Start the "
                f"worker again: it continues from the stored offset."
            )
        if chunk.end > done:
            new.append(chunk.since(done))
            stored[key] = chunk.end
    return new


def _dead_letters(
    chunks: Sequence[Chunk], refused: Sequence[Mapping[int, str]], read_again: ReadAgain
) -> Iterator[PlacedDeadLetter]:
    """The dead letters of the chunks, then those of refused rows, read again as they are taken."""
    rows: defaultdict[tuple[str, int], dict[int, tuple[Chunk, int, str]]] = defaultdict(dict)
    for chunk, found in zip(chunks, refused, strict=True):
        for letter in chunk.dead:
            yield chunk.topic, chunk.partition, letter
        for row, detail in found.items():
            rows[chunk.topic, chunk.partition][chunk.offsets[row]] = chunk, row, detail
    for (topic, partition), of_partition in rows.items():
        for offset, record in read_again(topic, partition, sorted(of_partition)):
            chunk, row, detail = of_partition[offset]
            detail = f"the database says: {detail}"
            if record is None:
                detail += " (Kafka no longer has the event: the value is made from its row)"
                record = chunk.rebuilt(row)
            yield topic, partition, DeadLetter.of(record, UNSTORABLE, detail)


def _named(chunks: Sequence[Chunk], refused: Sequence[Mapping[int, str]]) -> list[Refused]:
    return [
        Refused(chunk.topic, chunk.partition, chunk.offsets[row], f"the database says: {detail}")
        for chunk, rows in zip(chunks, refused, strict=True)
        for row, detail in rows.items()
    ]


def _last(chunks: Sequence[Chunk]) -> dict[tuple[str, int], LastRecord]:
    return {(chunk.topic, chunk.partition): chunk.last for chunk in chunks if chunk.last}


def _of_topic(found: Mapping[tuple[str, int], _T], topic: str) -> dict[int, _T]:
    return {partition: value for (name, partition), value in found.items() if name == topic}
