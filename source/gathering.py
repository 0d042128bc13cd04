"""Fetches less often and more events at a time while the worker keeps up.

Each fetch has a fixed cost, and rows are written only every few seconds. So after a fetch that
reached the end of the log the consumer rests: its partitions are paused, and no fetch request waits
at the broker. A rest ends in time for the next flush, so it delays no event. A worker that is
behind never rests, nor does an idle one, whose request waits at the broker for the first event.
"""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from faust.types import TP

from source.fetch import Fetch

#: Maximum seconds of a rest, and events that are worth a fetch.
REST = 2.5
WORTH = 2500
#: Seconds before a flush at which a rest ends, to fetch and transform what has arrived.
LEAD = 0.1


class Schedule(Protocol):
    """Writes the events that are fetched."""

    @property
    def due(self) -> float:
        """When it writes next (``time.monotonic``), 0 if unknown. Read from another thread."""


class Gathering:
    """Decides when to fetch. Only for the consumer's thread.

    Args:
        flusher: writes what is fetched.
    """

    def __init__(self, flusher: Schedule) -> None:
        self._flusher = flusher
        #: When the rest ends; 0 when not resting.
        self._until = 0.0
        #: When the previous fetch came.
        self._before = 0.0

    def took(self, consumer: AIOKafkaConsumer, fetches: Mapping[TP, Fetch]) -> None:
        """Begin a rest if these fetches reached the ends of the logs and nothing else has arrived.

        Call it before any await, or aiokafka sends the next request.
        """
        now = monotonic()
        since, self._before = now - self._before, now
        if any(fetch.end < (consumer.highwater(tp) or 0) for tp, fetch in fetches.items()):
            return
        events = sum(len(fetch.records) for fetch in fetches.values())
        self._until = now + min(REST, WORTH * since / max(1, events))
        in_time = self._flusher.due - LEAD
        if in_time > now:
            self._until = min(self._until, in_time)
        consumer.pause(*consumer.assignment())

    async def is_over(self, consumer: AIOKafkaConsumer, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait for the end of a rest, at most ``timeout`` seconds."""
        if not self._until:
            return True
        left = self._until - monotonic()
        if left > 0:
            await asyncio.sleep(min(left, timeout))
        if left > timeout:
            return False
        self._until = 0.0
        consumer.resume(*consumer.paused())
        return True
