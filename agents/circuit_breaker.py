"""The circuit breaker: a producer that deploys a broken format must not drain the topic.

When almost every event of a window would become a dead letter, it holds back what comes next:
nothing is read on, the worker stays in its group and is not ready. It closes again after a
pause, if one is set; on SIGHUP; or when the worker is started anew.
"""

import asyncio
from collections import Counter, deque

from mode.utils.logging import get_logger

import metrics
from pipeline.chunk import Chunk

log = get_logger(__name__)


class Breaker:
    """Holds chunks back while it is open.

    Args:
        share: of a window's events that opens it, above 0 and up to 1; 0 turns it off.
        window: events looked at, the newest ones.
        pause: seconds until it closes by itself; 0 for never.
    """

    def __init__(self, *, share: float, window: int, pause: float) -> None:
        self._share = share
        self._window = window
        self._pause = pause
        self._seen: deque[Chunk] = deque()
        self._events = 0
        self._dead = 0
        self._close = asyncio.Event()
        self.reason: str | None = None

    async def admit(self, chunk: Chunk) -> None:
        """Let a chunk pass, or wait until the breaker closes."""
        if not self._share:
            return
        self._look_at(chunk)
        if self._events < self._window or self._dead < self._share * self._events:
            return
        self._open()
        try:
            async with asyncio.timeout(self._pause or None):
                await self._close.wait()
        except TimeoutError:
            log.warning("The circuit breaker closes after %s s, to see.", self._pause)
        else:
            log.warning("The circuit breaker was told to close.")
        self._seen.clear()
        self._events = self._dead = 0
        self.reason = None
        metrics.BREAKER_OPEN.set(0)

    def close(self) -> None:
        """Close it, if it is open."""
        self._close.set()

    def _look_at(self, chunk: Chunk) -> None:
        self._seen.append(chunk)
        self._events += chunk.events
        self._dead += len(chunk.dead)
        while self._events - self._seen[0].events >= self._window:
            old = self._seen.popleft()
            self._events -= old.events
            self._dead -= len(old.dead)

    def _open(self) -> None:
        reasons = Counter(letter.reason.value for seen in self._seen for letter in seen.dead)
        commonest, _ = reasons.most_common(1)[0]
        chunk, letter = next(
            (seen, letter)
            for seen in reversed(self._seen)
            for letter in seen.dead
            if letter.reason == commonest
        )
        self._close.clear()
        self.reason = (
            f"{self._dead} of the last {self._events} events would be dropped, most of them "
            f"{commonest}, such as {chunk.topic}/{chunk.partition}/{letter.offset}: "
            f"{letter.detail}"
        )
        metrics.BREAKER_OPEN.set(1)
        log.critical(
            "The circuit breaker is open, nothing is read on: %s. Mend the producer and restart, "
            "send SIGHUP to go on, or set BREAKER_SHARE=0.",
            self.reason,
        )
