"""The sink: one write, one transaction of rows, dead letters, ledger and offsets.

Delivery guarantee: exactly once. A write locks the stored offsets of its partitions, skips
what is below them (another worker, or this one before it lost the answer to COMMIT, has stored
it), and moves them in the same transaction. So a write may be repeated any number of times, by
any number of workers, and in any order of arrival: a later one adds only what is new.
A batch that does not start at the stored offset is rejected, and so is a write that does not run
in one session of the server from lock to offsets (`db.connection.session`).

Blocking: call it off the event loop.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from time import perf_counter

from sqlalchemy import Connection, Engine, exists, func, insert, select, text

from db.connection.errors import classified
from db.connection.session import Transaction, fenced_sql
from db.schema.tables import batches
from db.write.dead_letters import PlacedDeadLetter, insert_dead_letters
from db.write.deduplicate import DeduplicatingRowStore
from db.write.offsets import OffsetStore
from db.write.row_store import RowStore
from pipeline.batch import Batch, Refused, ends
from pipeline.chunk import Chunk, DeadLetter
from pipeline.errors import FatalError, OffsetGapError, RowError
from pipeline.flush.refetch import Refetch
from pipeline.partition import Partition
from pipeline.stream import UNSTORABLE, Stream


def _nothing(_partition: Partition, offsets: Sequence[int]) -> Iterator[tuple[int, None]]:
    return ((offset, None) for offset in offsets)


class Writer:
    """Writes chunks of one stream for one consumer group.

    Args:
        engine: from ``db.connection.engine.connect``.
        group: the consumer group.
        stream: what the chunks are of.
        worker: a name no other worker has or had.
        deduplicate: whether events whose ids are stored already are skipped.
        verify: called before each write: whether the tables are still as they must be.
    """

    def __init__(
        self,
        engine: Engine,
        group: str,
        stream: Stream,
        worker: str,
        *,
        deduplicate: bool = False,
        verify: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._verify = verify
        self._group = group
        self._stream = stream
        self._worker = worker
        self._offsets = OffsetStore(engine, group)
        self._rows = DeduplicatingRowStore() if deduplicate else RowStore()
        #: What the newest attempt was about to commit.
        self._attempted: Batch | None = None

    def write(
        self,
        number: int,
        opened: datetime,
        chunks: Sequence[Chunk],
        refetch: Refetch = _nothing,
        alive: Callable[[], None] = lambda: None,
    ) -> Batch:
        """Store what is new of the chunks; each partition's chunks in the order of offsets.

        Args:
            number: of the batch; the same again when the same write is repeated.
            opened: when the batch's first event came in.
            refetch: fetches the events again whose rows the database rejects: they become dead
                letters.
            alive: called after each statement, as a sign of life.

        Returns:
            The batch as it is in the ledger; one without events where nothing was new. Its
            offsets are those stored now, of all the chunks' partitions.

        Raises:
            TransientError: nothing is known to be stored; repeat the write.
            FatalError: nothing is stored; a person must change something.
        """
        self._verify()
        started = perf_counter()
        try:
            with classified(), self._engine.begin() as connection:
                locked, session, packet = self._offsets.lock(connection, ends(chunks))
                transaction = Transaction(connection, self._stream, session, packet, alive)
                new = _skip_stored(chunks, locked)
                if not new:
                    nothing = [chunk.since(chunk.end) for chunk in chunks]
                    before = self._stored_before(connection, number)
                    return replace(
                        before or Batch.of(self._stream, number, opened, nothing, 0.0),
                        offsets=locked,
                    )
                kept, refused = self._rows.store(transaction, new)
                if any(refused) or any(chunk.dead for chunk in kept):
                    dead = _dead_letters(kept, refused, refetch)
                    insert_dead_letters(connection, self._group, dead, session, packet)
                stored = [chunk.without(rows) for chunk, rows in zip(kept, refused, strict=True)]
                moved = ends(kept)
                seconds = perf_counter() - started
                batch = replace(
                    Batch.of(self._stream, number, opened, stored, seconds, _named(kept, refused)),
                    offsets=locked | moved,
                )
                if batch.events:
                    # Offsets without events (transaction markers) are no batch, as with the job
                    # replaced.
                    here = text(fenced_sql(session, ":worker")).bindparams(worker=self._worker)
                    line = ledger_line(batch, self._group, self._worker)
                    line = on_server_clock(line, batch) | {"worker": here}
                    connection.execute(insert(batches).values(line))
                # Last: whatever went before is kept only if this finds the session of the lock.
                moves = {partition: (locked[partition], end) for partition, end in moved.items()}
                last = {chunk.partition: chunk.last for chunk in kept if chunk.last}
                self._offsets.advance(connection, moves, last, session)
                self._attempted = batch
                return batch
        except RowError as error:
            raise FatalError(
                f"The database rejects a dead letter or a ledger line: {error}."
            ) from error

    def rehearse(self, chunk: Chunk) -> None:
        """Insert the rows and dead letters of a chunk, wherever its partition is, and roll back.

        An insert into the events table is sent in any case: without rows it is the harmless
        statement that fails in an outage, too. Rows that the database rejects are no error. This
        consumes AUTO_INCREMENT ids.

        Raises:
            TransientError, FatalError: see ``pipeline.errors``.
        """
        columns, table = ", ".join(chunk.stream.columns), chunk.stream.table
        try:
            with classified(), self._engine.connect() as connection:
                _, session, packet = self._offsets.lock(connection, [chunk.partition])
                if chunk.valid:
                    transaction = Transaction(connection, chunk.stream, session, packet)
                    RowStore().store(transaction, [chunk])
                else:
                    connection.exec_driver_sql(
                        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE FALSE"  # noqa: S608 - names of our own
                    )
                dead = ((chunk.partition, letter) for letter in chunk.dead)
                insert_dead_letters(connection, self._group, dead, session, packet)
                connection.rollback()
        except RowError as error:
            raise FatalError(f"The database rejects a dead letter: {error}.") from error

    def _stored_before(self, connection: Connection, number: int) -> Batch | None:
        """The batch, if an earlier attempt was committed and only its answer lost.

        The ledger says whether it was. Only the newest attempt can be it: each begins with what is
        not stored by then.
        """
        attempted = self._attempted
        if attempted is None or attempted.number != number:
            return None
        if attempted.events and not connection.scalar(
            select(
                exists().where(batches.c.worker == self._worker).where(batches.c.number == number)
            )
        ):
            return None
        return attempted


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
        "duplicate": batch.duplicate,
        "filled": dict(batch.filled),
        "repaired": dict(batch.repaired),
        "revenue": batch.total,
        "seconds": batch.seconds,
    }


def on_server_clock(line: dict[str, object], batch: Batch) -> dict[str, object]:
    """The line with the server's times: workers' clocks may differ."""
    now = func.utc_timestamp(text("3"))
    waited = round((batch.written - batch.opened).total_seconds() * 1e6)
    opened = func.timestampadd(text("MICROSECOND"), -waited, now)
    return line | {"opened": opened, "written": now}


def _skip_stored(chunks: Sequence[Chunk], locked: Mapping[Partition, int]) -> list[Chunk]:
    stored = dict(locked)
    new = []
    for chunk in chunks:
        done = stored.get(chunk.partition)
        if done is None or chunk.start > done:
            raise OffsetGapError(
                f"The stored offset of {chunk.partition} is "
                f"{'gone' if done is None else done}, but the worker's events begin at "
                f"{chunk.start}: it was changed while the worker was running. Start the "
                f"worker again: it continues from the stored offset."
            )
        if chunk.end > done:
            new.append(chunk.since(done))
            stored[chunk.partition] = chunk.end
    return new


def _dead_letters(
    chunks: Sequence[Chunk], refused: Sequence[Mapping[int, str]], refetch: Refetch
) -> Iterator[PlacedDeadLetter]:
    """The dead letters of the chunks, then those of rejected rows, fetched as they are taken."""
    rows: defaultdict[Partition, dict[int, tuple[Chunk, int, str]]] = defaultdict(dict)
    for chunk, found in zip(chunks, refused, strict=True):
        for letter in chunk.dead:
            yield chunk.partition, letter
        for row, detail in found.items():
            rows[chunk.partition][chunk.offsets[row]] = chunk, row, detail
    for partition, of_partition in rows.items():
        for offset, record in refetch(partition, sorted(of_partition)):
            chunk, row, detail = of_partition[offset]
            detail = f"the database says: {detail}"
            if record is None:
                detail += " (Kafka no longer has the event: the value is made from its row)"
                record = chunk.rebuilt(row)
            yield partition, DeadLetter.of(record, UNSTORABLE, detail)


def _named(chunks: Sequence[Chunk], refused: Sequence[Mapping[int, str]]) -> list[Refused]:
    return [
        Refused(chunk.partition, chunk.offsets[row], f"the database says: {detail}")
        for chunk, rows in zip(chunks, refused, strict=True)
        for row, detail in rows.items()
    ]
