"""Pings the database while nothing is written: without it even an idle worker is not ready.

A write shows the same for free, so the database is pinged only when no write has succeeded for some
seconds. There is one ping at a time: a server that accepts connections and never answers holds the
ping's thread and connection until the driver gives up.
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

#: Seconds without a write after which the database is pinged, and between pings.
QUIET = 3.0
#: Seconds that an answer may take. Both together are less than a load balancer's ten.
PING_TIMEOUT = 4.0


class DatabaseWatch(Service):
    """Pings the database while nothing is written.

    Args:
        ping: asks; blocking; raises TransientError or FatalError.
        last_write: when the last write succeeded (``time.monotonic``), or None.
    """

    logger = log

    def __init__(
        self, ping: Callable[[], None], last_write: Callable[[], float | None], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._ping = ping
        self._last_write = last_write
        self._asking: asyncio.Task[None] | None = None
        self._asked = 0.0
        self.last_error: str | None = None

    async def look(self) -> None:
        """Ask, unless a write has succeeded just now; ``last_error`` is what is wrong then."""
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
