"""The flusher: takes chunks from the agent and writes them, every interval or when full.

Invariants:
- one write is in flight at a time; meanwhile the buffer fills, and reading stops when the memory
  allowed is used up (``pipeline.memory``);
- an error that passes is retried for ever; a row the database refuses is found by splitting the
  batch and becomes a dead letter; anything else ends the worker, and the events are read again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import count
from time import monotonic
from typing import Any

from mode import Service
from mode.utils.logging import get_logger
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

import metrics
from db.writer import Writer
from pipeline.batch import Batch
from pipeline.buffer import Buffer
from pipeline.chunk import Chunk, Record
from pipeline.ending import end_worker
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.threads import in_thread

log = get_logger(__name__)

Listener = Callable[[Batch], None]
#: Reads the event at an offset of a partition again: a chunk keeps no values of valid events.
Reread = Callable[[str, int, int], Awaitable[Record | None]]
#: Is told of a row the database refuses: topic, partition, its words, offset.
RefusalListener = Callable[[str, int, str, int], None]

#: Seconds to the first write: whoever starts a worker wants to see rows.
FIRST_INTERVAL = 1.0

#: Seconds between tries while the database is away.
_BACKOFF = wait_exponential_jitter(multiplier=0.2, max=10, jitter=0.5)


class Flusher(Service):
    """Buffers chunks and writes them.

    Args:
        writer: the sink.
        interval: seconds between writes.
        max_events: events in one write, about; so many waiting start a write at once.
        max_bytes: the same in bytes.
        stop_timeout: seconds the last write may take.
        reread: reads an event again that only the database refuses.
        listeners: called with each batch after it is committed.
        on_refused: called with each row the database refuses, when it is found.
    """

    logger = log

    def __init__(
        self,
        writer: Writer,
        *,
        interval: float,
        max_events: int,
        max_bytes: int,
        stop_timeout: float,
        reread: Reread,
        listeners: Sequence[Listener] = (),
        on_refused: RefusalListener = lambda topic, partition, detail, offset: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._writer = writer
        self._interval = interval
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._stop_timeout = stop_timeout
        self._reread = reread
        self._listeners = listeners
        self._on_refused = on_refused
        self._numbers = count(1)
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self.buffer = Buffer()
        self.empty_ticks = 0
        self.last_tick: float | None = None
        self.last_write: float | None = None
        self.trouble: str | None = None

    def put(self, chunk: Chunk, epoch: int) -> None:
        """Buffer a chunk that was read in this epoch of the buffer.

        One that was read before its partitions were taken away is dropped: whoever has them now
        reads its events again.
        """
        if self.buffer.put(chunk, epoch) and self._is_due:
            self._wake.set()

    @property
    def _is_due(self) -> bool:
        """Whether so much waits that it is written at once."""
        waiting, size = self.buffer.waiting, self.buffer.waiting_bytes
        return waiting >= self._max_events or size >= self._max_bytes

    async def drain(self) -> None:
        """Write what is buffered while time allows, then forget the rest: it is read again."""
        try:
            async with asyncio.timeout(self._stop_timeout):
                while self.buffer:
                    await self.flush()
                async with self._lock:
                    pass
        except TimeoutError:
            log.warning(
                "Gave up the last write after %s s: its events will be read again.",
                self._stop_timeout,
            )
        except FatalError as error:
            await end_worker(self, error)
        forgotten = self.buffer.discard()
        if forgotten:
            log.info("%d buffered events were dropped and will be read again.", forgotten)

    async def flush(self) -> None:
        """Write one batch of what is waiting."""
        async with self._lock:
            taken = self.buffer.take(self._max_events, self._max_bytes)
            if taken is None:
                self.empty_ticks += 1
                metrics.EMPTY_TICKS.inc()
                return
            opened, chunks = taken
            try:
                await self._store(opened, chunks)
            finally:
                self.buffer.done()

    @Service.task
    async def _flush_at_intervals(self) -> None:
        fatal: FatalError | None = None
        due = monotonic() + min(self._interval, FIRST_INTERVAL)
        while not fatal:
            self.last_tick = monotonic()
            await self.wait_first(self._wake.wait(), timeout=max(0.0, due - monotonic()))
            if self.should_stop:
                return
            self._wake.clear()
            if monotonic() >= due:
                due = monotonic() + self._interval
            try:
                await self.flush()
            except FatalError as error:
                fatal = error
            if self._is_due:
                self._wake.set()
        await end_worker(self, fatal)

    async def on_stop(self) -> None:
        await self.drain()

    async def _store(self, opened: datetime, chunks: list[Chunk]) -> None:
        number = next(self._numbers)
        try:
            batch = await self._write(number, opened, chunks)
        except RowError as error:
            await self._isolate(opened, chunks, str(error))
            return
        if batch is None:
            return
        if batch.events:
            log.info("%s", batch.line())
        for listener in self._listeners:
            listener(batch)

    async def _isolate(self, opened: datetime, chunks: list[Chunk], detail: str) -> None:
        if sum(chunk.events for chunk in chunks) <= 1:
            chunk = next((chunk for chunk in chunks if chunk.valid), None)
            if chunk is None:
                raise FatalError(f"The database refuses a dead letter or a ledger line: {detail}.")
            refused = await self._as_dead_letter(chunk, f"the database says: {detail}")
            await self._store(opened, [refused if one is chunk else one for one in chunks])
            return
        if len(chunks) == 1:
            left, right = ([half] for half in chunks[0].split())
        else:
            middle = len(chunks) // 2
            left, right = chunks[:middle], chunks[middle:]
        await self._store(opened, left)
        await self._store(opened, right)

    async def _as_dead_letter(self, chunk: Chunk, detail: str) -> Chunk:
        offset = chunk.offsets[0]
        self._on_refused(chunk.topic, chunk.partition, detail, offset)
        record = await self._reread(chunk.topic, chunk.partition, offset)
        if record is None:
            detail += " (Kafka no longer has the event: the value is made from its row)"
            record = chunk.rebuilt()
        return chunk.as_dead_letter(record, detail)

    async def _write(self, number: int, opened: datetime, chunks: list[Chunk]) -> Batch | None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=_BACKOFF,
            before_sleep=self._before_retry,
        ):
            with attempt:
                try:
                    batch = await in_thread(self._writer.write, number, opened, chunks)
                except RowError:
                    self.last_tick = self.last_write = monotonic()
                    raise
        # Finding refused rows takes many writes: each is a sign of life.
        self.last_tick = self.last_write = monotonic()
        if self.trouble:
            log.info("The database is back.")
        self.trouble = None
        return batch

    async def _before_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.trouble = str(error)
        self.last_tick = monotonic()
        metrics.RETRIES.labels(getattr(error, "kind", "other")).inc()
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("Batch not written, trying again in %.1f s: %s", wait, error)
