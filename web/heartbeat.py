"""Writes this worker's heartbeat and events into the database, for all pages and for reports.

Never in the way of events: it has a connection of its own, waits while the database is away, and a
failure is one warning.
"""

import asyncio
from collections import Counter, deque
from dataclasses import replace
from time import monotonic
from typing import Any

from mode import Service
from mode.utils.logging import get_logger
from prometheus_client.metrics import MetricWrapperBase

from config.version import VERSION
from db.workers import Event, Heartbeat, WorkerStore
from pipeline import metrics
from pipeline.errors import FatalError, RowError, TransientError
from pipeline.log_events import named
from pipeline.threads import in_thread
from web.health import Health
from web.progress import Progress

log = get_logger(__name__)

#: Seconds between heartbeats while events are stored, and while none are.
BUSY, IDLE = 10, 60
#: Seconds between looks at the worker's state.
LOOK = 1.0
#: Seconds between removals of old rows.
CLEAN = 3_600.0
#: Seconds that a stopping worker spends on its last heartbeat.
LAST = 1.0
#: Events that wait for a database at most.
_WAITING = 200


class Heartbeats(Service):
    """The heartbeat of one worker.

    Args:
        store: its rows.
        health: whether it is ready.
        progress: its partitions.
    """

    logger = log

    def __init__(
        self, store: WorkerStore, health: Health, progress: Progress, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._store = store
        self._health = health
        self._progress = progress
        self._since = self._beaten = monotonic()
        self._cleaned = -CLEAN
        self._due = 0.0
        #: What the last heartbeat said: batches stored, and what others should see soon.
        self._batches = 0
        self._said: object = None
        #: What happened and is not written yet, each with the ``time.monotonic`` of its end.
        self._events: deque[tuple[Event, float]] = deque(maxlen=_WAITING)
        #: What lasts: by kind and name, since when and the last detail.
        self._lasting: dict[tuple[str, str], tuple[float, str]] = {}
        #: What was noted of these metrics.
        self._noted: dict[MetricWrapperBase, Counter[str]] = {
            one: _counted(one) for one in (metrics.RETRIES, metrics.REBALANCES)
        }
        self._warned = False

    def note(self, event: Event) -> None:
        """Have an event written soon."""
        self._events.append((event, monotonic() - event.age))
        self._due = 0.0

    async def on_start(self) -> None:
        """Say that it has started."""
        self.note(Event("started", f"version {VERSION}", 0.0))

    async def on_stop(self) -> None:
        """Say that it ends, and why, if the database answers at once."""
        self._look()
        crash = getattr(self.beacon.root and self.beacon.root.data, "crash_reason", None)
        why = getattr(crash, "sentence", None) or (repr(crash) if crash else "on request")
        self.note(Event("stopped", why, 0.0))
        try:
            async with asyncio.timeout(LAST):
                await self._beat(stopped=True)
        except TimeoutError:
            log.info(
                "The database does not answer: other workers see later that this one is gone.",
                extra=named("heartbeat_missed"),
            )

    @Service.task
    async def _beat_when_due(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK)
            self._look()
            if monotonic() >= self._due and not self._is_away and not self.should_stop:
                await self._beat()

    @property
    def _is_away(self) -> bool:
        """Not where the database answers: one whose disk is full may still take a heartbeat."""
        trouble = self._health.database_trouble
        return trouble is not None and trouble.is_away

    def _look(self) -> None:
        """Note what has begun or ended since the last look."""
        health, now = self._health, {}
        if trouble := health.database_trouble:
            now["outage", ""] = f"the database {trouble}"
        if stuck := health.flusher.stuck:
            now["stuck", ""] = stuck
        for one in health.breakers.as_json():
            name = f"{one['topic']}/{one['partition']}"
            now["breaker_closed", name] = f"{name}: {one['reason']}"
        if self._news() != self._said:
            self._due = 0.0
        if self._progress.batches > self._batches:
            self._due = min(self._due, self._beaten + BUSY)
        if times := self._new(metrics.REBALANCES).total():
            read = ", ".join(map(str, sorted(self._progress.stored))) or "no partition"
            self.note(Event("assigned", read, 0.0, number=times))
        for key, detail in now.items():
            if key not in self._lasting and key[0] == "breaker_closed":
                self.note(Event("breaker_opened", detail, 0.0))
            since, _ = self._lasting.get(key, (monotonic(), ""))
            self._lasting[key] = since, detail
        for key in self._lasting.keys() - now.keys():
            since, detail = self._lasting.pop(key)
            self.note(Event(key[0], detail, 0.0, monotonic() - since))

    def _news(self) -> object:
        """Whether it is ready, its partitions, and whether their lag is known."""
        progress = self._progress
        is_ready = self._health.ready() is None
        return (
            is_ready,
            set(progress.stored),
            progress.known_bounds.keys() >= progress.stored.keys(),
        )

    async def _beat(self, *, stopped: bool = False) -> None:
        if retried := self._new(metrics.RETRIES):
            errors = ", ".join(f"{times} {error}" for error, times in retried.most_common())
            self.note(Event("retries", errors, 0.0, number=retried.total()))
        progress = self._progress
        self._beaten = monotonic()
        interval = BUSY if progress.batches > self._batches else IDLE
        self._due, self._batches = self._beaten + interval, progress.batches
        partitions = [
            {
                "topic": one.topic,
                "partition": one.number,
                "end": progress.known_bounds[one].end if one in progress.known_bounds else None,
            }
            for one in sorted(progress.stored)
        ]
        uptime = self._beaten - self._since
        unready = None if stopped else self._health.ready()
        self._said = self._news()
        state = Heartbeat(uptime, interval, unready, [] if stopped else partitions, stopped)
        waiting = list(self._events)
        events = [replace(event, age=self._beaten - ended) for event, ended in waiting]
        is_time = self._beaten - self._cleaned >= CLEAN and not stopped
        try:
            await in_thread(self._write, state, events, is_time)
        except (TransientError, RowError, FatalError) as error:
            self._warn(str(error))
        except Exception as error:
            # A bug in here must not cost events.
            log.exception("The heartbeat failed unexpectedly.", extra=named("heartbeat_failed"))
            self._warn(repr(error))
        else:
            self._warned = False
            for one in waiting:
                if one in self._events:
                    self._events.remove(one)
            if is_time:
                self._cleaned = self._beaten

    def _write(self, state: Heartbeat, events: list[Event], clean: bool) -> None:
        """In a thread of its own."""
        self._store.beat(state)
        if events:
            self._store.note(events)
        if clean:
            self._store.clean()

    def _new(self, metric: MetricWrapperBase) -> Counter[str]:
        """What a metric has counted since it was last noted, by label."""
        before, self._noted[metric] = self._noted[metric], _counted(metric)
        return self._noted[metric] - before

    def _warn(self, error: str) -> None:
        if not self._warned:
            log.warning(
                "This worker cannot be shown on the pages of others, on which no event depends: %s",
                error,
                extra=named("heartbeat_failed"),
            )
        self._warned = True


def _counted(metric: MetricWrapperBase) -> Counter[str]:
    """A counter's totals by its label."""
    return Counter(
        {
            "".join(sample.labels.values()): int(sample.value)
            for found in metric.collect()
            for sample in found.samples
            if sample.name.endswith("_total")
        }
    )
