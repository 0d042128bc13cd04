"""Commits to Kafka, for lag monitors and autoscalers. This app never reads them.

Only the newest offsets are sent, in the background and with a time limit: an unavailable group
coordinator delays nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from threading import Lock

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, RebalanceInProgressError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP
from mode.utils.logging import get_logger

from pipeline.log_events import named

log = get_logger(__name__)

#: Minimum seconds between commits, and timeouts (s) of one and of the last one.
INTERVAL = 1.0
COMMIT_TIMEOUT = 5.0
LAST_COMMIT_TIMEOUT = 2.0


class CommitReporter:
    """Keeps the newest offsets until another thread sends them.

    Args:
        commit: sends offsets to Kafka.
    """

    def __init__(self, commit: Callable[[Mapping[TP, int]], Awaitable[None]]) -> None:
        self._commit = commit
        self._waiting: dict[TP, int] = {}
        #: Whether the last attempt failed, which is logged once.
        self._is_failing = False
        self._lock = Lock()
        #: Set when there are offsets to send; belongs to the sending loop.
        self._noted = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def note(self, offsets: Mapping[TP, int]) -> None:
        """Record the next offsets."""
        with self._lock:
            self._waiting.update(offsets)
        if self._loop:
            # A stopping worker's loop may be closed already.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._noted.set)

    def forget(self) -> None:
        """Drop what is waiting: partitions may belong to another worker now."""
        with self._lock:
            self._waiting.clear()

    async def keep_reporting(self) -> None:
        """Send the recorded offsets together, every ``INTERVAL`` at most; never returns."""
        self._loop = asyncio.get_running_loop()
        while True:
            if not self._waiting:
                await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(INTERVAL)
            await self.report()

    async def report(self, timeout: float = COMMIT_TIMEOUT) -> None:  # noqa: ASYNC109 - a limit
        """Send what is waiting; a failure is logged, and the next call sends it again."""
        with self._lock:
            sending, self._waiting = self._waiting, {}
        if not sending:
            return
        try:
            await asyncio.wait_for(self._commit(sending), timeout)
        except (KafkaError, TimeoutError) as error:
            log.log(
                logging.DEBUG if self._is_failing else logging.INFO,
                "Offsets not reported to Kafka (harmless, they are in MySQL): %s",
                str(error) or "the group's coordinator does not answer",
                extra=named("commit_failed"),
            )
            self._is_failing = True
            with self._lock:
                self._waiting = {**sending, **self._waiting}
        else:
            self._is_failing = False


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TP, int]) -> None:
    """Send the offsets of the consumer's partitions, once.

    Unlike ``AIOKafkaConsumer.commit``, this sends nothing during a rebalance. A broker answers a
    member's requests in order, so a commit sent after the join request is answered in the next
    generation, and rejected. aiokafka then rejoins: a commit every second would keep the group
    rebalancing for ever.

    Raises:
        aiokafka.errors.KafkaError: they are not committed, or this is unknown.
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
