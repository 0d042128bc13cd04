"""Looks at the tables' sizes once an hour, and purges old rows (`RETENTION`), in the background.

Every worker has the service; a lock in the database lets one of them purge at a time. An error is
logged, counted and shown; it never ends the worker, and readiness does not depend on it.
"""

from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any, TypeAlias

from mode import Service
from mode.utils.logging import get_logger

from pipeline import metrics
from pipeline.background.storage import Purged, Storage
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.log_events import named
from pipeline.threads import in_thread

log = get_logger(__name__)

#: Seconds until the first look, and between looks.
FIRST, INTERVAL = 5.0, 3600.0
#: A purge rests so many times as long as a portion took, so that writes lose little; but less
#: than the session may idle.
REST, LONGEST_REST = 30.0, 10.0

#: Deletes what was stored before the given times, a portion at each step.
RunPurge: TypeAlias = Callable[[Mapping[str, datetime]], Generator[Purged]]


def rest(portion: Purged) -> float:
    """Seconds to wait after a portion."""
    return min(LONGEST_REST, REST * portion.seconds)


class Housekeeping(Service):
    """Looks, and purges what is older than its retention.

    Args:
        look: notes and returns the sizes; blocking; raises what ``pipeline.errors`` has.
        purge: blocking at each step; raises the same.
        retentions: how long what is purged is kept, by its name.
    """

    logger = log

    def __init__(
        self,
        look: Callable[[], Storage],
        purge: RunPurge,
        retentions: Mapping[str, timedelta],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._look = look
        self._purge = purge
        self._retentions = retentions
        self.storage: Storage | None = None
        self.last_error: str | None = None
        metrics.DATABASE_FULL.set(nan)

    async def turn(self) -> None:
        """Look once, and purge all that is old."""
        try:
            self._note(await in_thread(self._look))
            if self._retentions:
                await self._purge_old()
        except TransientError as error:
            # Else another worker is at it.
            if error.kind != "busy":
                self._failed(str(error), error.kind)
        except (RowError, FatalError) as error:
            self._failed(str(error), "other")
        except Exception as error:
            # A bug in here must not cost events.
            log.exception("Housekeeping failed unexpectedly.", extra=named("housekeeping_failed"))
            self._failed(repr(error), "other")
        else:
            self.last_error = None

    def as_json(self) -> dict[str, Any] | None:
        """What ``/batches/`` shows; None before the first look."""
        if self.storage is None and self.last_error is None:
            return None
        sizes = self.storage.as_json() if self.storage else {}
        days = {what: age / timedelta(days=1) for what, age in self._retentions.items()}
        return {**sizes, "retention_days": days, "last_error": self.last_error}

    async def _purge_old(self) -> None:
        now = datetime.now(UTC)
        rows, pending = dict.fromkeys(self._retentions, 0), 0
        portions = self._purge({what: now - age for what, age in self._retentions.items()})
        try:
            while not self.should_stop and (one := await in_thread(next, portions, None)):
                metrics.PURGED_ROWS.labels(one.what).inc(one.rows)
                rows[one.what] += one.rows
                pending += one.pending
                await self.sleep(rest(one))
        finally:
            await in_thread(portions.close)
            if any(rows.values()):
                found = ", ".join(f"{number} {what}" for what, number in rows.items() if number)
                never = f"; {pending} dead letters were never replayed" if pending else ""
                log.info(
                    "Purged by RETENTION: %s%s.",
                    found,
                    never,
                    extra=named("rows_purged", rows=rows),
                )

    @Service.task
    async def _run(self) -> None:
        await self.sleep(FIRST)
        while not self.should_stop:
            await self.turn()
            await self.sleep(INTERVAL)

    def _note(self, found: Storage) -> None:
        self.storage = found
        for one in found.tables:
            metrics.TABLE_BYTES.labels(one.name).set(one.bytes)
            metrics.TABLE_ROWS.labels(one.name).set(one.rows)
        if found.per_day is not None:
            metrics.TABLES_GROWTH.set(found.per_day)
        metrics.DATABASE_FULL.set(nan if found.full_in is None else found.full_in)

    def _failed(self, error: str, kind: str) -> None:
        metrics.PURGE_ERRORS.labels(kind).inc()
        if error != self.last_error:
            log.warning(
                "Sizes are not noted, or old rows not purged: %s",
                error,
                extra=named("housekeeping_failed"),
            )
        self.last_error = error
