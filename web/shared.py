"""Answers of the database that all viewers of the live page share."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from pipeline.errors import FatalError, TransientError

#: Seconds for which the database's answer is reused, and that a viewer waits for a new one.
MAX_AGE = 2.0
ANSWER_TIMEOUT = 1.5
#: Seconds for which it is reused while nothing happens: what tells of other workers, and the rest.
LOOK_AGE = 30.0
IDLE_AGE = 60.0
#: After a query slower than SLOW seconds, the next one waits REST times as long as it took.
SLOW = 0.1
REST = 10


class Shared:
    """An answer of the database that all viewers share; getting it never takes long.

    Args:
        ask: asks the database.
        version: changes whenever the answer may have changed.
        idle_age: seconds for which the answer is reused while nothing happens.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Any]],
        version: Callable[[], object] = lambda: None,
        idle_age: float | None = None,
    ) -> None:
        self._ask = ask
        self._version = version
        self._idle_age = idle_age
        #: The version when the database was last asked.
        self._asked_of: object = self
        self._value: Any = None
        self._since: float | None = None
        self._error: str | None = None
        self._asking: asyncio.Task[None] | None = None
        self._asked = 0.0
        self._took = 0.0

    @property
    def value(self) -> Any:
        """The newest answer; None before the first."""
        return self._value

    async def get(self) -> dict[str, Any]:
        """The newest answer, its age in seconds, and the current error or None."""
        # However large the sums, viewers use at most a tenth of the database's time.
        is_idle = self._error is None and self._version() == self._asked_of
        rest = REST * self._took if self._took > SLOW else 0.0
        pause = max((self._idle_age or IDLE_AGE) if is_idle else MAX_AGE, rest)
        if self._asking is None and monotonic() - self._asked >= pause:
            self._asked, self._asked_of = monotonic(), self._version()
            self._asking = asyncio.create_task(self._refresh())
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=ANSWER_TIMEOUT)
        waited = monotonic() - self._asked
        error = self._error
        if self._asking is not None and waited >= ANSWER_TIMEOUT:
            error = f"no answer for {waited:.0f} s"
        age = None if self._since is None else round(monotonic() - self._since, 1)
        return {"value": self._value, "age": age, "error": error}

    async def _refresh(self) -> None:
        try:
            self._value = await self._ask()
            self._since, self._error = monotonic(), None
        except (TransientError, FatalError) as error:
            self._error = str(error)
        finally:
            self._took = monotonic() - self._asked
            self._asking = None
