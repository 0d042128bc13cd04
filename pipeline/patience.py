"""Waits out what may pass by itself: a server that restarts, a partition without a leader."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

from mode.utils.logging import get_logger
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from pipeline.errors import NotYetError
from pipeline.log_events import named

log = get_logger(__name__)
_T = TypeVar("_T")

#: Seconds between attempts.
BACKOFF = wait_exponential_jitter(multiplier=0.25, max=5, jitter=0.25)
#: Seconds by which a wait may be late before this process counts as stopped meanwhile.
_LATE = 1.0


class Patience:
    """Repeats an attempt until what it lacks is there.

    Args:
        seconds: for how long; 0 for one attempt.
        setting: the variable that says so, for the sentences.
    """

    def __init__(self, seconds: float, setting: str = "START_TIMEOUT") -> None:
        self._seconds = seconds
        self._setting = setting
        #: What is waited for, in words, or None.
        self.waiting_for: str | None = None

    async def wait_out(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """What the attempt returns in the end. Each thing it waits for is logged once.

        Raises:
            NotYetError: time is up; the text says what is missing, and what refused it.
            FatalError: waiting does not help.
        """
        said: set[str] = set()

        async def say(state: RetryCallState) -> None:
            self.waiting_for = sentence = str(state.outcome and state.outcome.exception())
            if sentence not in said:
                said.add(sentence)
                log.warning(
                    "Waiting up to %.0f s (%s): %s",
                    self._seconds,
                    self._setting,
                    sentence,
                    extra=named("waiting"),
                )

        begun = monotonic()
        try:
            async for one in AsyncRetrying(
                retry=retry_if_exception_type(NotYetError),
                stop=self._is_over,
                wait=BACKOFF,
                before_sleep=say,
                reraise=True,
            ):
                with one:
                    return await attempt()
        except NotYetError as error:
            if not said:
                raise
            raise NotYetError(f"{error} Waited {monotonic() - begun:.0f} s for it.") from error
        finally:
            self.waiting_for = None
        raise AssertionError("an attempt returns or raises")

    def _is_over(self, state: RetryCallState) -> bool:
        error = state.outcome and state.outcome.exception()
        assert isinstance(error, NotYetError)
        assert state.seconds_since_start is not None
        return state.seconds_since_start >= min(self._seconds, error.patience)


async def is_done(task: "asyncio.Future[Any]", seconds: float) -> bool:
    """Whether a task ends within so many seconds, those not counted in which we were stopped.

    A process that was suspended finds its answers when it is resumed, and has to read them first.
    """
    while True:
        begun = monotonic()
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done or monotonic() - begun < seconds + _LATE:
            return bool(done)
