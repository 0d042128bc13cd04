"""The flusher: takes chunks from the agent and writes them, every interval or when full.

Invariants:
- one write is in flight at a time; meanwhile the buffer fills, and reading stops when the memory
  allowed is used up (``pipeline.memory``);
- an error that passes is retried for ever; anything else ends the worker, and the events are read
  again. A row the database refuses is no error here: the writer makes it a dead letter.
"""

import asyncio
from collections.abc import Callable, Sequence
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
from pipeline.errors import FatalError, TransientError
from pipeline.originals import Originals, Reread
from pipeline.threads import in_thread

log = get_logger(__name__)

Listener = Callable[[Batch], None]

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
        reread: reads events again that only the database refuses.
        listeners: called with each batch after it is committed.
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
        batch = await self._write(next(self._numbers), opened, chunks)
        if batch is None:
            return
        if batch.events:
            log.info("%s", batch.line())
        for listener in self._listeners:
            listener(batch)

    async def _write(self, number: int, opened: datetime, chunks: list[Chunk]) -> Batch | None:
        loop = asyncio.get_running_loop()
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=_BACKOFF,
            before_sleep=self._before_retry,
        ):
            with attempt:
                batch = await in_thread(
                    self._writer.write,
                    number,
                    opened,
                    chunks,
                    Originals(self._reread, loop).read,
                    self._tick,
                )
        self._tick()
        self.last_write = self.last_tick
        if self.trouble:
            log.info("The database is back.")
        self.trouble = None
        return batch

    def _tick(self) -> None:
        """Note a sign of life. From any thread: finding many refused rows takes long."""
        self.last_tick = monotonic()

    async def _before_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.trouble = str(error)
        self.last_tick = monotonic()
        metrics.RETRIES.labels(getattr(error, "kind", "other")).inc()
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("Batch not written, trying again in %.1f s: %s", wait, error)
