"""The flusher: takes chunks from the agent and writes them, every interval or when full.

Invariants:
- one write is in flight at a time; meanwhile the buffer fills;
- what is put waits while the buffer is full, and nothing else is held back;
- an error that passes is retried for ever; a row the database refuses is found by halving and
  becomes a dead letter; anything else ends the worker, and the events are read again.
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
from pipeline.chunk import Chunk
from pipeline.ending import end_worker
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.threads import in_thread

log = get_logger(__name__)

Listener = Callable[[Batch], Awaitable[None]]

#: Seconds to the first write: whoever starts a worker wants to see rows.
FIRST_INTERVAL = 1.0

#: Seconds between tries while the database is away.
_BACKOFF = wait_exponential_jitter(multiplier=0.2, max=10, jitter=0.5)


class Flusher(Service):
    """Buffers chunks and writes them.

    Args:
        writer: the sink.
        interval: seconds between writes.
        flush_max_rows: events in one write, about; so many waiting start a write at once.
        buffer_max_rows: events held in memory at most.
        stop_timeout: seconds the last write may take.
        listeners: awaited with each batch after it is committed.
    """

    logger = log

    def __init__(
        self,
        writer: Writer,
        *,
        interval: float,
        flush_max_rows: int,
        buffer_max_rows: int,
        stop_timeout: float,
        listeners: Sequence[Listener] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._writer = writer
        self._interval = interval
        self._flush_max_rows = flush_max_rows
        self._stop_timeout = stop_timeout
        self._listeners = listeners
        self._numbers = count(1)
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self.buffer = Buffer(buffer_max_rows)
        self.empty_ticks = 0
        self.last_tick: float | None = None
        self.trouble: str | None = None

    async def put(self, chunk: Chunk, epoch: int) -> None:
        """Buffer a chunk that was read in this epoch of the buffer; waits while that is full.

        A chunk that was waiting when its partitions were taken away is dropped: whoever has
        them now reads its events again.
        """
        while not self.buffer.has_room(chunk) and epoch == self.buffer.epoch:
            self._wake.set()
            self._room.clear()
            await self._room.wait()
        if self.buffer.put(chunk, epoch) and self.buffer.waiting >= self._flush_max_rows:
            self._wake.set()

    async def let_go(self) -> None:
        """Write what is buffered while time allows, then forget the rest: it is read again."""
        try:
            async with asyncio.timeout(self._stop_timeout):
                while self.buffer.waiting:
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
        self._room.set()
        if forgotten:
            log.info("%d buffered events were let go and will be read again.", forgotten)

    async def flush(self) -> None:
        """Write one batch of what is waiting."""
        async with self._lock:
            taken = self.buffer.take(self._flush_max_rows)
            if taken is None:
                self.empty_ticks += 1
                metrics.EMPTY_TICKS.inc()
                return
            opened, chunks = taken
            try:
                await self._store(opened, chunks)
            finally:
                self.buffer.done(chunks)
                self._room.set()

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
            if self.buffer.waiting >= self._flush_max_rows:
                self._wake.set()
        await end_worker(self, fatal)

    async def on_stop(self) -> None:
        await self.let_go()

    async def _store(self, opened: datetime, chunks: list[Chunk]) -> None:
        number = next(self._numbers)
        try:
            batch = await self._write(number, opened, chunks)
        except RowError as error:
            await self._isolate(opened, chunks, str(error))
            return
        if batch is None:
            return
        log.info("%s", batch.line())
        for listener in self._listeners:
            await listener(batch)

    async def _isolate(self, opened: datetime, chunks: list[Chunk], detail: str) -> None:
        if sum(len(chunk.records) for chunk in chunks) == 1:
            if not chunks[0].valid:
                raise FatalError(f"The database refuses a dead letter or a ledger line: {detail}.")
            await self._store(opened, [chunks[0].condemned(f"the database says: {detail}")])
            return
        if len(chunks) == 1:
            left, right = ([half] for half in chunks[0].halves())
        else:
            middle = len(chunks) // 2
            left, right = chunks[:middle], chunks[middle:]
        await self._store(opened, left)
        await self._store(opened, right)

    async def _write(self, number: int, opened: datetime, chunks: list[Chunk]) -> Batch | None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=_BACKOFF,
            before_sleep=self._before_retry,
        ):
            with attempt:
                batch = await in_thread(self._writer.write, number, opened, chunks)
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
