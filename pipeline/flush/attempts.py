"""Attempts at a write, repeated until it succeeds or until an event may be at fault.

They record what is known of the database: when it last answered, how long a write has been waiting
for an answer, and what is wrong.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from time import monotonic
from typing import TypeVar

from mode.utils.logging import get_logger
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from pipeline import metrics
from pipeline.batch import Batch, Sink
from pipeline.chunk import Chunk
from pipeline.errors import DatabaseTrouble, TransientError
from pipeline.flush.refetch import Refetcher, RefetchSome
from pipeline.flush.retry import BACKOFF, is_retried
from pipeline.log_events import named
from pipeline.threads import in_thread

log = get_logger(__name__)

_T = TypeVar("_T")


class Attempts:
    """Calls the sink, each time in a new thread.

    Args:
        writer: the sink.
        refetch_some: refetches events whose rows the database rejects.
    """

    def __init__(self, writer: Sink, refetch_some: RefetchSome) -> None:
        self._writer = writer
        self._refetch_some = refetch_some
        self._numbers = count(1)
        #: The last sign of life (``time.monotonic``), and when the last write succeeded.
        self.last_tick: float | None = None
        self.last_write: float | None = None
        #: When the write that waits for an answer began, or None.
        self.unanswered_since: float | None = None
        #: What the last attempt found wrong.
        self.last_error: DatabaseTrouble | None = None

    async def write(self, opened: datetime, chunks: Sequence[Chunk], most: int) -> Batch:
        """Write one batch.

        Args:
            opened: when its first event arrived.
            chunks: its events.
            most: failures in a row that an event may have caused.

        Raises:
            TransientError: that many failed.
            FatalError: see ``Sink.write``.
        """
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        seen: list[TransientError] = []
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(partial(is_retried, seen, most)),
            wait=BACKOFF,
            before_sleep=self.before_retry,
        ):
            with attempt:
                refetch = Refetcher(self._refetch_some, loop).refetch
                batch = await self._ask(
                    self._writer.write, number, opened, chunks, refetch, self._answered
                )
        self.tick()
        self.last_write = self.last_tick
        if self.last_error:
            log.info("The database is back.", extra=named("database_back"))
        self.last_error = None
        return batch

    async def rehearse(self, chunk: Chunk) -> None:
        """See ``Sink.rehearse``."""
        await self._ask(self._writer.rehearse, chunk)

    def tick(self) -> None:
        """Record a sign of life, from any thread: finding many rejected rows takes long."""
        self.last_tick = monotonic()

    async def before_retry(self, state: RetryCallState) -> None:
        """Record and log why a write is retried."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError):
            self.last_error = DatabaseTrouble.of(error)
        self.tick()
        metrics.RETRIES.labels(getattr(error, "kind", "other")).inc()
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning(
            "Batch not written, retrying in %.1f s: %s",
            wait,
            error,
            extra=named("write_retried", kind=getattr(error, "kind", "other")),
        )

    async def _ask(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call the sink, and record since when it has been waiting."""
        self.unanswered_since = monotonic()
        try:
            return await in_thread(function, *arguments)
        finally:
            self.unanswered_since = None

    def _answered(self) -> None:
        """Record that the write in flight makes progress. Called from its thread."""
        if self.unanswered_since is not None:
            self.unanswered_since = monotonic()
        self.tick()
