"""Checks the database every few seconds, even when nothing is written.

It finds out whether the database answers (otherwise the worker is not ready) and whether the stored
offsets have changed. If another worker moved them forward, by a COMMIT that arrived late, this
worker follows. If another program moved them back (`offsets reset`), it ends; a write would notice,
but an idle worker writes nothing.

- Most checks are a ping, which is no statement: servers count statements, and limit some accounts.
  The offsets are queried at intervals, and while something is wrong.
- Only one check runs at a time: with a server that accepts connections but never answers, each
  holds a thread and a connection until the driver times out.
- A write that waits for an answer counts as well: with a full disk or a locked table a server may
  answer queries but no writes.
- Queried offsets count only if the worker's own were the same before and after, and no write was in
  flight: only then is a difference not its own.
- An offset that seems to have moved is queried again with a lock, which only a primary grants: a
  proxy may have sent the first query to a lagging replica, or to an old primary that is back with
  more than its successor has.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol, TypeAlias

from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import DatabaseTrouble, FatalError, TransientError
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.patience import is_done
from pipeline.shutdown import end_worker
from pipeline.threads import in_thread

log = get_logger(__name__)

Offsets: TypeAlias = Mapping[Partition, int]

#: Seconds between checks; a successful write makes the next one unnecessary for as long.
QUIET = 2.0
#: Seconds between queries of the offsets: if they are moved back, the worker ends within ten.
READ_INTERVAL = 8.0
#: Seconds to wait for an answer. With twice the other it is less than a load balancer's ten.
PING_TIMEOUT = 4.0
#: Seconds a write may wait for an answer; with a check in progress it is below ten, too.
WRITE_TIMEOUT = 5.0


class Database(Protocol):
    """The queries. Blocking.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def ping(self) -> None:
        """Verify that it answers, without a statement."""

    def stored(self, locked: bool) -> Offsets:
        """The group's stored offsets, optionally under a lock."""


class Writes(Protocol):
    """What the watch needs of the flusher."""

    @property
    def is_writing(self) -> bool:
        """Whether a write is in flight."""

    @property
    def last_write(self) -> float | None:
        """When the last write succeeded (``time.monotonic``), or None."""

    @property
    def unanswered_since(self) -> float | None:
        """When the write that waits for an answer began, or None."""


class Consumer(Protocol):
    """What the watch needs of the consumer."""

    @property
    def is_rebalancing(self) -> bool:
        """Whether partitions are being assigned."""

    @property
    def is_positioned(self) -> bool:
        """Whether the start offset of every assigned partition is known."""


class Known(Protocol):
    """The stored offsets, as far as the worker knows."""

    @property
    def stored(self) -> Offsets:
        """Those from which it continues."""


class DatabaseWatch(Service):
    """Checks the database at intervals.

    Args:
        database: answers the queries.
        flusher: writes to it.
        consumer: knows whether partitions are about to change.
        progress: the worker's offsets.
        listeners: called with stored offsets that are ahead of the worker's.
    """

    logger = log

    def __init__(
        self,
        database: Database,
        flusher: Writes,
        consumer: Consumer,
        progress: Known,
        listeners: Sequence[Callable[[Offsets], None]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._database = database
        self._flusher = flusher
        self._consumer = consumer
        self._progress = progress
        self._listeners = listeners
        self._asking: asyncio.Task[Offsets | None] | None = None
        self._asked = 0.0
        #: When the offsets were last read.
        self._last_read = -math.inf
        #: The worker's offsets when the check began.
        self._before: Offsets | None = None
        #: Whether that check asks under a lock.
        self._is_locked = False
        #: Offsets that another program seems to have moved, by the last answer.
        self._changed: dict[Partition, int | None] = {}
        self.last_error: DatabaseTrouble | None = None

    async def look(self) -> None:
        """Check once, and record what is wrong; end the worker if its offsets were changed."""
        since = self._flusher.unanswered_since
        if since is not None and (waited := monotonic() - since) > WRITE_TIMEOUT:
            self._set_last_error(DatabaseTrouble(f"no answer to a write for {waited:.0f} s"))
            return
        if self._asking is None:
            self._asked = monotonic()
            self._asking = asyncio.create_task(self._ask())
        if not await is_done(self._asking, PING_TIMEOUT):
            waited = monotonic() - self._asked
            self._set_last_error(DatabaseTrouble(f"no answer for {waited:.0f} s"))
            return
        task, self._asking = self._asking, None
        try:
            found = task.result()
        except (TransientError, FatalError) as error:
            # A fatal error ends the worker at the next write; until then it is not ready.
            self._set_last_error(DatabaseTrouble.of(error))
        else:
            self._set_last_error(None)
            if found is not None:
                self._last_read = self._asked
                self._compare(found)

    @Service.task
    async def _look_now_and_then(self) -> None:
        while not self.should_stop:
            begun = monotonic()
            await self.sleep(QUIET)
            if monotonic() - begun > 2 * QUIET:
                continue  # suspended meanwhile: what has come in is to be read first
            was_sure = not self._changed
            await self.look()
            if self._changed and was_sure:
                await self.look()

    async def _ask(self) -> Offsets | None:
        """The stored offsets; None if a ping is enough."""
        is_due = self._asked - self._last_read >= READ_INTERVAL
        if not (is_due or self._changed or self.last_error):
            await in_thread(self._database.ping)
            return None
        self._before = self._known()
        self._is_locked = bool(self._changed)
        return await in_thread(self._database.stored, self._is_locked)

    def _known(self) -> Offsets | None:
        """The worker's offsets; None while they may be about to change."""
        consumer = self._consumer
        if self._flusher.is_writing or consumer.is_rebalancing or not consumer.is_positioned:
            return None
        return dict(self._progress.stored)

    def _compare(self, found: Offsets) -> None:
        differences = self._differences(found)
        known = self._before or {}
        ahead = {
            partition: stored
            for partition, stored in differences.items()
            if stored is not None and stored > known[partition]
        }
        behind = {one: stored for one, stored in differences.items() if one not in ahead}
        if ahead and self._is_locked:
            self._follow(ahead)
            differences = behind
        if behind and behind.items() <= self._changed.items():
            end_worker(self, self._sentence(behind))
        self._changed = differences

    def _follow(self, ahead: Offsets) -> None:
        moved = ", ".join(f"{one} to {offset}" for one, offset in ahead.items())
        log.info(
            "Following stored offsets that another program moved forward: %s",
            moved,
            extra=named("offsets_followed"),
        )
        for listener in self._listeners:
            listener(ahead)

    def _differences(self, found: Offsets) -> dict[Partition, int | None]:
        """Stored offsets that differ from the known ones; None for one that is gone."""
        before, now = self._before, self._known()
        if before is None or now is None:
            return {}
        return {
            partition: found.get(partition)
            for partition, offset in now.items()
            if before.get(partition) == offset != found.get(partition)
        }

    def _sentence(self, changed: Mapping[Partition, int | None]) -> FatalError:
        partition, stored = min(changed.items())
        known = (self._before or {})[partition]
        return FatalError(
            f"The stored offset of {partition} is {'gone' if stored is None else stored}, "
            f"but the worker continues from {known}: another program changed it. Start "
            f"the worker again: it continues from what is stored."
        )

    def _set_last_error(self, error: DatabaseTrouble | None) -> None:
        wrote = self._flusher.last_write
        if wrote is not None and monotonic() - wrote < QUIET:
            error = None
        if error and not self.last_error:
            log.warning("The database %s", error, extra=named("database_away"))
        elif self.last_error and not error:
            log.info("The database can be used again.", extra=named("database_back"))
        self.last_error = error
