"""Keeps the sales sums up to date in the background, without ever delaying a write.

Every worker runs the service; a lock in the database lets one of them work at a time, and the
others find the work done. Errors are logged, counted and shown; they never end the worker or make
it unready.
"""

import asyncio
from collections.abc import Callable
from random import uniform
from time import monotonic
from typing import Any, NamedTuple

from mode import Service
from mode.utils.logging import get_logger

from pipeline import metrics
from pipeline.batch import Batch
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.log_events import named
from pipeline.threads import in_thread

log = get_logger(__name__)

#: Seconds until the first step.
FIRST = 1.0
#: While rows arrive, the service rests this many times as long as a step took, so that events come
#: first: it takes an eighth of one of the database's cores, and half of one once the sums are older
#: than ``LATE`` seconds, as under endless load.
REST, LATE_REST = 7.0, 1.0
LATE = 60.0
#: Deadlocks in a row that are retried at once; more are a stall.
DEADLOCKS = 5
#: Seconds between steps while nothing is stored: rows of other programs are found this late.
IDLE = 60.0


class Progress(NamedTuple):
    """How far the sums are.

    ``summed_to`` and ``newest`` are ids of rows; ``seconds`` is the time since the sums were last
    complete, 0 while they are. ``rows`` is how many this step summed; in ``wait`` seconds there may
    be more to do. ``error`` says why the sums are stalled, ``warning`` what
    they rest on. The sums by category lack the rows of
    the last ``categories_behind`` ids that the other sums have, as after an upgrade.
    """

    summed_to: int
    newest: int
    seconds: float
    rows: int = 0
    wait: float = 0.0
    error: str | None = None
    categories_behind: int = 0
    warning: str | None = None

    @property
    def behind(self) -> int:
        """Ids between the two: at least the number of rows that are not summed."""
        return max(0, self.newest - self.summed_to)

    @property
    def is_done(self) -> bool:
        """Whether there was nothing to do, or the sums are stalled."""
        behind = self.behind or self.categories_behind
        return bool(self.wait) and (not behind or self.error is not None)


class RollupService(Service):
    """Runs step after step, and waits while there is nothing to do.

    Args:
        step: does a bounded piece of the work; blocking; raises the errors of ``pipeline.errors``.
        interval: seconds between rounds.
    """

    logger = log

    def __init__(self, step: Callable[[], Progress], interval: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._step = step
        self._interval = interval
        self.progress: Progress | None = None
        self.last_error: str | None = None
        #: Whether rows were stored since the last step began.
        self._stored = asyncio.Event()
        self._is_idle = False
        self._deadlocks = 0

    def committed(self, batch: Batch) -> None:
        """There is something to sum."""
        if batch.events:
            self._stored.set()

    async def turn(self) -> float:
        """Run one step; return the seconds to wait before the next."""
        begun, before = monotonic(), self.progress
        self._is_idle = False
        self._stored.clear()
        try:
            result = await self.wait(in_thread(self._step))
        except (TransientError, RowError, FatalError) as error:
            kind = getattr(error, "kind", "other")
            if kind == "deadlock" and self._deadlocks < DEADLOCKS:
                # Another worker was quicker, perhaps on another node: the next step sees its work.
                self._deadlocks += 1
                return uniform(0.1, 0.5) * self._deadlocks  # noqa: S311 - not a secret
            self._failed(str(error), kind)
        except Exception as error:
            # A bug in the sums must not cost events.
            log.exception("The roll-up failed unexpectedly.", extra=named("rollup_failed"))
            self._failed(repr(error), "other")
        else:
            if result.stopped:
                return 0.0
            found: Progress = result.result
            self._note(found)
            quiet = before is not None and found.newest == before.newest
            self._is_idle = found.is_done and (quiet or before is None)
            rest = LATE_REST if found.seconds > LATE else REST
            return found.wait or (0.0 if quiet else rest * (monotonic() - begun))
        return self._interval

    def as_json(self) -> dict[str, Any] | None:
        """What ``/batches/`` shows; None before the first step."""
        found = self.progress
        if found is None and self.last_error is None:
            return None
        return {
            "summed_to": found and found.summed_to,
            "newest": found and found.newest,
            "behind": found and found.behind,
            "seconds": found and round(found.seconds, 1),
            "last_error": self.last_error,
            "warning": found and found.warning,
        }

    @Service.task
    async def _run_steps(self) -> None:
        if not self._interval:
            return
        await self.sleep(min(FIRST, self._interval))
        while not self.should_stop:
            await self.sleep(await self.turn())
            if self._is_idle:
                await self.wait_first(self._stored.wait(), timeout=max(0.0, IDLE - self._interval))

    def _note(self, found: Progress) -> None:
        before, self.progress = self.progress, found
        self._deadlocks = 0
        if found.warning and found.warning != (before and before.warning):
            log.warning("The sales sums: %s", found.warning, extra=named("rollup_inexact"))
        metrics.ROLLUP_BEHIND.set(found.behind)
        metrics.ROLLUP_BEHIND_SECONDS.set(found.seconds)
        if found.rows:
            metrics.ROLLUP_ROWS.inc(found.rows)
            metrics.ROLLUP_RUNS.inc()
        if found.error:
            self._failed(found.error, "other")
        elif self.last_error:
            log.info("The roll-up continues.", extra=named("rollup_continues"))
            self.last_error = None

    def _failed(self, error: str, kind: str) -> None:
        metrics.ROLLUP_ERRORS.labels(kind).inc()
        if error != self.last_error:
            log.warning(
                "The roll-up is stalled: %s", error, extra=named("rollup_stalled", kind=kind)
            )
        self.last_error = error
