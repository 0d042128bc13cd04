"""The service around the circuit breaker: it holds partitions, seeks back, and closes breakers.

Open breakers are recorded in the database, where `faust -A app breaker close` requests that they be
closed. While the database is away such requests wait: nothing here stops the worker.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from time import monotonic
from typing import Any

from mode import Service
from mode.utils.logging import get_logger

from agents.circuit_breaker import CircuitBreaker, Opening
from db.breakers import BreakerStore
from pipeline import metrics
from pipeline.batch import Batch
from pipeline.chunk import Chunk
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.partition import Partition
from pipeline.threads import in_thread

log = get_logger(__name__)

#: Seconds between polls for requests to close, while a breaker is open.
POLL_INTERVAL = 2.0
#: Seconds to wait while nothing is due: an event ends the wait earlier.
IDLE = 3600.0

#: Seconds that a stopping worker spends at most on clearing its rows.
CLEAR_TIMEOUT = 1.0


class BreakerService(Service):
    """Carries out what the breaker decides.

    Args:
        breaker: the state.
        store: the group's breakers in the database.
        pause: seconds after which a partition's breaker closes by itself; never where it is 0.
        hold: stops reading these partitions and reads all others.
        seek_back: reads a partition again from an offset on.
    """

    logger = log

    def __init__(
        self,
        breaker: CircuitBreaker,
        store: BreakerStore,
        *,
        pause: float,
        hold: Callable[[Collection[Partition]], None],
        seek_back: Callable[[Partition, int], Awaitable[None]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._breaker = breaker
        self._store = store
        self._pause = pause
        self._hold = hold
        self._seek_back = seek_back
        #: Openings that were logged, each with the ``time.monotonic`` of that.
        self._since: dict[Partition, tuple[Opening, float]] = {}
        #: Openings whose close was requested.
        self._close_requested: set[Opening] = set()
        #: Partitions whose breaker is closed, and whose position is still to be set back.
        self._closing: set[Partition] = set()
        #: Openings recorded in the database, and partitions whose row there may be outdated.
        self._recorded: dict[Partition, Opening] = {}
        self._outdated: set[Partition] = set()
        self._due = asyncio.Event()
        self._changed = asyncio.Event()
        self._last_error: str | None = None

    def admit(self, chunk: Chunk) -> bool:
        """Whether a chunk may be flushed; if not, its memory is released."""
        admitted = self._breaker.admit(chunk)
        if not admitted and chunk.lease is not None:
            chunk.lease.release()
        self._announce()
        return admitted

    def committed(self, batch: Batch) -> None:
        """Judge the partitions of a committed batch by the rows that were rejected."""
        by_partition = defaultdict(list)
        for one in batch.refused:
            by_partition[one.partition].append(one)
        for partition, number in batch.rows.items():
            self._breaker.stored(partition, number, by_partition[partition])
        self._announce()

    def close_all(self) -> None:
        """Close every open breaker of this worker, soon."""
        self._request_close(self._breaker.open.values())

    def forget(self) -> None:
        """The worker's partitions are revoked: their next owner reads them again."""
        self._breaker.forget()
        self._closing.clear()
        self._close_requested.clear()
        self._recorded.clear()
        self._outdated.clear()
        self._apply()

    def assigned(self, partitions: Collection[Partition]) -> None:
        """The worker is assigned these partitions, and reads them from their stored offsets."""
        self.forget()
        self._outdated.update(partitions)
        self._changed.set()

    @property
    def reason(self) -> str | None:
        """What is held and why, in words; None where nothing is."""
        return (
            "; ".join(
                f"{one.partition} is held, {one.reason}" for one in self._breaker.open.values()
            )
            or None
        )

    def as_json(self) -> list[dict[str, Any]]:
        """The open breakers, as ``/batches/`` shows them."""
        return [
            {
                "topic": one.partition.topic,
                "partition": one.partition.number,
                "opened": one.opened.isoformat(timespec="milliseconds"),
                "reason": one.reason,
            }
            for one in self._breaker.open.values()
        ]

    async def on_stop(self) -> None:
        """Clear this worker's rows, if the database answers at once."""
        if self._recorded:
            with suppress(TransientError, RowError, FatalError, TimeoutError):
                async with asyncio.timeout(CLEAR_TIMEOUT):
                    await in_thread(self._store.clear, list(self._recorded))

    def _announce(self) -> None:
        new = [
            opening
            for key, opening in self._breaker.open.items()
            if self._since.get(key, (None,))[0] is not opening
        ]
        if not new:
            return
        self._apply()
        self._due.set()
        self._changed.set()
        for opening in new:
            log.critical(
                "The circuit breaker is open: %s is held, other partitions continue: %s. "
                "When the cause is gone, run `faust -A app breaker close` or send SIGHUP; "
                "BREAKER_SHARE=0 turns it off. A restart does not close it: the same events are "
                "read again and open it again.",
                opening.partition,
                opening.reason,
            )

    def _apply(self) -> None:
        """Hold what must be held, and show it."""
        held = self._breaker.open
        self._since = {
            key: found
            if (found := self._since.get(key)) and found[0] is opening
            else (opening, monotonic())
            for key, opening in held.items()
        }
        self._hold(held.keys() | self._closing)
        metrics.BREAKER_OPEN.set(bool(held))
        metrics.BREAKER_OPEN_PARTITIONS.set(len(held))

    def _request_close(self, openings: Collection[Opening]) -> None:
        self._close_requested.update(openings)
        self._due.set()

    @Service.task
    async def _close_when_due(self) -> None:
        while not self.should_stop:
            await self.wait_first(self._due.wait(), timeout=self._until_due())
            self._due.clear()
            requested, self._close_requested = self._close_requested, set()
            for key, (opening, since) in list(self._since.items()):
                if opening in requested:
                    await self._close(key, "on request")
                elif self._pause and monotonic() - since >= self._pause:
                    await self._close(key, f"after its pause of {self._pause} s")

    def _until_due(self) -> float:
        if not self._pause or not self._since:
            return IDLE
        first = min(since for _, since in self._since.values())
        return max(0.0, first + self._pause - monotonic())

    async def _close(self, key: Partition, why: str) -> None:
        if key not in self._breaker.open:
            return  # its partition was revoked meanwhile
        log.warning("The circuit breaker of %s closes %s.", key, why)
        resume = self._breaker.close(key)
        self._outdated.add(key)
        self._changed.set()
        if resume is not None:
            self._closing.add(key)
            try:
                await self._seek_back(key, resume)
            finally:
                self._closing.discard(key)
        self._apply()

    @Service.task
    async def _keep_in_database(self) -> None:
        while not self.should_stop:
            busy = self._since or self._outdated
            await self.wait_first(self._changed.wait(), timeout=POLL_INTERVAL if busy else IDLE)
            self._changed.clear()
            try:
                await self._look_into_database()
            except (TransientError, RowError, FatalError) as error:
                if str(error) != self._last_error:
                    log.info(
                        "Open circuit breakers cannot be recorded in the database now: %s", error
                    )
                self._last_error = str(error)
                await self.sleep(POLL_INTERVAL)
            else:
                self._last_error = None

    async def _look_into_database(self) -> None:
        held = self._breaker.open
        if closed := self._outdated - held.keys():
            await in_thread(self._store.clear, list(closed))
            self._outdated -= closed
            for partition in closed:
                self._recorded.pop(partition, None)
        for partition, opening in held.items():
            if self._recorded.get(partition) is not opening:
                await in_thread(self._store.open, partition, opening.reason)
                if opening in self._breaker.open.values():
                    self._recorded[partition] = opening
                    self._outdated.discard(partition)
        if not self._recorded:
            return
        recorded = dict(self._recorded)
        found = {row.partition: row for row in await in_thread(self._store.find)}
        for partition, opening in recorded.items():
            if partition not in found:
                # Someone cleared it: stored again in the next round.
                self._recorded.pop(partition, None)
            elif found[partition].close_requested is not None:
                self._request_close([opening])
