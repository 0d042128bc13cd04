"""Replays dead letters: stores those that today's rules accept.

Rows are stored and their dead letters marked in one transaction that locks the dead letters, so a
replay can be repeated, interrupted or run twice at once: each event is stored once. Blocking.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from db.connection.errors import classified
from db.connection.server_lock import REPLAY, server_lock
from db.connection.session import SESSION, Transaction, another_session, check_session
from db.dead_letters.query import DeadLetters, Filter, is_cut, transaction
from db.schema.tables import batches, dead_letters
from db.write.deduplicate import DeduplicatingRowStore
from db.write.row_store import RowStore
from db.write.writer import ledger_line, on_server_clock
from pipeline.batch import Batch, empty_drops
from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from pipeline.stream import UNSTORABLE, Stream

_id = dead_letters.c.id
#: Seconds that a replay may take.
_LONGEST = 86_400
#: The parts of a detail that vary between events with the same problem.
_VARYING = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")


class Refusals(NamedTuple):
    """How many were rejected for the same reason, and an example: its id and detail."""

    dead_letters: int
    example: int
    detail: str


@dataclass(slots=True)
class Outcome:
    """The result of a replay.

    ``stored`` became rows, ``known`` were stored as rows before, and ``refused`` are the others, by
    reason and by what their details have in common. Of the stored ones, ``filled`` by column and
    ``repaired`` by ``column.kind`` hold values that are not the event's.
    """

    stored: int = 0
    known: int = 0
    refused: dict[tuple[str, str], Refusals] = field(default_factory=dict)
    filled: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)

    @property
    def total_refused(self) -> int:
        return sum(one.dead_letters for one in self.refused.values())

    def refuse(self, letter: int, reason: str, detail: str) -> None:
        """Count a dead letter that was rejected."""
        key = reason, _VARYING.sub("…", detail)
        before = self.refused.get(key, Refusals(0, letter, detail))
        self.refused[key] = before._replace(dead_letters=before.dead_letters + 1)


class Replayer:
    """Replays the dead letters of one consumer group.

    Args:
        engine: from ``db.connection.engine.connect``.
        group: the consumer group.
        stream: the stream of the events.
        announce: called in each transaction before it inserts events, so that the roll-up waits.
        deduplicate: whether to skip events whose ids are already stored.
    """

    def __init__(
        self,
        engine: Engine,
        group: str,
        stream: Stream,
        *,
        announce: Callable[[Connection], None],
        deduplicate: bool = False,
    ) -> None:
        self._engine = engine
        self._group = group
        self._stream = stream
        self._announce = announce
        self._letters = DeadLetters(engine, group)
        self._rows = DeduplicatingRowStore() if deduplicate else RowStore()

    def replay(
        self,
        wanted: Filter,
        limit: int | None = None,
        *,
        dry_run: bool = False,
        progress: Callable[[int], None] = lambda number: None,
    ) -> Outcome:
        """Store the pending dead letters that today's rules accept, oldest first.

        If its event is already stored, a dead letter is marked as replayed without a second row.

        Args:
            wanted: which dead letters.
            limit: maximum number; None for all.
            dry_run: roll back what was stored.
            progress: called after each portion with its size.

        Raises:
            TransientError, FatalError: see ``pipeline.errors``.
        """
        run = f"replay-{token_hex(4)}"
        outcome = Outcome()
        waiting = self._letters.portions(replace(wanted, pending=True), limit)
        with self._unpurged():
            for number, ids in enumerate(waiting, 1):
                self._store(ids, run, number, outcome, dry_run=dry_run)
                progress(len(ids))
        return outcome

    @contextmanager
    def _unpurged(self) -> Iterator[None]:
        """No purge of old dead letters meanwhile."""
        with classified(), self._engine.connect() as connection:
            # The session idles while others store.
            connection.exec_driver_sql(f"SET SESSION wait_timeout = {_LONGEST}")
            with server_lock(connection, REPLAY):
                yield
            connection.invalidate()

    def _store(
        self, ids: list[int], run: str, number: int, outcome: Outcome, *, dry_run: bool
    ) -> None:
        started = perf_counter()
        with transaction(self._engine) as connection:
            letters = connection.execute(
                select(dead_letters, *SESSION)
                .where(_id.in_(ids), dead_letters.c.replayed_at.is_(None))
                .order_by(_id)
                .with_for_update()
            ).all()
            chunk, refused = self._transform(letters)
            stored, marked = chunk, list(chunk.offsets)
            if marked:
                session = check_session(letters[0])
                self._announce(connection)
                write = Transaction(connection, self._stream, session, int(letters[0].packet))
                [new], [rows] = self._rows.store(write, [chunk])
                for row, detail in rows.items():
                    refused[new.offsets[row]] = UNSTORABLE, f"the database says: {detail}"
                stored = new.without(rows)
                marked = [letter for letter in marked if letter not in refused]
            if marked:
                self._mark(connection, marked, session)
                # The ledger has counted these events before; only their rows are new.
                seconds = perf_counter() - started
                batch = Batch.of(self._stream, number, datetime.now(UTC), [stored], seconds)
                line = on_server_clock(ledger_line(batch, self._group, run), batch)
                nothing = dict.fromkeys(("events", *empty_drops()), 0)
                connection.execute(insert(batches), line | nothing)
            if dry_run:
                connection.rollback()
        filled, repaired = self._stream.tally(stored.quality())
        outcome.filled.update(filled)
        outcome.repaired.update(repaired)
        outcome.stored += stored.valid
        outcome.known += len(marked) - stored.valid
        for letter, why in refused.items():
            outcome.refuse(letter, *why)

    def _transform(
        self, letters: "Sequence[Row[*tuple[Any, ...]]]"
    ) -> tuple[Chunk, dict[int, tuple[str, str]]]:
        """The rows by today's rules, and why the other dead letters have none.

        The dead letter's id takes the place of the offset.
        """
        refused = {
            row.id: (row.reason, "only part of the value was stored: send the event again")
            for row in letters
            if is_cut(row)
        }
        records = [
            PlainRecord(row.id, row.value, row.kafka_key)
            for row in letters
            if row.id not in refused
        ]
        chunk = Chunk.transform(self._stream, Partition("", 0), 0, 0, records)
        refused |= {letter.offset: (letter.reason, letter.detail) for letter in chunk.dead}
        return chunk, refused

    def _mark(self, connection: Connection, ids: list[int], session: int) -> None:
        marked = connection.execute(
            update(dead_letters)
            .where(_id.in_(ids), func.connection_id() == session)
            .values(replayed_at=datetime.now(UTC))
        )
        if marked.rowcount != len(ids):
            raise another_session(
                f"{len(ids)} dead letters were replayed, but only {marked.rowcount} could be marked"
            )
