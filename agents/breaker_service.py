"""The service around the circuit breaker: it pauses partitions, makes attempts and seeks back.

Open breakers are recorded in the database, so that a pause outlasts restarts and rebalances, and
`faust -A app breaker` works from anywhere. Changes made there come with the database watch, which
reads the offsets anyway: no statement is sent for them. While the database is away such requests
wait: nothing here stops the worker.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from math import inf, isinf
from time import monotonic
from typing import Any

from mode import Service
from mode.utils.logging import get_logger

from agents import breaker_words
from agents.circuit_breaker import CircuitBreaker, Opening
from db.breakers import BreakerStore, OpenBreaker
from pipeline import metrics
from pipeline.batch import Batch
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.threads import in_thread

log = get_logger(__name__)

#: Seconds until the database is asked again after an error: when it is away, and otherwise.
RETRY_PAUSE = 2.0
LONG_RETRY_PAUSE = 30.0
#: Seconds to wait while nothing is due: an event ends the wait earlier.
IDLE = 3600.0


class BreakerService(Service):
    """Carries out what the breaker decides.

    Args:
        breaker: the state.
        store: the group's breakers in the database.
        hold: stops reading these partitions and reads all others.
        seek_back: reads a partition again from an offset on.
        is_backlog: whether the newest events of a partition are good again.
    """

    logger = log

    def __init__(
        self,
        breaker: CircuitBreaker,
        store: BreakerStore,
        *,
        hold: Callable[[Collection[Partition]], None],
        seek_back: Callable[[Partition, int], Awaitable[None]],
        is_backlog: Callable[[Partition], Awaitable[bool]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._breaker = breaker
        self._store = store
        self._hold = hold
        self._seek_back = seek_back
        self._is_backlog = is_backlog
        self._assigned: set[Partition] = set()
        #: Partitions whose record in the database is not read yet: held until it is.
        self._unread: set[Partition] = set()
        #: Partitions that flow again once their position is set back, and to which offset.
        self._rewinds: dict[Partition, int] = {}
        self._held: set[Partition] | None = None
        #: Openings that were logged, and those recorded in the database.
        self._announced: dict[Partition, Opening] = {}
        self._recorded: dict[Partition, Opening] = {}
        #: When something was last recorded: what was read before is outdated.
        self._recorded_at = 0.0
        #: Partitions of which a person asked for an attempt.
        self._requested: set[Partition] = set()
        self._due = asyncio.Event()
        self._changed = asyncio.Event()
        self._last_error: str | None = None

    def admit(self, chunk: Chunk) -> Chunk | None:
        """The part of a chunk that may be flushed; where there is none, its memory is released."""
        admitted = self._breaker.admit(chunk)
        if admitted is None and chunk.lease is not None:
            chunk.lease.release()
        self._apply()
        return admitted

    def committed(self, batch: Batch) -> None:
        """Judge the partitions of a committed batch by the rows that were rejected."""
        by_partition = defaultdict(list)
        for one in batch.refused:
            by_partition[one.partition].append(one)
        for partition, end in batch.offsets.items():
            rows = batch.rows.get(partition, 0)
            self._breaker.stored(partition, rows, by_partition[partition], end)
        self._apply()

    def close_all(self) -> None:
        """Let each open breaker of this worker make an attempt, soon."""
        self._request(self._breaker.open)

    def forget(self) -> None:
        """The worker's partitions are revoked: their next owner reads them again."""
        self._breaker.forget()
        for one in (self._assigned, self._unread, self._requested):
            one.clear()
        for other in (self._rewinds, self._recorded, self._announced):
            other.clear()
        self._apply()

    def assigned(self, partitions: Collection[Partition]) -> None:
        """The worker is assigned these partitions, and reads them from their stored offsets."""
        self.forget()
        self._assigned.update(partitions)
        self._unread.update(partitions)
        self._changed.set()
        self._apply()

    def found_open(self, breakers: Sequence[OpenBreaker], asked: float) -> None:
        """The database's open breakers, asked for at a time (``time.monotonic``). Thread-safe."""
        with suppress(RuntimeError):  # the loop of a worker that is ending may be closed
            self.loop.call_soon_threadsafe(self._compare, breakers, asked)

    @property
    def are_known(self) -> bool:
        """Whether the records of all assigned partitions are read: they are held until then."""
        return not self._unread

    @property
    def reason(self) -> str | None:
        """What is held, why, and what ends it, in words; None where nothing is."""
        held = [self._breaker.open[one] for one in sorted(self._held_open)]
        return "; ".join(breaker_words.sentence(self._breaker, one) for one in held) or None

    def as_json(self) -> list[dict[str, Any]]:
        """The open breakers, as ``/batches/`` shows them."""
        return [breaker_words.as_json(self._breaker, one) for one in self._breaker.open.values()]

    @property
    def _held_open(self) -> set[Partition]:
        return self._breaker.held & self._breaker.open.keys()

    def _request(self, partitions: Iterable[Partition]) -> None:
        self._requested.update(partitions)
        self._due.set()

    def _apply(self) -> None:
        """Hold what must be held, and show it."""
        if rewinds := self._breaker.take_rewinds():
            self._rewinds |= rewinds
            self._due.set()
        open_now = self._breaker.held
        held = open_now | self._rewinds.keys() | self._unread
        if held != self._held:
            self._held = held
            self._hold(held)
            metrics.BREAKER_OPEN.set(bool(open_now))
            metrics.BREAKER_OPEN_PARTITIONS.set(len(open_now))
        openings = self._breaker.open
        if openings != self._announced:
            breaker_words.log_changes(self._breaker, self._announced, self._assigned)
            self._announced = openings
            self._due.set()
        if openings != self._recorded:
            self._changed.set()

    @Service.task
    async def _attempt_when_due(self) -> None:
        while not self.should_stop:
            wait = min(IDLE, max(0.0, self._breaker.next_due - self._breaker.clock()))
            await self.wait_first(self._due.wait(), timeout=wait)
            self._due.clear()
            requested, self._requested = self._requested, set()
            for key in requested:
                self._attempt(key, is_backlog=True, why="on request")
            due = self._breaker.due
            answers = await asyncio.gather(*map(self._look_ahead, due))
            for key, is_backlog in zip(due, answers, strict=True):
                if key in self._breaker.due:  # still, though reading the log took time
                    self._attempt(key, is_backlog=is_backlog, why="after its pause")
            self._apply()
            await self._rewind()

    async def _look_ahead(self, key: Partition) -> bool:
        opening = self._breaker.open.get(key)
        return bool(opening and not opening.is_by_database) and await self._is_backlog(key)

    def _attempt(self, key: Partition, *, is_backlog: bool, why: str) -> None:
        if key in self._breaker.open:
            self._breaker.attempt(key, is_backlog=is_backlog)
            log.info(
                "The circuit breaker of %s is half open, %s.",
                key,
                why,
                extra=named("breaker_half_open", partition=str(key)),
            )

    async def _rewind(self) -> None:
        """Set back the positions of partitions that flow again, and only then read them."""
        for key, offset in list(self._rewinds.items()):
            if self._rewinds.get(key) != offset:
                continue  # it was revoked meanwhile
            try:
                await self._seek_back(key, offset)
            finally:
                self._rewinds.pop(key, None)
                self._apply()

    @Service.task
    async def _keep_in_database(self) -> None:
        while not self.should_stop:
            await self.wait_first(self._changed.wait(), timeout=IDLE)
            self._changed.clear()
            try:
                await self._read()
                await self._record()
            except (TransientError, RowError, FatalError) as error:
                if str(error) != self._last_error:
                    log.info(
                        "Open circuit breakers cannot be recorded in the database now: %s",
                        error,
                        extra=named("breaker_not_recorded"),
                    )
                self._last_error = str(error)
                is_away = isinstance(error, TransientError)
                if not is_away and self._unread:
                    # A missing right, say: better to read on than to wait for it.
                    self._unread.clear()
                    self._apply()
                await self.sleep(RETRY_PAUSE if is_away else LONG_RETRY_PAUSE)
                self._changed.set()
            else:
                self._last_error = None

    async def _read(self) -> None:
        """Read what the database says of partitions that were assigned."""
        if not self._unread:
            return
        unread = set(self._unread)
        for row in await in_thread(self._store.find):
            if row.partition in unread & self._unread:
                self._take_over(row)
        self._unread -= unread
        self._apply()

    def _take_over(self, row: OpenBreaker) -> None:
        due_in = row.due_in
        if due_in is None and not row.is_by_a_person:
            due_in = self._breaker.pause  # of a worker that waits for a person, or of an older one
        if self._breaker.share:
            self._breaker.hold(
                row.partition, row.reason, row.age, inf if due_in is None else due_in
            )
            self._recorded[row.partition] = self._breaker.open[row.partition]
        else:
            self._recorded[row.partition] = Opening(row.partition, row.reason, 0.0, inf)
        if row.close_requested:
            self._request([row.partition])

    async def _record(self) -> None:
        openings = self._breaker.open
        if closed := self._recorded.keys() - openings.keys():
            await in_thread(self._store.clear, sorted(closed))
            for partition in closed & self._recorded.keys():
                del self._recorded[partition]
        for partition, opening in openings.items():
            if self._recorded.get(partition) is not opening and partition in self._assigned:
                now = self._breaker.clock()
                due_in = None if isinf(opening.due) else opening.due - now
                await in_thread(
                    self._store.open, partition, opening.reason, now - opening.since, due_in
                )
                if partition in self._assigned:
                    self._recorded[partition] = opening
        self._recorded_at = monotonic()

    def _compare(self, breakers: Sequence[OpenBreaker], asked: float) -> None:
        """Follow what a person changed in the database."""
        openings = self._breaker.open
        if asked <= self._recorded_at or self._unread or openings != self._recorded:
            return  # older than what this worker knows
        if not self._breaker.share:
            return  # what a person opens is for workers that have it on
        found = {row.partition: row for row in breakers if row.partition in self._assigned}
        for key, row in found.items():
            if row.is_by_a_person and (key not in openings or not isinf(openings[key].due)):
                self._take_over(row)
            elif key not in openings:
                # A late record of the partition's last owner: it is cleared.
                self._recorded[key] = Opening(key, row.reason, 0.0, inf)
            elif row.close_requested and not self._breaker.is_half_open(key):
                self._request([key])
        for gone in openings.keys() - found.keys():
            # Someone cleared it: it is recorded again.
            self._recorded.pop(gone, None)
        self._apply()
