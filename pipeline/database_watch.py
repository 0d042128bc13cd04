"""Looks whether the database answers, so that a worker is not ready for longer than ten seconds
without: while it is idle, and while a write waits for an answer.

A write that fails or succeeds tells the same for nothing, so questions are asked only when none has
succeeded for some seconds. One is asked at a time, as a server that accepts connections and never
answers holds its thread and its connection until the driver gives up. A server may answer questions
and no writes: its disk is full, a table is locked.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError, TransientError
from pipeline.threads import in_thread

log = get_logger(__name__)

#: Seconds without a write after which the database is asked, and between questions.
QUIET = 2.0
#: Seconds that an answer may take. With twice the other it is less than a load balancer's ten.
PING_TIMEOUT = 4.0
#: Seconds that a write may wait for an answer.
WRITE_TIMEOUT = 7.0


class DatabaseWatch(Service):
    """Asks the database for a sign of life while nothing is written.

    Args:
        ping: asks; blocking; raises TransientError or FatalError.
        last_write: when the last write succeeded (``time.monotonic``), or None.
        unanswered_since: since when a write waits for an answer, or None.
    """

    logger = log

    def __init__(
        self,
        ping: Callable[[], None],
        last_write: Callable[[], float | None],
        unanswered_since: Callable[[], float | None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._ping = ping
        self._last_write = last_write
        self._unanswered_since = unanswered_since
        self._asking: asyncio.Task[None] | None = None
        self._asked = 0.0
        self.last_error: str | None = None

    async def look(self) -> None:
        """Ask, unless a write has succeeded just now; ``last_error`` is what is wrong then."""
        since = self._unanswered_since()
        if since is not None and (waited := monotonic() - since) > WRITE_TIMEOUT:
            self._set_last_error(f"no answer to a write for {waited:.0f} s")
            return
        wrote = self._last_write()
        if wrote is not None and monotonic() - wrote < QUIET:
            self._set_last_error(None)
            return
        if self._asking is None:
            self._asked = monotonic()
            self._asking = asyncio.create_task(in_thread(self._ping))
        done, _ = await asyncio.wait({self._asking}, timeout=PING_TIMEOUT)
        if not done:
            self._set_last_error(f"no answer for {monotonic() - self._asked:.0f} s")
            return
        task, self._asking = self._asking, None
        try:
            task.result()
        except (TransientError, FatalError) as error:
            # What is fatal to a write ends the worker at the next one; until then it is not ready.
            self._set_last_error(str(error))
        else:
            self._set_last_error(None)

    @Service.task
    async def _look_now_and_then(self) -> None:
        while not self.should_stop:
            await self.sleep(QUIET)
            await self.look()

    def _set_last_error(self, error: str | None) -> None:
        if error and not self.last_error:
            log.warning("The database does not answer: %s", error)
        elif self.last_error and not error:
            log.info("The database answers again.")
        self.last_error = error
