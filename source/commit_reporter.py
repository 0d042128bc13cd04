"""Commits to Kafka: informational, for lag monitors and autoscalers; never read here.

Only the newest offsets are sent, in the background and with a time limit: an unavailable group
coordinator delays nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from threading import Lock

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, RebalanceInProgressError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP
from mode.utils.logging import get_logger

log = get_logger(__name__)

#: Minimum seconds between commits, and timeouts (s) of one and of the last one.
INTERVAL = 1.0
COMMIT_TIMEOUT = 5.0
LAST_COMMIT_TIMEOUT = 2.0


class CommitReporter:
    """Keeps the newest offsets until they are sent, by another thread than the one that notes them.

    Args:
        commit: sends offsets to Kafka.
    """

    def __init__(self, commit: Callable[[Mapping[TP, int]], Awaitable[None]]) -> None:
        self._commit = commit
        self._waiting: dict[TP, int] = {}
        self._lock = Lock()
        #: Set when something was noted; belongs to the loop that sends it.
        self._noted = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def note(self, offsets: Mapping[TP, int]) -> None:
        """These are the next offsets now."""
        with self._lock:
            self._waiting.update(offsets)
        if self._loop:
            # The loop of a worker that is ending may be closed already.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._noted.set)

    def forget(self) -> None:
        """Drop what is waiting: partitions may belong to another worker now."""
        with self._lock:
            self._waiting.clear()

    async def keep_reporting(self) -> None:
        """Send what is noted within ``INTERVAL``, all of it at once; never returns."""
        self._loop = asyncio.get_running_loop()
        while True:
            if not self._waiting:
                await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(INTERVAL)
            await self.report()

    async def report(self, timeout: float = COMMIT_TIMEOUT) -> None:  # noqa: ASYNC109 - a limit
        """Send what is waiting; after a failure, which is logged, with the next ones."""
        with self._lock:
            sending, self._waiting = self._waiting, {}
        if not sending:
            return
        try:
            await asyncio.wait_for(self._commit(sending), timeout)
        except (KafkaError, TimeoutError) as error:
            log.info(
                "Offsets not reported to Kafka (harmless, they are in MySQL): %s",
                str(error) or "the group's coordinator does not answer",
            )
            with self._lock:
                self._waiting = {**sending, **self._waiting}


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TP, int]) -> None:
    """Send the offsets of the partitions that are the consumer's, once.

    Unlike ``AIOKafkaConsumer.commit`` it sends nothing while the group is rebalanced. A broker
    answers a member's requests in their order: a commit behind the request to join is answered
    when the next generation has begun, and refused. aiokafka joins again for that; with a commit
    every second the group would be rebalanced for ever.

    Raises:
        aiokafka.errors.KafkaError: they are not, or may not be, committed.
    """
    coordinator, subscriptions = consumer._coordinator, consumer._subscription
    await coordinator.ensure_coordinator_known()
    rejoining = subscriptions.reassignment_in_progress or coordinator._rejoin_needed_fut.done()
    assignment = subscriptions.subscription and subscriptions.subscription.assignment
    if rejoining or assignment is None:
        raise RebalanceInProgressError("the group is being rebalanced")
    mine = {
        TopicPartition(*tp): OffsetAndMetadata(offset, "")
        for tp, offset in offsets.items()
        if tp in assignment.tps
    }
    await coordinator._do_commit_offsets(assignment, mine)
