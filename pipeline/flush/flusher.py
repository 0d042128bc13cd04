"""The flusher: takes chunks from the agent and writes them, every interval or when enough wait.

Invariants:
- one write is in flight at a time; meanwhile the buffer fills, and at the memory limit reading
  stops (``pipeline.memory``);
- a transient error is retried for ever; any other error ends the worker, and the events are
  re-read. A row that the database rejects is no error here: the writer makes it a dead letter;
- if an error recurs that is not about the connection or the server's state, the batch is bisected
  (``pipeline.flush.search``). A bad event is logged, blocks its partition and is retried; all
  others are written. If no event is at fault, it is an outage.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from mode import Service
from mode.utils.logging import get_logger
from tenacity import AsyncRetrying, retry_if_exception_type

from pipeline import metrics
from pipeline.batch import Batch, Sink
from pipeline.chunk import Chunk
from pipeline.errors import TOO_LARGE, DatabaseTrouble, FatalError, TransientError
from pipeline.flush.attempts import Attempts
from pipeline.flush.buffer import Buffer
from pipeline.flush.refetch import RefetchSome
from pipeline.flush.retry import MAX_ATTEMPTS, SEARCH_BACKOFF
from pipeline.flush.search import Search, Stuck, Trial, describe, spread
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.shutdown import end_worker

log = get_logger(__name__)

Listener = Callable[[Batch], None]

#: Seconds until the first write: a worker that has just started should soon show rows.
FIRST_INTERVAL = 1.0

#: Called with all partitions that are blocked by an event that cannot be written.
StuckListener = Callable[[Collection[Partition]], None]


class Flusher(Service):
    """Buffers chunks and writes them.

    Args:
        writer: the sink.
        interval: seconds between writes.
        max_events: approximate events in a write; that many waiting start one at once.
        max_bytes: the same in bytes.
        stop_timeout: seconds the final flush may take.
        refetch_some: refetches events whose rows the database rejects.
        listeners: called with each batch after its commit.
        on_stuck: called with the blocked partitions, when these change.
    """

    logger = log

    def __init__(
        self,
        writer: Sink,
        *,
        interval: float,
        max_events: int,
        max_bytes: int,
        stop_timeout: float,
        refetch_some: RefetchSome,
        listeners: Sequence[Listener] = (),
        on_stuck: StuckListener = lambda partitions: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._attempts = Attempts(writer, refetch_some)
        self._interval = interval
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._stop_timeout = stop_timeout
        self._listeners = listeners
        self._on_stuck = on_stuck
        #: The event that cannot be written, by blocked partition.
        self._stuck: dict[Partition, Stuck] = {}
        #: Maximum events of a write, while the server takes no larger ones.
        self._cap = max_events
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self.buffer = Buffer()
        self.empty_flushes = 0
        #: When the next flush is due (``time.monotonic``).
        self.due = 0.0
        #: Which events cannot be written and why, as text.
        self.stuck: str | None = None

    def put(self, chunk: Chunk) -> None:
        """Buffer a chunk; flush soon if enough is waiting."""
        self.buffer.put(chunk)
        if self._is_due:
            self._wake.set()

    @property
    def _is_due(self) -> bool:
        """Whether enough is waiting to write it at once."""
        waiting, size = self.buffer.waiting, self.buffer.waiting_bytes
        if self._stuck:
            # Each write retries what is stuck first: not more often than needed.
            return False
        return waiting >= self._max_events or size >= self._max_bytes

    @property
    def is_writing(self) -> bool:
        """Whether a write is in flight."""
        return self._lock.locked()

    @property
    def last_tick(self) -> float | None:
        """The last sign of life (``time.monotonic``)."""
        return self._attempts.last_tick

    @property
    def last_write(self) -> float | None:
        """When the last write succeeded (``time.monotonic``)."""
        return self._attempts.last_write

    @property
    def unanswered_since(self) -> float | None:
        """When the write that waits for an answer began, or None."""
        return self._attempts.unanswered_since

    @property
    def last_error(self) -> DatabaseTrouble | None:
        """What the last attempt found wrong."""
        return self._attempts.last_error

    async def drain(self) -> None:
        """Write what is buffered while time allows; drop the rest, which is re-read."""
        try:
            async with asyncio.timeout(self._stop_timeout):
                while self.buffer:
                    await self.flush()
                    if self._stuck:
                        break
                async with self._lock:
                    pass
        except TimeoutError:
            log.warning(
                "Final flush timed out after %s s; unwritten events will be re-read.",
                self._stop_timeout,
                extra=named("final_flush_timed_out"),
            )
        except FatalError as error:
            end_worker(self, error)
        self._note_stuck({})
        forgotten = self.buffer.discard()
        if forgotten:
            log.info(
                "%d buffered events were dropped and will be re-read.",
                forgotten,
                extra=named("buffer_dropped", events=forgotten),
            )

    async def flush(self) -> None:
        """Write one batch of what is waiting."""
        async with self._lock:
            taken = self.buffer.take(self._cap, self._max_bytes)
            if taken is None and not self._stuck:
                self.empty_flushes += 1
                metrics.EMPTY_FLUSHES.inc()
                return
            opened, chunks = taken or (datetime.now(UTC), [])
            epoch = self.buffer.epoch
            left: Sequence[Chunk] = ()
            try:
                left = await self._store(opened, chunks)
                if epoch != self.buffer.epoch:
                    # Its partitions were revoked meanwhile: their new owner re-reads it.
                    self._note_stuck({})
                    left = ()
            finally:
                self.buffer.done(left)

    @Service.task
    async def _flush_at_intervals(self) -> None:
        fatal: FatalError | None = None
        self.due = monotonic() + min(self._interval, FIRST_INTERVAL)
        while not fatal:
            self._attempts.tick()
            await self.wait_first(self._wake.wait(), timeout=max(0.0, self.due - monotonic()))
            if self.should_stop:
                return
            self._wake.clear()
            if monotonic() >= self.due:
                self.due = monotonic() + self._interval
            try:
                await self.flush()
            except FatalError as error:
                fatal = error
            if self._is_due:
                self._wake.set()
        end_worker(self, fatal)

    async def on_stop(self) -> None:
        await self.drain()

    async def _store(self, opened: datetime, chunks: list[Chunk]) -> list[Chunk]:
        """Write what can be written; return the rest."""
        failure = None
        if not self._stuck:
            try:
                await self._write(opened, chunks, MAX_ATTEMPTS)
            except TransientError as error:
                log.warning(
                    "The batch cannot be written, bisecting for the bad event: %s",
                    error,
                    extra=named("batch_rejected"),
                )
                failure = error
            else:
                # Try whether the server accepts larger writes again.
                self._cap = min(self._max_events, self._cap + 1 + self._cap // 10)
                return []
        left = [*self.buffer.stuck, *chunks]
        places = spread()
        epoch = self.buffer.epoch
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=SEARCH_BACKOFF,
            before_sleep=self._attempts.before_retry,
        ):
            with attempt:
                search = self._new_search(left, places)
                await self._run(search, opened, failure)
                left, failure = search.left, None
                self._note_stuck(search.stuck)
                if search.outage and epoch == self.buffer.epoch:
                    left += self._more(left)
                    raise search.outage
        self._attempts.last_error = None
        return left

    def _new_search(self, chunks: Sequence[Chunk], places: Iterator[float]) -> Search:
        suspects = [one.chunk for one in self._stuck.values()]
        others = [chunk for chunk in chunks if all(chunk is not one for one in suspects)]
        return Search(others, self._stuck, places)

    async def _run(self, search: Search, opened: datetime, failure: TransientError | None) -> None:
        """Carry out a search; ``failure`` is the error of all chunks together, if known."""
        trial = search.next()
        while trial:
            error = failure or await self._failure(opened, trial)
            failure = None
            if error:
                self._attempts.tick()
                self._shrink(trial.chunks, error)
            trial = search.next(error)

    async def _failure(self, opened: datetime, trial: Trial) -> TransientError | None:
        """Carry out a trial; return its error, if any."""
        try:
            if trial.is_rehearsal:
                await self._attempts.rehearse(*trial.chunks)
            else:
                await self._write(opened, trial.chunks, 1)
        except TransientError as error:
            return error
        return None

    def _more(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """What has arrived meanwhile: one of these events may show that another is at fault."""
        room = self._cap - sum(chunk.events for chunk in chunks)
        taken = self.buffer.take(room, self._max_bytes) if room > 0 else None
        return taken[1] if taken else []

    def _shrink(self, chunks: Sequence[Chunk], error: TransientError) -> None:
        events = sum(chunk.events for chunk in chunks)
        if error.kind == TOO_LARGE and events > 1:
            self._cap = min(self._cap, events // 2)

    def _note_stuck(self, stuck: dict[Partition, Stuck]) -> None:
        sentence = describe(stuck) or None
        if sentence and sentence != self.stuck:
            log.error("An event cannot be stored: %s", sentence, extra=named("event_stuck"))
        if self.stuck and not sentence:
            log.info("Recovered: no event is blocked.", extra=named("event_unstuck"))
        if stuck.keys() != self._stuck.keys():
            self._on_stuck(stuck.keys())
        self._stuck, self.stuck = stuck, sentence

    async def _write(self, opened: datetime, chunks: list[Chunk], most: int) -> None:
        """Write one batch, and call the listeners; see ``Attempts.write``."""
        batch = await self._attempts.write(opened, chunks, most)
        for listener in self._listeners:
            listener(batch)
